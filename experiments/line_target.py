"""A point on a line that should stop at 1.7: the smallest task on which questions have to be asked online.

A random policy stays near 0, where further right is always better. A reward learned from its behaviour alone says so
beyond it as well, and an agent that follows it runs on. Use it with --import experiments.line_target.
"""

from __future__ import annotations

import gymnasium
import numpy as np

from envs.steps import Info, Reset, Step

TARGET, STRIDE = 1.7, 0.1  # three standard deviations of where a random policy ends


class LineTarget(gymnasium.Env):
    """Observation (1,): the position, 0 at first. Action (1,) in [-1, 1]: a step of up to a tenth. Reward: -distance to 1.7.

    50 steps. Doing nothing earns -85, running right without a stop -70, the best policy -13.6.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, render_mode: str | None = None):
        """It cannot be drawn; the argument is what gymnasium.make always hands over."""

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Reset:
        super().reset(seed=seed)
        self.position = 0.0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> Step:
        self.position += STRIDE * float(np.clip(action[0], -1.0, 1.0))
        return self._observation(), -abs(self.position - TARGET), False, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([self.position], np.float32)


gymnasium.register("LineTarget-v0", entry_point="experiments.line_target:LineTarget", max_episode_steps=50)
