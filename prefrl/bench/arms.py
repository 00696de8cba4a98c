"""The arms of a grid: the product of its axes, named after what tells them apart, and the controls beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from prefrl.bench.reading import Settings, listed, settings_in
from prefrl.config.methods import PRESETS
from prefrl.config.settings import Config
from prefrl.config.values import names, update
from prefrl.core.errors import UserError, brief, near

CEILING = "true"
CONTROLS = tuple(name for name, method in PRESETS.items() if "reward.source" in method.settings)
AXES = {
    "teachers": "teacher.name",
    "strategies": "questions.strategy",
    "schedules": "questions.schedule",
    "budgets": "questions.budget",
}
"""Key of a grid -> the setting that it varies."""
ONE_OF = {"teachers": "teacher", "strategies": "strategy", "schedules": "schedule", "variants": "variant"}

ELSEWHERE = {"env": "environments", "seed": "seeds"}


@dataclass(frozen=True)
class Arm:
    """One line of a table: what is the same for all its seeds. `labels`: its value on each axis."""

    name: str
    settings: Settings
    method: str
    labels: dict[str, Any] = field(default_factory=dict)
    control: bool = False


def arms_in(content: Settings, settings: Settings) -> tuple[Arm, ...]:
    """The product of all axes, named after those along which arms differ."""
    methods = named_in(content, "methods", [name for name in PRESETS if name not in CONTROLS], ("christiano",))
    axes: dict[str, dict[Any, Settings]] = {"methods": {name: dict(PRESETS[name].settings) for name in methods}}
    for key, setting in AXES.items():
        if key in content:
            given = [settings_in({setting: value}, key) for value in listed(content, key)]
            if key == "budgets" and any(one[setting] < 1 for one in given):
                raise UserError("budgets: an agent that asks nothing is the control zero; start at 1")
            axes[key] = {one[setting]: one for one in given}  # by value as it was understood: 1e2 is text to YAML
    for setting, values in _vary(content, settings).items():
        axes[setting] = {"-".join(map(str, v)) if isinstance(v, list) else v: {setting: v} for v in values}
    if "variants" in content:
        axes["variants"] = _variants(content["variants"])
    _refuse_conflicts(axes, settings)
    wide = [key for key, values in axes.items() if len(values) > 1] or list(axes)
    return tuple(
        Arm(
            ", ".join(label(key, labels[key]) for key in wide),
            {setting: value for key in axes for setting, value in axes[key][labels[key]].items()},
            labels["methods"],
            labels,
        )
        for labels in (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
    )


def label(key: str, value: object) -> str:
    """What an arm is along one axis of the grid, in a word or two."""
    if key == "budgets":
        return f"{value} questions"
    if "." in key or key == "steps":
        return f"{key.split('.')[-1]} {value}"
    return f"{ONE_OF.get(key, key)} {value}" if value in CONTROLS else str(value)  # schedule constant, not the control


def control_arms(controls: Iterable[str], arms: tuple[Arm, ...], settings: Settings) -> list[Arm]:
    """The first method with another source of reward. Shuffled answers get the largest budget: whatever leaks, leaks
    most there. The others ask nothing, and stay the same runs in every grid."""
    base = dict(PRESETS[arms[0].method].settings)
    asked = [arm.settings.get("questions.budget", settings.get("questions.budget")) for arm in arms]
    most = max((n for n in asked if n is not None), default=None)
    budgets = {"shuffled": {"questions.budget": most}} if most is not None else {}
    return [Arm(name, base | budgets.get(name, {}) | PRESETS[name].settings, name, {}, True) for name in controls]


def _refuse_conflicts(axes: dict[str, dict[Any, Settings]], settings: Settings) -> None:
    """Raise UserError for a setting that is given twice: one of the two would win unnoticed."""
    set_by: dict[str, str] = dict.fromkeys(settings, "settings")
    for key, values in axes.items():
        for setting in dict.fromkeys(name for one in values.values() for name in one):
            if setting in set_by:
                raise UserError(f"{setting} is set by {set_by[setting]}: and again by {key}:; take one of them out")
            set_by[setting] = key
    if {"human"} & (set(axes["methods"]) | set(axes.get("teachers", ()))) or settings.get("teacher.name") == "human":
        raise UserError("a benchmark has no people to ask; take human out of the grid, or train with --preset human")


def _vary(content: Settings, settings: Settings) -> dict[str, list[Any]]:
    axes = content.get("vary", {})
    if not isinstance(axes, dict):
        raise UserError(f"vary: {brief(axes)} must name settings, like vary: {{questions.length: [10, 25]}}")
    known, taken = names(update(Config(), settings)), ELSEWHERE | {setting: key for key, setting in AXES.items()}
    for setting in axes:
        if setting in taken:
            raise UserError(f"vary: {setting} is set by {taken[setting]}:")
        if setting == "steps":
            raise UserError("vary: steps would compare runs with a ceiling at another budget; make one grid for each")
        if setting not in known:
            raise UserError(f"vary: unknown setting {setting!r}{near(str(setting), known)}")
        if wrong := [value for value in listed(axes, setting, where="vary: ") if isinstance(value, dict)]:
            raise UserError(f"vary: {setting}: {brief(wrong[0])} must be a value")
    return {setting: listed(axes, setting) for setting in axes}


def _variants(content: object) -> dict[str, Settings]:
    if not isinstance(content, dict) or not content:
        example = "variants: {one: {reward.members: 1}}"
        raise UserError(f"variants: {brief(content)} must be names with settings, like {example}")
    found = {str(name): settings_in(one or {}, f"variants: {name}") for name, one in content.items()}
    if len(found) < len(content):
        raise UserError(f"variants: two of {brief(list(content))} are the same name; call one of them something else")
    if fixed := [setting for one in found.values() for setting in one if setting in ELSEWHERE or setting == "steps"]:
        raise UserError(f"variants: {fixed[0]} cannot differ between arms that are compared")
    return found


def named_in(content: Settings, key: str, known: Iterable[str], default: Iterable[str]) -> list[str]:
    """Names out of a table. YAML reads the name `true` as yes."""
    given = listed(content, key, tuple(default)) if content.get(key, True) is not True else list(default)
    found = ["true" if name is True else name for name in given]
    for name in found:
        if name not in known:
            if key == "methods" and name in CONTROLS:
                raise UserError(f"methods: {name} is a control, and belongs under controls:, where all are by default")
            raise UserError(f"{key}: unknown {name!r}{near(str(name), known)}")
    return found
