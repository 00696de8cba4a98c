"""How many steps of all environments fit into a memory, and in what shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv


def allocate(lead: tuple[int, int], space: Any) -> np.ndarray:
    return np.zeros((*lead, *(space.shape or ())), space.dtype)


def frame_of(venv: VecEnv) -> tuple[tuple[int, ...], int]:
    """The shape of the newest frame in an observation, and how many older ones are stacked before it on the first axis."""
    shape = tuple(venv.observation_space.shape or ())
    stack = int(venv.get_attr("frames_stacked")[0]) if venv.has_attr("frames_stacked") else 1
    if stack == 1 or venv.observation_space.dtype != np.uint8 or len(shape) != 3 or shape[0] % stack:
        return shape, 0
    return (shape[0] // stack, *shape[1:]), stack - 1


def steps_that_fit(megabytes: float, venv: VecEnv) -> int:
    """How many steps per environment fit into this much memory."""
    observation, action = venv.observation_space, venv.action_space
    sizes = [
        int(np.prod(shape or (1,))) * np.dtype(space.dtype).itemsize
        for shape, space in ((frame_of(venv)[0], observation), (action.shape, action))
    ]
    return int(megabytes * 2**20 / (venv.num_envs * (sum(sizes) + 6)))  # and a float32, two bools
