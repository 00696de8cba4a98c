"""Make environments by Gymnasium id or function, and refuse spaces that the agent cannot use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import error, spaces

import envs  # noqa: F401  registers the tasks of ours
from envs import packages, picture_wrappers
from envs.atari import PROTOCOLS, is_atari, make_atari
from prefrl.config.settings import PixelConfig
from prefrl.core.errors import UserError, near, pick
from prefrl.environments.faults import environment_errors
from prefrl.environments.flat import with_flat_observations
from prefrl.environments.offscreen import draw_without_a_screen

MakeEnv = Callable[..., gym.Env]

PATIENCE = 1000  # time limit of MinAtar, which has none: a policy may stand in a corner for ever

draw_without_a_screen()  # on import: all who make environments import this, before any simulator


def env_maker(env: str | MakeEnv, render_mode: str | None = None, pixels: PixelConfig | None = None) -> MakeEnv:
    """A function that makes one environment, for a Gymnasium id or a function of the user's.

    Tuples and nested dicts of observations become flat dicts; else the user's environment is left as it is.
    """
    if not isinstance(env, str):
        return _users_maker(env, render_mode)
    _require_known(env)
    shown = pixels or PixelConfig()
    make_one = pick(SHOWN, shown.show, "pixels.show")[0]

    def make() -> gym.Env:
        try:
            return with_flat_observations(make_one(env, render_mode, shown))
        except error.DependencyNotInstalled as fault:
            raise UserError(
                f"{env} needs a package that is not installed: {fault}. Try: pip install 'prefrl[{_extra(env, fault)}]'"
            ) from fault
        except error.Error as fault:
            raise UserError(f"cannot make {env}: {fault}") from fault
        except OSError as fault:  # a ROM is missing
            raise UserError(
                f"cannot load the game of {env}: {fault}. ale-py brings its ROMs along; reinstall it:"
                " pip install --force-reinstall ale-py"
            ) from fault

    return make


class FreshWorld(gym.Wrapper):
    """Gives Gymnasium's BipedalWalker a new Box2D world at each reset, so that episodes can be reproduced.

    Gymnasium empties the old one instead, and Box2D's solver goes through contacts in an order that depends on earlier
    episodes: the same seed and actions then differ in the last digits, and soon in all. LunarLander was fixed in
    Gymnasium itself.
    """

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        walker: Any = self.env.unwrapped
        walker._destroy()  # frees the bodies in the old world; nothing is left for Gymnasium to free
        walker.world = type(walker.world)()
        return self.env.reset(**how)


def with_fresh_world(env: gym.Env) -> gym.Env:
    """The environment, wrapped if it is a BipedalWalker."""
    kinds = {(kind.__module__, kind.__name__) for kind in type(env.unwrapped).__mro__}
    return FreshWorld(env) if ("gymnasium.envs.box2d.bipedal_walker", "BipedalWalker") in kinds else env


def _raw(env: str, render_mode: str | None, shown: PixelConfig) -> gym.Env:
    return with_fresh_world(gym.make(env, render_mode=render_mode))


def _atari(env: str, render_mode: str | None, shown: PixelConfig) -> gym.Env:
    protocol = pick(PROTOCOLS, shown.atari, "pixels.atari")
    return _stacked(make_atari(env, protocol, shown.size, shown.mask, render_mode), shown)


def _drawn(env: str, render_mode: str | None, shown: PixelConfig) -> gym.Env:
    return _stacked(picture_wrappers.drawn(_raw(env, "rgb_array", shown)), shown)


def _auto(env: str, render_mode: str | None, shown: PixelConfig) -> gym.Env:
    if is_atari(env):
        return _atari(env, render_mode, shown)
    made = _raw(env, render_mode, shown)
    if picture_wrappers.is_grid(made):
        made = picture_wrappers.grid_picture(made)
    if picture_wrappers.is_planes(made.observation_space):
        return picture_wrappers.Planes(gym.wrappers.TimeLimit(made, PATIENCE))
    return _stacked(made, shown) if picture_wrappers.is_picture(made.observation_space) else made


def _stacked(env: gym.Env, shown: PixelConfig) -> gym.Env:
    return picture_wrappers.Stacked(picture_wrappers.Small(env, shown.size, shown.grey), shown.stack)


SHOWN: dict[str, tuple[Callable[[str, str | None, PixelConfig], gym.Env], str]] = {
    "auto": (_auto, "pictures where the environment shows pictures, Atari preprocessed as usual, all else as it is"),
    "drawn": (_drawn, "what it renders, in place of its observations: the pixel version of a task"),
    "raw": (_raw, "as it is, pictures too"),
}
"""Name -> how the environment is wrapped, and a line for `prefrl list`."""


def _extra(env: str, fault: Exception) -> str:
    """The extra of prefrl that installs the package that an environment needs."""
    if package := packages.package_of(env):
        return package.extra
    return "box2d" if "box2d" in str(fault).lower() else "mujoco"


def _users_maker(make_env: MakeEnv, render_mode: str | None) -> MakeEnv:
    def make() -> gym.Env:
        with environment_errors("while it was made"):
            made = make_env() if render_mode is None else make_env(render_mode=render_mode)
        if not isinstance(made, gym.Env):
            raise UserError(f"env= gave {type(made).__name__}; expected a function that makes a gymnasium.Env")
        return with_flat_observations(with_fresh_world(made))

    return make


def _require_known(env: str) -> None:
    if ":" in env:
        module, _, name = env.partition(":")
        raise UserError(
            f"env={env!r} would import a module; say so with --import {module} --env {name}, or import it in Python"
        )
    try:
        packages.register(env)
    except ImportError as fault:
        raise UserError(
            f"{env} needs a package that is not installed: {fault}. Try: pip install 'prefrl[{_extra(env, fault)}]'"
        ) from fault
    try:
        gym.spec(env)
    except error.Error as fault:
        known = [name for name in gym.registry if not name.startswith(("phys2d", "tabular", "GymV"))]
        raise UserError(f"unknown environment {env!r}{near(env, known)}\n({fault})") from fault


SUPPORTED = "Box, Discrete, MultiDiscrete and MultiBinary"


def check_spaces(env: Any) -> None:
    """Raise UserError for a space that the agent, the recorder or the reward model cannot take."""
    space = env.observation_space
    if isinstance(space, spaces.Dict):
        if not space.spaces or "" in space.spaces:
            raise UserError(
                f"the observation space is {space}; every part of a Dict needs a name, and there must be some"
            )
        for key, part in space.spaces.items():
            _check_space(part, f"observation space {key!r}", _remedy(key, part))
    else:
        _check_space(space, "observation space", _remedy("", space))
    _check_space(env.action_space, "action space", "map one of them to it with gymnasium.wrappers.TransformAction")
    if isinstance(env.action_space, spaces.Box) and not env.action_space.is_bounded():
        raise UserError(
            f"the action space {env.action_space} has no bounds; give it some with gymnasium.wrappers.RescaleAction"
        )


def _remedy(key: str, space: spaces.Space) -> str:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return "make the environment with prefrl.environments.flat.FlatObservations(env), as env= and names do by themselves"
    keep = f"leave {key!r} out with gymnasium.wrappers.FilterObservation, or turn" if key else "turn"
    return f"{keep} it into numbers with gymnasium.wrappers.TransformObservation"


def _check_space(space: spaces.Space, name: str, remedy: str) -> None:
    if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        raise UserError(f"the {name} is {space}; prefrl takes {SUPPORTED}. {remedy[0].upper()}{remedy[1:]}")
    if np.any(getattr(space, "start", 0)):
        raise UserError(f"the {name} {space} does not start at 0, and Stable-Baselines3 counts from 0; shift it")
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and len(space.shape) != 1:
        raise UserError(f"the {name} {space} has {len(space.shape)} axes; Stable-Baselines3 takes one. Flatten it")
