"""The vector of environments that an agent acts in, each with a monitor that records openings of episodes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from prefrl.core.observations import mapped
from prefrl.environments.making import MakeEnv, check_spaces
from prefrl.environments.origins import opening


class OpeningMonitor(Monitor):
    """SB3's Monitor, which logs the true return, and which records each episode's opening if `notes` is set."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.notes = ""  # what is recorded of a reset: nothing, or one of NOTES
        self.opening = b""
        self._seeds = np.random.default_rng()

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        if self.notes:
            how["seed"] = self._seed(how.get("seed"))
            self.opening = b"" if how.get("options") else opening(self.env, how["seed"])
        return super().reset(**how)

    def step(self, action: Any) -> Any:
        returned = super().step(action)
        if returned[2] or returned[3]:  # the next reset may fill the same arrays
            return mapped(np.array, returned[0]), *returned[1:]
        return returned

    def _seed(self, seed: int | None) -> int | None:
        if seed is not None:
            self._seeds = np.random.default_rng(seed)
        elif self.notes in ("seed", "state"):
            return int(self._seeds.integers(2**31 - 1))
        return seed


class _Infos(list[dict[str, Any]]):
    """SB3 copies infos deeply at every step, which took a tenth of a run; nobody here changes more than their entries."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[dict[str, Any]]:
        return [dict(info) for info in self]


def make_venv(make_env: MakeEnv, n_envs: int) -> VecEnv:
    """n environments in this process."""

    def make() -> gym.Env:
        env = make_env()
        check_spaces(env)
        return OpeningMonitor(env)

    venv = DummyVecEnv([make] * n_envs)
    venv.buf_infos = _Infos(venv.buf_infos)
    return venv
