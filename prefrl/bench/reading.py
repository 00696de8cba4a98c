"""Reading what a grid or a search says in YAML; whatever is empty, unknown or there twice is named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefrl.config import values
from prefrl.config.settings import RETIRED, Config, get
from prefrl.config.values import dotted, update
from prefrl.core.errors import UserError, brief

Settings = dict[str, Any]


def read_yaml(path: Path | str) -> Settings:
    """What a YAML file says by key. Raises UserError if that is nothing."""
    told = values.read_yaml(path)
    if not isinstance(told, dict) or not told:
        raise UserError(
            f"{path} holds {brief(told) if told else 'nothing'}; expected at least environments: [Pendulum-v1]"
        )
    return told


def settings_in(told: Any, where: str) -> Settings:
    """Settings by dotted name, of the types that they have. Raises UserError for others."""
    flat = flat_settings(told, where)
    made = update(Config(), flat, where)
    return {name: get(made, name) for name in flat if name not in RETIRED}


def flat_settings(told: Settings, where: str) -> Settings:
    """Settings by dotted name, however they were nested."""
    if not isinstance(told, dict):
        raise UserError(f"{where}: {brief(told)} must be settings by name, like {{steps: 100000}}")
    return dotted(told)


def listed(told: Settings, key: str, default: Iterable[Any] | None = None, where: str = "") -> list[Any]:
    """The values under a key, none twice."""
    if key not in told and default is not None:
        return list(default)
    given = told.get(key)
    if isinstance(given, str | int | float):
        given = [given]
    if not isinstance(given, list) or not given:
        raise UserError(
            f"{where}{key}: {'nothing' if not given else brief(given)} is there to run; give a list of values"
        )
    if twice := [value for at, value in enumerate(given) if value in given[:at]]:
        raise UserError(f"{where}{key}: {brief(twice[0])} is there twice")
    return given
