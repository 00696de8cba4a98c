"""From an environment's name to the vector of environments that an agent acts in."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import error, spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is first imported
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import envs  # noqa: F401  registers the tasks of ours
from prefrl.agents.blame import blamed
from prefrl.errors import UserError, near

MakeEnv = Callable[..., gym.Env]


def env_maker(env: str | MakeEnv, render_mode: str | None = None) -> MakeEnv:
    """A function that makes one environment, for a Gymnasium id or a function of the user's."""
    if not isinstance(env, str):
        return _own(env, render_mode)
    _require_known(env)

    def make() -> gym.Env:
        try:
            return gym.make(env, render_mode=render_mode)
        except error.DependencyNotInstalled as fault:
            extra = "box2d" if "box2d" in str(fault).lower() else "mujoco"
            raise UserError(
                f"{env} needs a package that is not installed: {fault}. Try: pip install 'prefrl[{extra}]'"
            ) from fault
        except error.Error as fault:
            raise UserError(f"cannot make {env}: {fault}") from fault

    return make


def _own(make_env: MakeEnv, render_mode: str | None) -> MakeEnv:
    def make() -> gym.Env:
        with blamed("while it was made"):
            made = make_env() if render_mode is None else make_env(render_mode=render_mode)
        if not isinstance(made, gym.Env):
            raise UserError(f"env= gave {type(made).__name__}; expected a function that makes a gymnasium.Env")
        return made

    return make


def _require_known(env: str) -> None:
    if ":" in env:
        module, _, name = env.partition(":")
        raise UserError(
            f"env={env!r} would import a module; say so with --import {module} --env {name}, or import it in Python"
        )
    try:
        gym.spec(env)
    except error.Error as fault:
        known = [name for name in gym.registry if not name.startswith(("phys2d", "tabular", "GymV"))]
        raise UserError(f"unknown environment {env!r}{near(env, known)}\n({fault})") from fault


def make_venv(make_env: MakeEnv, n_envs: int) -> VecEnv:
    """n environments in this process, each below a Monitor, so that SB3's own log shows the true return."""

    def make() -> gym.Env:
        env = make_env()
        check_spaces(env)
        return Monitor(env)

    return DummyVecEnv([make] * n_envs)


def check_spaces(env: Any) -> None:
    """Raise UserError for a space that the agent, the recorder or the reward model cannot take."""
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise UserError(
                f"the {name} space is {space}; prefrl takes Box, Discrete, MultiDiscrete and MultiBinary."
                " Flatten it with gymnasium.wrappers.FlattenObservation, or pick the part you need"
            )
        if np.any(getattr(space, "start", 0)):
            raise UserError(
                f"the {name} space {space} does not start at 0, and Stable-Baselines3 counts from 0; shift it"
            )
        if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and len(space.shape) != 1:
            raise UserError(
                f"the {name} space {space} has {len(space.shape)} axes; Stable-Baselines3 takes one. Flatten it"
            )
    if isinstance(env.action_space, spaces.Box) and not env.action_space.is_bounded():
        raise UserError(
            f"the action space {env.action_space} has no bounds; give it some with gymnasium.wrappers.RescaleAction"
        )
