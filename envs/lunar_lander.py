"""Lunar lander of fixed length: after the landing or the crash everything stands still until the time is up.

Why rest rather than start again: the goal is to have landed, and a wreck that stays in view is what a person judges.
Why the rest is rewarded: random episodes crash after a sixth of their time, so with nothing at rest most pairs would
tie. Why there is a ninth number in the observation: a wreck and a low flight can otherwise look the same.
"""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.box2d.lunar_lander import LunarLander as GymnasiumLander

from envs.steps import Info, Reset, Step

SCALE = 0.01  # Gymnasium's points to ours: a crash is -1, a landing +1
REST_REWARD = 0.01  # per step at rest, times (outcome - distance to the pad)


class LunarLander(GymnasiumLander):
    """Observation (9,): Gymnasium's eight, and the outcome: 0 in flight, 1 landed, -1 crashed or out of view.

    Action: 0 nothing, 1 left engine, 2 main engine, 3 right engine. Reward in flight: Gymnasium's / 100. At rest, each
    step: 0.01 (outcome - distance to the pad), so the sooner and the nearer it lands the better.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        flight = self.observation_space
        assert isinstance(flight, spaces.Box)
        low, high = np.append(flight.low, np.float32(-1)), np.append(flight.high, np.float32(1))
        self.observation_space = spaces.Box(low, high)
        self.outcome = 0.0
        self.last = np.zeros(9, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Reset:
        self.outcome = 0.0  # before Gymnasium's reset, which takes a first step by itself
        return super().reset(seed=seed, options=options)

    def step(self, action: int) -> Step:
        if self.outcome:
            return self.last.copy(), self._rest_reward(), False, False, {"outcome": self.outcome}
        flight, points, ended, _, _ = super().step(action)
        if ended:
            self.outcome = 1.0 if points > 0 else -1.0
        self.last = np.append(flight, np.float32(self.outcome))  # (9,)
        return self.last.copy(), SCALE * float(points), False, False, {"outcome": self.outcome}

    def _rest_reward(self) -> float:
        return REST_REWARD * float(self.outcome - np.hypot(self.last[0], self.last[1]))
