"""The two new behaviours of Christiano et al. 2017, section 3.2, for which Gymnasium has no reward, with scripted oracles."""

from functools import cached_property

import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from envs.mujoco_tasks import FREE_TORQUE, NEVER_DONE, MujocoTask, Reward

MAY_TOUCH = ("floor", "bshin", "bfoot")


class HopperBackflip(MujocoTask, HopperEnv):
    """The hopper turns backflips. Observation (11,), action (3,): torques in [-1, 1]. 500 steps are four seconds.

    Reward: roll (1 + 0.3 height + 0.1 power + 0.05 slide), with roll the torso's angular speed backward [rad/s], height
    that of the torso [m], power the torques times their joints' speeds, slide the speed backward [m/s]. So turning
    backward counts, and counts more in the air, while pushing, and while moving backward. It is the oracle that the
    authors published as the best they could write in two hours ("Learning from human preferences", OpenAI 2017), beside
    the more elegant flip learned from 900 answers.
    """

    settings = NEVER_DONE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> Reward:
        seen = self._get_obs()  # (11,): the speeds are clipped at 10, which keeps the reward finite
        roll, height, slide = -seen[7], seen[0], -seen[5]
        power = np.dot(action, seen[8:11])
        return float(roll * (1 + 0.3 * height + 0.1 * power + 0.05 * slide)), {"roll": float(roll)}


class HalfCheetahOneLeg(MujocoTask, HalfCheetahEnv):
    """The half cheetah runs on its hind leg. Observation (17,), action (6,): torques in [-1, 1]. 500 steps are 25 seconds.

    Reward: the speed forward [m/s] while nothing but the hind leg below its knee is on the ground. With anything else
    down (the front leg, or the back: sliding on it is the easier way not to use the front leg), moving forward earns
    nothing and moving backward still costs. `info["others_down"]` says which. The authors' oracle was a person.
    """

    settings = FREE_TORQUE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> Reward:
        down = self.others_down()
        return float(min(x_velocity, 0.0) if down else x_velocity), {"others_down": down}

    def others_down(self) -> bool:
        """Does any part but the hind leg below its knee touch something? Only the floor can be touched."""
        return not self._may_touch[self.data.contact.geom].all()  # contact.geom: (contacts, 2)

    @cached_property
    def _may_touch(self) -> np.ndarray:
        """(geoms,): looking names up takes longer than the rest of the reward"""
        return np.isin([self.model.geom(geom).name for geom in range(self.model.ngeom)], MAY_TOUCH)
