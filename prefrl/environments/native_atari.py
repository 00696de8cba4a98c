"""ale-py's own vector of games as a VecEnv of SB3: one call steps them all, on threads, without Python in between.

The same games as those of `envs.atari`, frame by frame, but their states cannot be restored: no clips.
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices

from envs.atari import PROTOCOLS, SKIP, ale_seed, is_atari
from envs.masks import hidden
from prefrl.config.settings import PixelConfig
from prefrl.core.errors import UserError

ACTS_OTHERWISE = ("mode", "difficulty", "obs_type", "continuous")  # settings of a game that the vector does not support


class NativeAtari(VecEnv):
    """Observations (n_envs, stack, size, size) uint8, each episode's first frame standing in for those before it."""

    def __init__(self, env_id: str, n_envs: int, shown: PixelConfig):
        _require_playable(env_id, shown)
        from ale_py.vector_env import AtariVectorEnv  # an optional package

        settings, protocol = gym.spec(env_id).kwargs, PROTOCOLS[shown.atari]
        self.games = AtariVectorEnv(
            settings["game"], n_envs, stack_num=1, img_height=shown.size, img_width=shown.size, frameskip=SKIP,
            noop_max=protocol.noops, repeat_action_probability=protocol.sticky, full_action_space=settings.get("full_action_space", False),
            reward_clipping=False, use_fire_reset=False, autoreset_mode="SameStep",
            max_num_frames_per_episode=settings.get("max_num_frames_per_episode", 108_000),
        )  # fmt: skip
        self.frames_stacked, self.hidden = shown.stack, hidden(settings["game"], shown.size, shown.size)
        if not shown.mask:
            self.hidden[:] = False
        shape = (shown.stack, shown.size, shown.size)
        super().__init__(n_envs, spaces.Box(0, 255, shape, np.uint8), self.games.single_action_space)
        self._shown = np.zeros((n_envs, *shape), np.uint8)
        self._returns, self._lengths, self._began = np.zeros(n_envs), np.zeros(n_envs, int), time.time()

    def reset(self) -> np.ndarray:
        seeds = np.array([-1 if seed is None else ale_seed(seed) for seed in self._seeds])
        frames, _ = self.games.reset(seed=seeds)
        self._shown = self._first(frames)
        self._returns[:], self._lengths[:] = 0, 0
        self._reset_seeds()
        return self._shown.copy()

    def step_async(self, actions: np.ndarray) -> None:
        self.games.send(np.asarray(actions))

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        frames, rewards, terminated, truncated, info = self.games.recv()
        dones = terminated | truncated
        self._returns += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        before, self._shown = self._shown, np.concatenate([self._shown[:, 1:], self._masked(frames)], axis=1)
        for env in np.flatnonzero(dones):
            last = self._masked(info["final_obs"][env])
            infos[env] = {
                "terminal_observation": np.concatenate([before[env, 1:], last]),
                "TimeLimit.truncated": bool(truncated[env] and not terminated[env]),
                "episode": {
                    "r": float(self._returns[env]), "l": int(self._lengths[env]),
                    "t": round(time.time() - self._began, 6),
                },
            }  # fmt: skip
            self._shown[env] = self._first(frames[env : env + 1])[0]
            self._returns[env], self._lengths[env] = 0, 0
        return self._shown.copy(), rewards.astype(np.float32), dones, infos

    def _first(self, frames: np.ndarray) -> np.ndarray:
        """The first observations of episodes: (n, 1, H, W) -> (n, stack, H, W)"""
        return np.repeat(self._masked(frames), self.frames_stacked, axis=1)

    def _masked(self, frames: np.ndarray) -> np.ndarray:
        masked: np.ndarray = np.where(self.hidden, np.uint8(0), frames)
        return masked

    def close(self) -> None:
        self.games.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        if attr_name == "render_mode":
            return [None] * self.num_envs
        if attr_name != "frames_stacked":
            raise AttributeError(f"games of ale-py's own vector have no attribute {attr_name!r} that could be read")
        return [self.frames_stacked for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise AttributeError(f"games of ale-py's own vector have no attribute {attr_name!r} that could be set")

    def env_method(self, method_name: str, *args: Any, indices: VecEnvIndices = None, **how: Any) -> list[Any]:
        raise AttributeError(f"games of ale-py's own vector have no method {method_name!r} that could be called")

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]  # it reports episodes' returns as well


def _require_playable(env_id: str, shown: PixelConfig) -> None:
    if not is_atari(env_id):
        raise UserError(f"pixels.native is for Atari games, and {env_id} is none; leave it out")
    if shown.show != "auto":
        raise UserError(
            f"pixels.native shows games as pixels.show=auto does, not {shown.show!r}; leave one of them out"
        )
    if shown.atari != "v5":
        raise UserError(f"pixels.native plays by the v5 protocol alone, not pixels.atari={shown.atari!r}; choose one")
    if wrong := [name for name in ACTS_OTHERWISE if name in gym.spec(env_id).kwargs]:
        raise UserError(f"pixels.native knows no {' or '.join(wrong)}, which {env_id} sets; leave it out")
