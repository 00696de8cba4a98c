"""The half cheetah runs on its hind leg: one of the two new behaviours in Christiano et al. 2017, section 3.2."""

from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

from envs.locomotion import FREE_TORQUE
from envs.mujoco_task import MujocoTask

MAY_TOUCH = ("floor", "bshin", "bfoot")


class HalfCheetahOneLeg(MujocoTask, HalfCheetahEnv):
    """Observation (17,), action (6,): torques in [-1, 1]. 500 steps are 25 seconds.

    Reward: the speed forward [m/s] while nothing but the hind leg below its knee is on the ground. With anything else
    down (the front leg, or the back: sliding on it is the easier way not to use the front leg), moving forward earns
    nothing and moving backward still costs. `info["others_down"]` says which. The authors' oracle was a person.
    """

    settings = FREE_TORQUE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> tuple[float, dict[str, Any]]:
        down = self.others_down()
        return float(min(x_velocity, 0.0) if down else x_velocity), {"others_down": down}

    def others_down(self) -> bool:
        """Does any part but the hind leg below its knee touch something? Only the floor can be touched."""
        return not self._may_touch[self.data.contact.geom].all()  # contact.geom: (contacts, 2)

    @cached_property
    def _may_touch(self) -> np.ndarray:
        """(geoms,): looking names up takes longer than the rest of the reward"""
        return np.isin([self.model.geom(geom).name for geom in range(self.model.ngeom)], MAY_TOUCH)
