"""MiniGrid as pictures: what the agent sees of the maze, in colour."""

from __future__ import annotations

import gymnasium as gym


def is_grid(env: gym.Env) -> bool:
    """Whether an environment is one of MiniGrid's."""
    return any(kind.__module__.startswith("minigrid.") for kind in type(env.unwrapped).__mro__)


def as_picture(env: gym.Env) -> gym.Env:
    """The agent's view as a picture (56, 56, 3), without the mission's text."""
    from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper  # an optional package

    return ImgObsWrapper(RGBImgPartialObsWrapper(env))
