"""An environment that tells where it is, so that a test can see whether memory tells the truth."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from prefrl.environments.recorder import Recorder


class Counting(gym.Env):
    """Shows (name, episode, step) and pays 1000 * episode + step for a step. Episodes last as long as told, in turn."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, lengths: Sequence[int] = (7,), name: int = 0, terminates: bool = True):
        self.lengths: Iterator[int] = cycle(lengths)
        self.name, self.terminates, self.episode, self.seeds = name, terminates, -1, []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.episode, self.at, self.length = self.episode + 1, 0, next(self.lengths)
        return self._seen(), {}

    def step(self, action):
        reward = 1000.0 * self.episode + self.at
        self.at += 1
        over = self.at >= self.length
        return self._seen(), reward, over and self.terminates, over and not self.terminates, {}

    def _seen(self) -> np.ndarray:
        return np.array([self.name, self.episode, self.at], np.float32)


def counting(lengths: Sequence[Sequence[int]], terminates: bool = True) -> DummyVecEnv:
    """A vector with one environment for each list of episode lengths."""
    return DummyVecEnv([lambda n=n, each=each: Counting(each, n, terminates) for n, each in enumerate(lengths)])


def played(recorder: Recorder, steps: int, seed: int = 0) -> np.ndarray:
    """Act at random for some steps of each environment. Returns the actions: (steps, n_envs, *act)"""
    recorder.action_space.seed(seed)
    if not recorder.steps:
        recorder.reset()
    actions = np.array([[recorder.action_space.sample() for _ in range(recorder.num_envs)] for _ in range(steps)])
    for each in actions:
        recorder.step(each)
    return actions
