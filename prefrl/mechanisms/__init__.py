"""Mechanisms: what is done to the policy beside paying it the learned reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from prefrl.config.settings import Config
from prefrl.core.errors import UserError, near, pick
from prefrl.mechanisms.base import Mechanism
from prefrl.mechanisms.bounds import Bounds
from prefrl.mechanisms.several import Mechanisms

MECHANISMS: dict[str, type[Mechanism]] = {
    "bounds": Bounds,
}
"""Name -> class. Its docstring's first line is shown by `prefrl list`."""


def check_mechanisms(given: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError for a mechanism, or a setting of one, that does not exist."""
    for name, settings in given.items():
        known = [one.name for one in fields(pick(MECHANISMS, name, "mechanism").Settings)]
        for setting in settings:
            if setting not in known:
                raise UserError(f"unknown setting 'mechanisms.{name}.{setting}'{near(setting, known)}")


def make_mechanisms(config: Config, brought: Sequence[Mechanism] = ()) -> Mechanisms:
    """Those that the settings ask for, then those that the user brought along."""
    check_mechanisms(config.mechanisms)
    made = {name: kind.make(name, config) for name, kind in MECHANISMS.items()}
    named = {name: mechanism for name, mechanism in made.items() if mechanism is not None}
    for mechanism in brought:
        name = mechanism.name or type(mechanism).__name__
        if name in named:
            raise UserError(f"two mechanisms are called {name!r}; give one another name: class ...: name = '...'")
        named[name] = mechanism
    return Mechanisms(named)
