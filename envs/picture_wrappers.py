"""Pictures as observations: made small and grey, channels first, the last few in one. For any environment that shows some."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import AddRenderObservation
from PIL import Image


def is_picture(space: spaces.Space) -> bool:
    """Whether a space is that of grey or coloured pictures: uint8 (H, W), (H, W, 1) or (H, W, 3)."""
    shape = space.shape or ()
    return space.dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)))


def is_planes(space: spaces.Space) -> bool:
    """Whether a space is that of binary planes (H, W, C), as in MinAtar."""
    return space.dtype == bool and len(space.shape or ()) == 3


def drawn(env: gym.Env) -> gym.Env:
    """The pixel version of a task: observations are what the environment draws. It needs render_mode="rgb_array"."""
    return AddRenderObservation(env, render_only=True)


def is_grid(env: gym.Env) -> bool:
    """Whether an environment is one of MiniGrid's."""
    return any(kind.__module__.startswith("minigrid.") for kind in type(env.unwrapped).__mro__)


def grid_picture(env: gym.Env) -> gym.Env:
    """The agent's view of MiniGrid's maze as a picture (56, 56, 3), without the mission's text."""
    from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper  # an optional package

    return ImgObsWrapper(RGBImgPartialObsWrapper(env))


class Small(gym.ObservationWrapper):
    """Pictures with channels first, larger ones shrunk to `size` on both sides: (H, W) or (H, W, C) -> (c, h, w) uint8"""

    def __init__(self, env: gym.Env, size: int, grey: bool):
        super().__init__(env)
        shape = env.observation_space.shape or ()
        self.to = (size, size) if max(shape[:2]) > size else None
        self.grey = grey and len(shape) == 3 and shape[2] == 3
        shown = self.observation(np.zeros(shape, np.uint8)).shape
        self.observation_space = spaces.Box(0, 255, shown, np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        seen = np.asarray(observation, np.uint8)
        if self.grey or self.to:
            picture = Image.fromarray(seen[..., 0] if seen.ndim == 3 and seen.shape[2] == 1 else seen)
            if self.grey:
                picture = picture.convert("L")
            if self.to:
                picture = picture.resize(self.to, Image.Resampling.BOX)  # every pixel the mean of what it covers
            seen = np.asarray(picture)
        return np.ascontiguousarray(seen[None] if seen.ndim == 2 else np.moveaxis(seen, 2, 0))


class Planes(gym.ObservationWrapper):
    """Binary planes as a picture: (H, W, C) bool -> (C, H, W) uint8, 0 or 255"""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        height, width, channels = env.observation_space.shape or (0, 0, 0)
        self.observation_space = spaces.Box(0, 255, (channels, height, width), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(observation, 2, 0)).astype(np.uint8) * 255


class Stacked(gym.Wrapper):
    """The last frames in one observation, the newest last: (c, H, W) -> (frames * c, H, W)

    An episode's first frame stands in for those before it. Whoever stores observations may keep the newest frame only:
    `frames_stacked` and the ends of episodes tell the others.
    """

    def __init__(self, env: gym.Env, frames: int):
        super().__init__(env)
        self.frames_stacked = frames
        self.channels, height, width = env.observation_space.shape or (0, 0, 0)
        self.observation_space = spaces.Box(0, 255, (frames * self.channels, height, width), np.uint8)

    def reset(self, **how: Any) -> tuple[np.ndarray, dict[str, Any]]:
        seen, about = self.env.reset(**how)
        self._stack = np.tile(seen, (self.frames_stacked, 1, 1))
        return self._stack, about

    def step(self, action: Any) -> Any:
        seen, *rest = self.env.step(action)
        self._stack = np.concatenate([self._stack[self.channels :], seen])
        return self._stack, *rest
