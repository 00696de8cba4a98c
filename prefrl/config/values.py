"""Settings by name, nested or dotted, from YAML or Python: checked and put into a Config."""

from __future__ import annotations

import re
import warnings
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from inspect import formatannotation
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from prefrl.config.settings import RETIRED, Config, Values, with_agent
from prefrl.core.errors import UserError, brief, near, why

MAIN = {"agent": "algorithm", "teacher": "name"}  # the setting that a bare name is for: `teacher: noisy`
AGENT = "agent.algorithm"  # the setting that decides which others exist
DOTS = 2  # in the longest name: mechanisms.NAME.SETTING


def names(config: Config | None = None) -> list[str]:
    """The dotted names of all settings of a configuration; of the default one if none is given."""
    return list(dotted(as_dict(config or Config())))


def update(config: Config, settings: Values, where: str = "") -> Config:
    """The same run with other settings, given nested ({"agent": {"gamma": .9}}) or dotted ({"agent.gamma": .9}).

    where: the file they come from, for errors. Another agent brings its own settings; retired ones are left out.
    """
    flat, source = dotted(settings), f" in {where}" if where else ""
    for name in sorted(flat, key=lambda name: name != AGENT):
        value, (head, _, inside) = flat[name], name.partition(".")
        part = getattr(config, head, None)
        if name in RETIRED:
            if value != RETIRED[name]:
                warnings.warn(f"{name}={brief(value)}{source} is ignored: this setting no longer exists", stacklevel=2)
        elif inside and head == "mechanisms":
            config = replace(config, mechanisms=_with_mechanism(config.mechanisms, inside, value, source))
        elif inside and is_dataclass(part):
            config = replace(config, **{head: _with(part, inside, value, name, source, config)})
        else:
            config = _with(config, name, value, name, source, config)
    return config


def with_settings(part: Any, settings: Values, name: str) -> Any:
    """A copy of a dataclass of settings that is no part of Config, with these values. name: of the part, for errors"""
    for field, value in settings.items():
        part = _with(part, field, value, f"{name}.{field}", "", None)
    return part


def _with(part: Any, field: str, value: object, name: str, source: str, config: Config | None) -> Any:
    """A copy of a part, with another value of one field. name, source and config are for errors."""
    hints = _hints(type(part))  # type: ignore[arg-type]  # mypy thinks that types have no hash
    if field not in hints:
        own = [name.removesuffix(field) + hint for hint in hints]
        known = own if config is None else names(config) + ([] if "." in name else own)
        raise UserError(f"unknown setting {name!r}{source}{near(name, known)}")
    try:
        typed = _typed(value, hints[field])
    except (TypeError, ValueError, OverflowError) as fault:
        raise UserError(
            f"{name}={brief(value)}{source} must be {_expected(getattr(part, field), hints[field])}"
        ) from fault
    return with_agent(part, typed) if name == AGENT else replace(part, **{field: typed})


_hints = cache(get_type_hints)


def _typed(value: Any, hint: Any) -> Any:
    """The value in the type of its setting: YAML says 1e-3 as a string, and lists for tuples. Raises ValueError."""
    if NoneType in get_args(hint):
        return None if value is None else _typed(value, next(kind for kind in get_args(hint) if kind is not NoneType))
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_typed(entry, get_args(hint)[0]) for entry in value)
    if hint is int and not isinstance(value, bool) and float(value).is_integer():
        return int(float(value))
    if hint is float and not isinstance(value, bool):
        return float(value)
    text = hint is str or get_origin(hint) is Literal
    if isinstance(value, str) if text else hint is bool and isinstance(value, bool):
        return value
    raise ValueError(value)


def _expected(old: object, hint: Any) -> str:
    if is_dataclass(old):
        return f"settings by name, like {{{fields(old)[0].name}: ...}}"
    if isinstance(old, dict):
        return "names with settings, like {NAME: {SETTING: ...}}"
    return f"{formatannotation(hint)}, like {old!r}"


def _with_mechanism(mechanisms: dict[str, Values], inside: str, value: object, source: str) -> dict[str, Values]:
    """The settings of all mechanisms, with another value of one. inside: NAME or NAME.SETTING. Mechanisms check them."""
    name, _, setting = inside.partition(".")
    if not setting and value not in (None, {}):
        raise UserError(f"mechanisms.{name}={brief(value)}{source} must be settings by name, like {{weight: 0.1}}")
    changed = {setting: _number(value)} if setting else {}
    return mechanisms | {name: mechanisms.get(name, {}) | changed}


def _number(value: object) -> object:
    """1e-3 as a number, which is text to YAML."""
    scientific = isinstance(value, str) and re.fullmatch(r"[-+]?(\d+\.?|\d*\.\d+)[eE][-+]?\d+", value)
    return float(scientific[0]) if scientific else value


def dotted(settings: Values, prefix: str = "") -> Values:
    """The same settings by their dotted names: {"agent": {"gamma": .9}} -> {"agent.gamma": .9}"""
    flat: Values = {}
    for short, value in settings.items():
        name = f"{prefix}{short}"
        value = {MAIN[name]: value} if name in MAIN and isinstance(value, str) else value
        inside = isinstance(value, dict) and name.count(".") < DOTS and (value or "." not in name)
        part = dotted(value, f"{name}.") if inside else {name: value}
        if twice := flat.keys() & part.keys():
            raise UserError(f"{min(twice)} is there twice")
        flat |= part
    return flat


def as_dict(config: Config) -> Values:
    """Plain types, for YAML and JSON."""
    return _plain(asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def load(path: Path | str) -> Config:
    """The configuration in a YAML file, the rest at its defaults."""
    return update(Config(), read(path), str(path))


def read(path: Path | str) -> Values:
    """The settings in a YAML file, not checked yet."""
    settings = read_yaml(path, "the configuration ")
    if not isinstance(settings, dict):
        content = "nothing" if settings is None else brief(settings)
        raise UserError(f"{path} holds {content}; expected settings such as 'steps: 100000'")
    return settings


def read_yaml(path: Path | str, what: str = "") -> Any:
    """The content of a YAML file. Raises UserError if it cannot be read or parsed."""
    try:
        return _NoKeyTwice(Path(path).read_text()).get_single_data()
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"cannot read {what}{path}: {why(fault)}") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise UserError(f"{path} is not YAML: {fault}") from fault


class _NoKeyTwice(yaml.SafeLoader):
    """The safe loader, which refuses duplicate keys: YAML would silently keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for at, key in enumerate(keys):
            if key in keys[:at]:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)
