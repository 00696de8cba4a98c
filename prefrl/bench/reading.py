"""Read the YAML file of a grid or a search; errors name what is empty, unknown or there twice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from prefrl.config import values
from prefrl.config.settings import RETIRED, Config, get
from prefrl.config.values import dotted, update
from prefrl.core.errors import UserError, brief

Settings = dict[str, Any]
Number = TypeVar("Number", int, None)


def read_yaml(path: Path | str) -> Settings:
    """The content of a YAML file by key. Raises UserError if it is empty."""
    content = values.read_yaml(path)
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{path} holds {brief(content) if content else 'nothing'}; expected at least environments: [Pendulum-v1]"
        )
    return content


def settings_in(content: object, where: str) -> Settings:
    """Settings by dotted name, of the types that they have. Raises UserError for others."""
    flat = flat_settings(content, where)
    made = update(Config(), flat, where)
    return {name: get(made, name) for name in flat if name not in RETIRED}


def flat_settings(content: object, where: str) -> Settings:
    """Settings by dotted name, however they were nested."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: {brief(content)} must be settings by name, like {{steps: 100000}}")
    return dotted(content)


def listed(content: Settings, key: str, default: Iterable[Any] | None = None, where: str = "") -> list[Any]:
    """The values under a key, none twice."""
    if key not in content and default is not None:
        return list(default)
    given = content.get(key)
    if isinstance(given, str | int | float):
        given = [given]
    if not isinstance(given, list) or not given:
        raise UserError(f"{where}{key}: {brief(given) if given else 'nothing'} is there to run; give a list of values")
    if twice := [value for at, value in enumerate(given) if value in given[:at]]:
        raise UserError(f"{where}{key}: {brief(twice[0])} is there twice")
    return given


def whole(content: Settings, key: str, default: Number, least: int, what: str) -> int | Number:
    """The whole number under a key. Raises UserError for anything else, and for one below `least`."""
    given = content.get(key, default)
    if given is not default and (isinstance(given, bool) or not isinstance(given, int) or given < least):
        raise UserError(f"{key}: {brief(given)} must be a number of {what}")
    return given
