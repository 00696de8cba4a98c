"""Balance a pole on a cart in MuJoCo; after a fall it is set up again inside the episode.

rl-teacher lets the pole lie where it fell (reward 1 - angle^2) and keeps episodes to 25 steps, because a pole that lies
teaches nothing. Setting it up again allows 200 steps in which most are worth comparing.
"""

from typing import Any

import numpy as np
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv

from envs.mujoco_task import MujocoTask
from envs.steps import Info


class InvertedPendulum(MujocoTask, InvertedPendulumEnv):
    """Observation (4,): position [m], angle [rad], their speeds. Action (1,): force in [-3, 3].

    Reward: -1 for a fall (more than 0.2 rad), else -angle^2, so between -0.04 and 0. `info["fell"]` says when.
    """

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, Info]:
        observation, _, fell, _, _ = super().step(action)
        if fell:
            return self.reset_model(), -1.0, False, False, {"fell": True}  # draws from np_random
        return observation, -(float(observation[1]) ** 2), False, False, {"fell": False}
