"""Reach a target with a two-link arm, torque for free."""

from typing import Any, ClassVar

from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

from envs.mujoco_task import MujocoTask


class Reacher(MujocoTask, ReacherEnv):
    """Observation (10,), action (2,): torques in [-1, 1]. Reward: minus the distance from fingertip to target [m].

    50 steps. The torque penalty is gone, because a person cannot see it (Christiano et al. 2017, appendix A).
    """

    settings: ClassVar[dict[str, Any]] = {"reward_control_weight": 0.0}
