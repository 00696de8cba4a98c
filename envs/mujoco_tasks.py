"""MuJoCo tasks of fixed length: five bodies that move forward for 1,000 steps, an arm that reaches, a pole to balance.

Gymnasium ends the episode when a body falls, which tells a learner what the reward is. As in Christiano et al. 2017,
section 3.1, no fall ends an episode and the torque penalty is gone, because a person cannot see it. What keeps a body
up is a term for its height, taken from the authors' code (rl-teacher, envs.py): the speed forward [m/s] plus

    hopper   height of the torso [m]        walker   height of the torso - 1
    ant      height of the torso - 1.2      half cheetah and swimmer cannot fall: nothing

rl-teacher writes them as bonuses on top of Gymnasium's "+1 alive"; these are the sums. The observations are
Gymnasium's, but the ant's without contact forces. Actions are torques in [-1, 1] per joint.

The pole on a cart is set up again after a fall, inside the episode. rl-teacher lets it lie where it fell (reward
1 - angle^2) and keeps episodes to 25 steps, because a pole that lies teaches nothing; here most of 200 steps are worth
comparing.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.inverted_pendulum_v5 import InvertedPendulumEnv
from gymnasium.envs.mujoco.mujoco_env import MujocoEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv
from gymnasium.envs.mujoco.swimmer_v5 import SwimmerEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from gymnasium.utils import EzPickle

from envs.steps import Info

Reward = tuple[float, Info]

FREE_TORQUE = {"ctrl_cost_weight": 0.0}
NEVER_DONE = {**FREE_TORQUE, "terminate_when_unhealthy": False, "healthy_reward": 0.0}
NEVER_DONE_ANT = {**NEVER_DONE, "contact_cost_weight": 0.0, "include_cfrc_ext_in_observation": False}


@contextmanager
def _compiled_quietly() -> Iterator[None]:
    """Gymnasium's models are written in a way that MuJoCo calls deprecated, on the screen and in a file, each time."""
    import mujoco  # not at the top: where it is missing, Gymnasium says what to install

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None if "deprecated" in text else warnings.warn(text, stacklevel=2))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


class MujocoTask(MujocoEnv, EzPickle):
    """Mixed in before a Gymnasium MuJoCo class: applies `settings` to it and makes its observations float32."""

    settings: ClassVar[Info] = {}

    def __init__(self, **overrides: Any) -> None:
        with _compiled_quietly():
            super().__init__(**{**self.settings, **overrides})
        EzPickle.__init__(self, **overrides)  # Gymnasium's own call keeps positional arguments, which we do not take
        self.observation_space = spaces.Box(-np.inf, np.inf, self.observation_space.shape, np.float32)  # type: ignore[has-type]

    def _get_obs(self) -> np.ndarray:
        return super()._get_obs().astype(np.float32)  # type: ignore[misc]


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


class InvertedPendulum(MujocoTask, InvertedPendulumEnv):
    """Observation (4,): position [m], angle [rad], their speeds. Action (1,): force in [-3, 3].

    Reward: -1 for a fall (more than 0.2 rad), else -angle^2, so between -0.04 and 0. `info["fell"]` says when.
    """

    def step(self, action: np.ndarray) -> tuple[Any, Any, bool, bool, Info]:
        observation, _, fell, _, _ = super().step(action)
        if fell:
            return self.reset_model(), -1.0, False, False, {"fell": True}  # draws from np_random
        return observation, -(float(observation[1]) ** 2), False, False, {"fell": False}
