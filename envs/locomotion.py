"""Five MuJoCo bodies that move forward for 1,000 steps, whatever happens to them, and an arm that reaches for a target.

Gymnasium ends the episode when a body falls, which tells a learner what the reward is. As in Christiano et al. 2017,
section 3.1, no fall ends an episode and the torque penalty is gone, because a person cannot see it. What keeps a body
up is a term for its height, taken from the authors' code (rl-teacher, envs.py): the speed forward [m/s] plus

    hopper   height of the torso [m]        walker   height of the torso - 1
    ant      height of the torso - 1.2      half cheetah and swimmer cannot fall: nothing

rl-teacher writes them as bonuses on top of Gymnasium's "+1 alive"; these are the sums. The observations are
Gymnasium's, but the ant's without contact forces. Actions are torques in [-1, 1] per joint.
"""

import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv

from envs.mujoco_task import MujocoTask
from envs.steps import Info

Reward = tuple[float, Info]

FREE_TORQUE = {"ctrl_cost_weight": 0.0}
NEVER_DONE = {**FREE_TORQUE, "terminate_when_unhealthy": False, "healthy_reward": 0.0}
NEVER_DONE_ANT = {**NEVER_DONE, "contact_cost_weight": 0.0, "include_cfrc_ext_in_observation": False}


class HalfCheetah(MujocoTask, HalfCheetahEnv):
    """Observation (17,), action (6,). Reward: speed forward [m/s]."""

    settings = FREE_TORQUE


class Swimmer(MujocoTask, SwimmerEnv):
    """Observation (8,), action (2,). Reward: speed forward [m/s]."""

    settings = FREE_TORQUE


class Reacher(MujocoTask, ReacherEnv):
    """Observation (10,), action (2,). Reward: minus the distance from fingertip to target [m]. 50 steps."""

    settings = {"reward_control_weight": 0.0}


class Hopper(MujocoTask, HopperEnv):
    """Observation (11,), action (3,). Reward: speed forward [m/s] + height of the torso [m]."""

    settings = NEVER_DONE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> Reward:
        return moving(x_velocity, self.data.qpos[1])


class Walker2d(MujocoTask, Walker2dEnv):
    """Observation (17,), action (6,). Reward: speed forward [m/s] + height of the torso [m] - 1."""

    settings = NEVER_DONE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> Reward:
        return moving(x_velocity, self.data.qpos[1] - 1.0)


class Ant(MujocoTask, AntEnv):
    """Observation (27,), action (8,). Reward: speed forward [m/s] + height of the torso [m] - 1.2."""

    settings = NEVER_DONE_ANT

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> Reward:
        return moving(x_velocity, self.data.qpos[2] - 1.2)


def moving(speed: float, height: float) -> Reward:
    """The reward and the two terms it is made of."""
    return float(speed + height), {"reward_forward": float(speed), "reward_height": float(height)}
