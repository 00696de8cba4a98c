"""Observations in tuples and nested dicts as one flat dict, which Stable-Baselines3 and the recorder take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from prefrl.core.errors import UserError


class FlatObservations(gym.ObservationWrapper):
    """Parts of tuples and dicts by one key each: "position.x" for a dict in a dict, "0" and "1" for a tuple.

    Boxes of shape () become (1,), also as the only part.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        leaves = dict(_leaves(env.observation_space))
        self.names = {path: ".".join(path) for path in leaves}
        self.scalars = {path for path, space in leaves.items() if _is_scalar(space)}
        names = list(self.names.values())
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(
                f"the observation space has {len(twice)} parts that would be called {twice[0]!r}, as keys are joined by"
                " dots; rename one of them"
            )
        flat = {self.names[path]: _with_an_axis(space) for path, space in leaves.items()}
        self.observation_space = flat[""] if () in leaves else spaces.Dict(flat)

    def observation(self, observation: Any) -> Any:
        flat = {name: self._part(observation, path) for path, name in self.names.items()}
        return flat[""] if () in self.names else flat

    def _part(self, observation: Any, path: tuple[str, ...]) -> Any:
        for key in path:
            observation = observation[key if isinstance(observation, dict) else int(key)]
        return np.reshape(observation, (1,)) if path in self.scalars else observation


def with_flat_observations(env: gym.Env) -> gym.Env:
    """The environment, wrapped if its observations are not flat."""
    flat = FlatObservations(env)
    return env if flat.observation_space == env.observation_space else flat


def _is_scalar(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.shape == ()


def _with_an_axis(space: spaces.Space) -> spaces.Space:
    if not _is_scalar(space):
        return space
    box: Any = space
    return spaces.Box(box.low.reshape(1), box.high.reshape(1), (1,), box.dtype)


def _leaves(space: spaces.Space, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], spaces.Space]]:
    """The innermost spaces, each with its path of keys."""
    if isinstance(space, spaces.Dict):
        inner = list(space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        inner = [(str(place), part) for place, part in enumerate(space.spaces)]
    else:
        yield path, space
        return
    for key, part in inner:
        yield from _leaves(part, (*path, key))
