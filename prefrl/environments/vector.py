"""The vector of environments that an agent acts in, each of which notes how its episodes begin."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from prefrl.core.observations import mapped
from prefrl.environments.making import MakeEnv, check_spaces
from prefrl.environments.origins import opening, snapshot


class OpeningMonitor(Monitor):
    """SB3's Monitor, which gives SB3's own log the true return, with a note of how each episode began where one is wanted."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.notes = ""  # what is noted of a reset: nothing, or one of NOTES
        self.opening = b""
        self._seeds = np.random.default_rng()

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        if self.notes:
            how["seed"] = self._seed(how.get("seed"))
            self.opening = b"" if how.get("options") else opening(self.env, how["seed"])
        return super().reset(**how)

    def step(self, action: Any) -> Any:
        happened = super().step(action)
        if happened[2] or happened[3]:  # the reset that comes next may fill the same arrays
            return mapped(np.array, happened[0]), *happened[1:]
        return happened

    def snapshot(self, action: Any) -> bytes:
        """An opening for the step that comes next, where `notes` is "state". action: the one before"""
        return snapshot(self.env, action)

    def _seed(self, given: int | None) -> int | None:
        if given is not None:
            self._seeds = np.random.default_rng(given)
        elif self.notes in ("seed", "state"):
            return int(self._seeds.integers(2**31 - 1))
        return given


def make_venv(make_env: MakeEnv, n_envs: int) -> VecEnv:
    """n environments in this process."""

    def make() -> gym.Env:
        env = make_env()
        check_spaces(env)
        return OpeningMonitor(env)

    return DummyVecEnv([make] * n_envs)
