"""A pendulum that keeps spinning, instead of one that must stand still."""

import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from envs.steps import Step


class PendulumSpin(PendulumEnv):
    """Observation (3,): cos and sin of the angle (0 = up), angular speed in [-8, 8] rad/s. Action (1,): torque [-2, 2].

    Reward: angular speed counter-clockwise, as a share of the fastest possible, in [-1, 1]. The torque is too weak to
    lift the pendulum at once: it has to be rocked into its first turn.
    """

    def step(self, action: np.ndarray) -> Step:
        observation, _, _, _, _ = super().step(action)
        return observation, float(observation[2]) / self.max_speed, False, False, {}
