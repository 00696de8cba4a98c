"""Mechanisms: changes to policy learning beyond the learned reward, such as costs, losses and proposed actions."""

from __future__ import annotations

from collections.abc import Sequence

from prefrl.config.settings import Config
from prefrl.config.values import with_settings
from prefrl.core.errors import UserError, pick
from prefrl.mechanisms.base import Mechanism
from prefrl.mechanisms.bounds import Bounds
from prefrl.mechanisms.several import Mechanisms

MECHANISMS: dict[str, type[Mechanism]] = {"bounds": Bounds}
"""Name -> class. Its docstring's first line is shown by `prefrl list`."""


def check_mechanisms(config: Config) -> None:
    """Raise UserError for a mechanism that does not exist, or for settings that it does not take."""
    for name, settings in config.mechanisms.items():
        with_settings(pick(MECHANISMS, name, "mechanism").Settings(), settings, f"mechanisms.{name}")


def make_mechanisms(config: Config, own: Sequence[Mechanism] = ()) -> Mechanisms:
    """The mechanisms that the settings name, then the user's own."""
    check_mechanisms(config)
    named = {name: made for name, kind in MECHANISMS.items() if (made := kind.make(name, config)) is not None}
    for mechanism in own:
        name = mechanism.name or type(mechanism).__name__
        if name in named:
            raise UserError(f"two mechanisms are called {name!r}; give one another name: class ...: name = '...'")
        named[name] = mechanism
    return Mechanisms(named)
