"""The hopper turns backflips: the task that made learning from preferences known.

Gymnasium has no reward for it. The scripted oracle is the one that the authors published as the best they could write
in two hours ("Learning from human preferences", OpenAI 2017), beside the more elegant flip learned from 900 answers.
"""

from typing import Any

import numpy as np
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from envs.locomotion import NEVER_DONE
from envs.mujoco_task import MujocoTask


class HopperBackflip(MujocoTask, HopperEnv):
    """Observation (11,), action (3,): torques in [-1, 1]. 500 steps are four seconds.

    Reward: roll (1 + 0.3 height + 0.1 power + 0.05 slide), with roll the torso's angular speed backward [rad/s], height
    that of the torso [m], power the torques times their joints' speeds, slide the speed backward [m/s]. So turning
    backward counts, and counts more in the air, while pushing, and while moving backward.
    """

    settings = NEVER_DONE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> tuple[float, dict[str, Any]]:
        seen = self._get_obs()  # (11,): the speeds are clipped at 10, which keeps the reward finite
        roll, height, slide = -seen[7], seen[0], -seen[5]
        power = np.dot(action, seen[8:11])
        return float(roll * (1 + 0.3 * height + 0.1 * power + 0.05 * slide)), {"roll": float(roll)}
