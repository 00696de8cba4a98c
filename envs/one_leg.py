"""The half cheetah runs on its hind leg: one of the two new behaviours in Christiano et al. 2017, section 3.2."""

from typing import Any

import numpy as np
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

from envs.locomotion import FREE_TORQUE
from envs.mujoco_task import MujocoTask

FRONT = ("fshin", "ffoot")


class HalfCheetahOneLeg(MujocoTask, HalfCheetahEnv):
    """Observation (17,), action (6,): torques in [-1, 1]. 500 steps are 25 seconds.

    Reward: the speed forward [m/s] while the front leg is off the ground; with it down, moving forward earns nothing
    and moving backward still costs. `info["front_down"]` says which. The authors' oracle was a person.
    """

    settings = FREE_TORQUE

    def _get_rew(self, x_velocity: float, action: np.ndarray) -> tuple[float, dict[str, Any]]:
        down = self.front_down()
        return float(min(x_velocity, 0.0) if down else x_velocity), {"front_down": down}

    def front_down(self) -> bool:
        """Does any part of the front leg below the knee touch something? Only the floor can be touched."""
        front = [self.model.geom(name).id for name in FRONT]
        return bool(np.isin(self.data.contact.geom, front).any())  # contact.geom: (contacts, 2)
