"""What our MuJoCo tasks share: Gymnasium's simulation with other settings, seen in single precision."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import mujoco
import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.utils import EzPickle


@contextmanager
def _compiled_quietly() -> Iterator[None]:
    """Gymnasium's models are written in a way that MuJoCo calls deprecated, on the screen and in a file, each time."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda said: None if "deprecated" in said else warnings.warn(said, stacklevel=2))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class MujocoTask(MujocoEnv, EzPickle):
    """Mixed in before a Gymnasium MuJoCo class: applies `settings` to it and makes its observations float32."""

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, **overrides: Any) -> None:
        with _compiled_quietly():
            super().__init__(**{**self.settings, **overrides})
        EzPickle.__init__(self, **overrides)  # Gymnasium's own call keeps positional arguments, which we do not take
        self.observation_space = spaces.Box(-np.inf, np.inf, self.observation_space.shape, np.float32)  # type: ignore[has-type]

    def _get_obs(self) -> np.ndarray:
        return super()._get_obs().astype(np.float32)  # type: ignore[misc]
