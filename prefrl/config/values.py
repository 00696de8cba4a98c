"""Settings by name: told nested or dotted, in YAML or from Python; checked, and put into a Config."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from prefrl.config.settings import PARTS, Config
from prefrl.core.errors import UserError, brief, near, why

CHIEF = {"agent": "algorithm", "teacher": "name"}  # what a part is called by: teacher: noisy


def names(part: Any = Config, prefix: str = "") -> list[str]:
    """All dotted names of settings."""
    found: list[str] = []
    for one in dataclasses.fields(part):
        kind = PARTS.get(one.name)
        found += names(kind, f"{prefix}{one.name}.") if kind else [prefix + one.name]
    return found


def update(config: Config, settings: dict[str, Any], where: str = "") -> Config:
    """The same run with other settings, given nested ({"agent": {"gamma": .9}}) or dotted ({"agent.gamma": .9})."""
    for name, value in settings.items():
        head, _, rest = str(name).partition(".")
        value = _spelled_out(str(name), value)
        if head in PARTS and (rest or isinstance(value, dict)):
            inner = {rest: value} if rest else value
            config = dataclasses.replace(config, **{head: _update_part(getattr(config, head), inner, head, where)})
        else:
            config = dataclasses.replace(config, **_one(config, str(name), value, "", where))
    return config


def _spelled_out(name: str, value: Any) -> Any:
    return {CHIEF[name]: value} if name in CHIEF and isinstance(value, str) else value


def _update_part(part: Any, settings: dict[str, Any], prefix: str, where: str) -> Any:
    for name, value in settings.items():
        part = dataclasses.replace(part, **_one(part, str(name), value, f"{prefix}.", where))
    return part


def _one(part: Any, name: str, value: Any, prefix: str, where: str) -> dict[str, Any]:
    known = {one.name: one for one in dataclasses.fields(part)}
    if name not in known:
        full = near(prefix + name, [*names(), *PARTS] if not prefix else names())
        raise UserError(f"unknown setting {prefix + name!r}{' in ' + where if where else ''}{full}")
    return {name: _typed(getattr(part, name), value, str(known[name].type), prefix + name, where)}


def _typed(old: Any, value: Any, declared: str, name: str, where: str) -> Any:
    """The value in the type that the setting has; YAML says 1e-3 as a string, and lists for tuples."""
    wanted = declared.removesuffix(" | None")
    if value is None and declared.endswith("| None"):
        return None
    try:
        if wanted == "bool" and isinstance(value, bool):
            return value
        if wanted == "int" and not isinstance(value, bool) and float(value) == int(float(value)):
            return int(float(value))
        if wanted == "float" and not isinstance(value, bool):
            return float(value)
        if wanted.startswith("tuple[") and isinstance(value, list | tuple):
            inner = wanted.removeprefix("tuple[").removesuffix(", ...]")
            like = {"int": 0, "float": 0.5, "str": ""}[inner]
            return tuple(_typed(like, one, inner, name, where) for one in value)
        if wanted in ("str", "Source") and isinstance(value, str):
            return value
    except (TypeError, ValueError, OverflowError):
        pass
    expected = (
        f"settings by name, like {{{names(PARTS[name])[0]}: ...}}" if name in PARTS else f"{declared}, like {old!r}"
    )
    raise UserError(f"{name}={brief(value)}{' in ' + where if where else ''} must be {expected}")


def load(path: Path | str, base: Config | None = None) -> Config:
    """Settings from a YAML file on top of `base`."""
    return update(base or Config(), read(path), str(path))


def read(path: Path | str) -> dict[str, Any]:
    """What a YAML file of settings says, not checked yet."""
    settings = parsed(path, "the configuration ")
    if not isinstance(settings, dict):
        found = "nothing" if settings is None else brief(settings)
        raise UserError(f"{path} holds {found}; expected settings such as 'steps: 100000'")
    return settings


def parsed(path: Path | str, what: str = "") -> Any:
    """What a YAML file says. Raises UserError if it cannot be read or is none."""
    try:
        return _Once(Path(path).read_text()).get_single_data()
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"cannot read {what}{path}: {why(fault)}") from fault
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        raise UserError(f"{path} is not YAML: {fault}") from fault


class _Once(yaml.SafeLoader):
    """The safe loader, to which a key that is there twice is a mistake: YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for at, key in enumerate(keys):
            if key in keys[:at]:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def as_dict(config: Config) -> dict[str, Any]:
    """Plain types, for YAML and JSON."""
    return _plain(dataclasses.asdict(config))


def dotted(told: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The same settings by their dotted names: {"agent": {"gamma": .9}} -> {"agent.gamma": .9}"""
    found: dict[str, Any] = {}
    for name, value in told.items():
        value = _spelled_out(f"{prefix}{name}", value)
        part = dotted(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        if twice := found.keys() & part.keys():
            raise UserError(f"{min(twice)} is there twice")
        found |= part
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
