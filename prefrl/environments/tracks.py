"""The observations of the last steps, part by part: plain arrays, or of stacks of frames the newest frame of each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from prefrl.core.observations import PLAIN, Observations, parts


class Track:
    """One part of the observations of the last `capacity` steps; a plain Box is the only part.

    Of stacks of frames only the newest frame is kept; stacks are rebuilt when they are read.
    """

    def __init__(self, key: str, space: spaces.Space, history: int):
        """history: how many older frames an observation shows, stacked before the newest on the first axis"""
        self.key, self.history, self.dtype = key, history, space.dtype
        self.shape = tuple(space.shape or ())  # of an observation
        self.frame = (self.shape[0] // (history + 1), *self.shape[1:]) if history else self.shape
        self.kept: np.ndarray = np.zeros(0)  # (capacity, n_envs, *frame), allocated by the ring
        self.last: dict[tuple[int, int], np.ndarray] = {}  # (step, env) -> an episode's last newest frame, by step

    @property
    def nbytes(self) -> int:
        """Bytes that a step of one environment takes."""
        return int(np.prod(self.frame)) * np.dtype(self.dtype).itemsize

    def of(self, observations: Observations) -> np.ndarray:
        """This part of the observations."""
        part: np.ndarray = parts(observations)[self.key]
        return part

    def newest(self, observations: Observations) -> np.ndarray:
        """The newest frames of this part, of stacks a copy: (n, *obs) -> (n, *frame)"""
        part = self.of(observations)
        return part[:, -self.frame[0] :].copy() if self.history else part


def tracks_of(venv: VecEnv) -> dict[str, Track]:
    """A track, without memory yet, for each part of the environments' observations.

    Environments have `frames_stacked` where their pictures are stacks: the number of frames, for a Dict by key.
    """
    space: Any = venv.observation_space
    stacked = venv.get_attr("frames_stacked")[0] if venv.has_attr("frames_stacked") else {}
    each = space.spaces if isinstance(space, spaces.Dict) else {PLAIN: space}
    by_key = stacked if isinstance(stacked, dict) else {PLAIN: stacked}
    return {key: Track(key, part, _history(part, int(by_key.get(key, 1)))) for key, part in each.items()}


def _history(space: spaces.Space, stack: int) -> int:
    """How many older frames an observation shows; 0 if its shape is not that of a stack."""
    shape = space.shape or ()
    stacks = stack > 1 and space.dtype == np.uint8 and len(shape) == 3 and shape[0] % stack == 0
    return stack - 1 if stacks else 0
