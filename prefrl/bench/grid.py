"""A grid: environments x methods x teachers x strategies x schedules x budgets x variants x seeds, beside the controls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from prefrl.bench.cache import EVALUATION, Job
from prefrl.bench.reading import Settings, listed, read_yaml, settings_in
from prefrl.config import Config
from prefrl.configure import as_dict, names, update
from prefrl.errors import UserError, brief, near
from prefrl.evaluation.statistics import ENOUGH_SEEDS, FEWEST_SEEDS
from prefrl.presets import PRESETS, tuned

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
LEAN = {"record.tensorboard": False, "record.video": False}
TUNING = 1000  # seeds from here on are for tuning; those below report


@dataclass(frozen=True)
class Arm:
    """One line of a table: what is the same for all its seeds. `labels` says by axis what it is."""

    name: str
    settings: Settings
    method: str
    labels: dict[str, Any] = field(default_factory=dict)
    control: bool = False


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    env: str
    arm: Arm
    job: Job


@dataclass(frozen=True)
class Grid:
    """What a file says, checked for contradictions. `cells` are its runs, `floors` the environments' random policies."""

    name: str
    told: Settings  # the file, for the report
    environments: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    arms: tuple[Arm, ...]
    modules: tuple[str, ...] = ()
    evaluation: int = EVALUATION  # steps
    control_seeds: int | None = None  # the first so many, for all controls but the ceiling; None: all

    def seeds_of(self, arm: Arm) -> tuple[int, ...]:
        """All of them, but for controls other than the ceiling perhaps fewer."""
        return self.seeds[: self.control_seeds] if arm.control and arm.name != CEILING else self.seeds

    def config(self, env: str, arm: Arm, seed: int) -> Config:
        base = update(Config(env=env), tuned(env))
        return update(base, {**self.settings, **arm.settings, **LEAN, "seed": seed})

    @property
    def cells(self) -> list[Cell]:
        """Seed by seed, so that a sweep that is stopped early has something to say about every arm."""
        return [
            Cell(env, arm, Job(self.config(env, arm, seed), "run", self.modules, self.evaluation))
            for seed in self.seeds
            for env in self.environments
            for arm in self.arms
            if seed in self.seeds_of(arm)
        ]

    @property
    def floors(self) -> dict[str, Job]:
        """Of the same task: on Atari actions may stick or not."""
        atari = {env: self.config(env, self.arms[0], 0).pixels.atari for env in self.environments}
        configs = {env: update(Config(env=env), {"pixels.atari": atari[env]}) for env in self.environments}
        return {env: Job(config, "floor", self.modules, self.evaluation) for env, config in configs.items()}

    @property
    def cautions(self) -> list[str]:
        """What a reader of the results should know about their seeds."""
        count = len(self.seeds)
        found = []
        if count < FEWEST_SEEDS:
            found.append(f"{count} seeds give no interval: nothing can be claimed from this")
        elif count < ENOUGH_SEEDS:
            found.append(f"{count} seeds: a 95 % interval covers less than that; {ENOUGH_SEEDS} are enough to report")
        if tuning := [seed for seed in self.seeds if seed >= TUNING]:
            found.append(f"seeds from {TUNING} on are for tuning ({brief(tuning)}); report with others")
        if self.evaluation < EVALUATION // 5:
            found.append(f"evaluation: {self.evaluation} steps score policies and the floor with much noise")
        return found


def read_grid(path: Path | str, **more: Any) -> Grid:
    """The grid in a YAML file, with more keys set. Raises UserError for what is empty, unknown or contradictory."""
    return make_grid(read_yaml(path) | more, Path(path).stem)


KEYS = (
    "name", "environments", "methods", *AXES, "vary", "variants", "controls", "seeds", "control_seeds", "few_seeds", "settings", "import",
    "evaluation",
)  # fmt: skip


def make_grid(told: Settings, name: str = "grid") -> Grid:
    """A grid from what its file says; see KEYS. Raises UserError for what is empty, unknown or contradictory."""
    for key in told:
        if key not in KEYS:
            if key in ELSEWHERE:
                given = told[key] if isinstance(told[key], list) else [told[key]]
                raise UserError(f"{key}: is said by {ELSEWHERE[key]}: in a grid, like {ELSEWHERE[key]}: {brief(given)}")
            if str(key) in names():
                raise UserError(f"{key} is a setting of every run; say settings: {{{key}: {brief(told[key])}}}")
            raise UserError(f"unknown key {str(key)!r} in the grid{near(str(key), KEYS)}")
    few = told.get("few_seeds", False)
    if not isinstance(few, bool):
        raise UserError(f"few_seeds: {brief(few)} must be true or false")
    settings = settings_in(told.get("settings", {}), "settings")
    for setting, key in ELSEWHERE.items():
        if setting in settings:
            raise UserError(f"settings: {setting} is said by {key}:, not by settings:")
    if "controls" in told and told["controls"] is None:
        raise UserError("controls: is empty; say which, or false for none, or leave it out for all of them")
    controls = _names(told, "controls", CONTROLS, CONTROLS) if told.get("controls", True) else ()
    arms = _arms(told, settings)
    grid = Grid(
        str(told.get("name", name)), told, tuple(_texts(told, "environments")), _seeds(told), settings,
        (*arms, *_control_arms(controls, arms, settings)), tuple(_texts(told, "import", ())),
        _evaluation(told), _control_seeds(told),
    )  # fmt: skip
    _refuse_twins(grid)
    _refuse_unlike_tasks(grid)
    return grid


def _texts(told: Settings, key: str, default: Iterable[str] | None = None) -> list[str]:
    given = listed(told, key, default)
    if wrong := [value for value in given if not isinstance(value, str)]:
        raise UserError(f"{key}: {brief(wrong[0])} must be a name")
    return given


def _evaluation(told: Settings) -> int:
    steps = told.get("evaluation", EVALUATION)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UserError(f"evaluation: {brief(steps)} must be a number of steps, of which whole episodes are played")
    return steps


def _arms(told: Settings, settings: Settings) -> tuple[Arm, ...]:
    """The product of all axes."""
    methods = _names(told, "methods", [name for name in PRESETS if name not in CONTROLS], ("christiano",))
    axes: dict[str, dict[Any, Settings]] = {"methods": {name: dict(PRESETS[name].settings) for name in methods}}
    for key, setting in AXES.items():
        if key in told:
            given = [settings_in({setting: value}, key) for value in listed(told, key)]
            if key == "budgets" and any(one[setting] < 1 for one in given):
                raise UserError("budgets: an agent that asks nothing is the control zero; start at 1")
            axes[key] = {one[setting]: one for one in given}  # by value as it was understood: 1e2 is text to YAML
    for setting, values in _vary(told).items():
        axes[setting] = {_label(value): {setting: value} for value in values}
    if "variants" in told:
        axes["variants"] = _variants(told["variants"])
    _refuse_conflicts(axes, settings)
    chosen = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    wide = [key for key, values in axes.items() if len(values) > 1]
    return tuple(_arm({key: (value, axes[key][value]) for key, value in one.items()}, wide) for one in chosen)


def _arm(parts: dict[str, tuple[Any, Settings]], wide: list[str]) -> Arm:
    """Named after the axes along which arms differ."""
    labels = {key: value for key, (value, _) in parts.items()}
    told = [_named(key, labels[key]) for key in wide] or [_named(key, labels[key]) for key in parts]
    merged = {setting: value for _, one in parts.values() for setting, value in one.items()}
    return Arm(", ".join(told), merged, labels["methods"], labels)


def _named(key: str, value: Any) -> str:
    if key == "budgets":
        return f"{value} questions"
    if "." in key or key == "steps":
        return f"{key.split('.')[-1]} {value}"
    return f"{ONE_OF.get(key, key)} {value}" if value in CONTROLS else str(value)  # schedule constant, not the control


def _control_arms(controls: Iterable[str], arms: tuple[Arm, ...], settings: Settings) -> list[Arm]:
    """The first method with another source of reward. Shuffled answers get the largest budget: whatever leaks, leaks
    most there. The others ask nothing, and stay the same runs in every grid."""
    base = dict(PRESETS[arms[0].method].settings)
    asked = [arm.settings.get("questions.budget", settings.get("questions.budget")) for arm in arms]
    most = max((n for n in asked if n is not None), default=None)
    budgets = {"shuffled": {"questions.budget": most}} if most is not None else {}
    return [Arm(name, base | budgets.get(name, {}) | PRESETS[name].settings, name, {}, True) for name in controls]


def _refuse_conflicts(axes: dict[str, dict[Any, Settings]], settings: Settings) -> None:
    """Each setting is said once; else one of the two would win without a word."""
    said: dict[str, str] = dict.fromkeys(settings, "settings")
    for key, values in axes.items():
        for setting in dict.fromkeys(name for one in values.values() for name in one):
            if setting in said:
                raise UserError(f"{setting} is said by {said[setting]}: and again by {key}:; take one of them out")
            said[setting] = key
    if {"human"} & (set(axes["methods"]) | set(axes.get("teachers", ()))) or settings.get("teacher.name") == "human":
        raise UserError("a benchmark has no people to ask; take human out of the grid, or train with --preset human")


def _refuse_twins(grid: Grid) -> None:
    """Two arms of the same configuration would count as two, and two of one name as one."""
    called = [arm.name for arm in grid.arms]
    if twice := [name for at, name in enumerate(called) if name in called[:at]]:
        raise UserError(f"two arms are called {twice[0]!r}; call one of them something else")
    for env in grid.environments:
        seen: dict[str, Arm] = {}
        for arm in grid.arms:
            told = repr(as_dict(grid.config(env, arm, 0)))
            if told in seen:
                raise UserError(f"arms {seen[told].name!r} and {arm.name!r} are the same configuration; leave one out")
            seen[told] = arm


def _refuse_unlike_tasks(grid: Grid) -> None:
    """Arms are compared with one ceiling and one floor, of the same task in the same steps."""
    for env in grid.environments:
        for arm in grid.arms:
            first, one = (grid.config(env, each, 0) for each in (grid.arms[0], arm))
            for name, a, b in (
                ("steps", first.steps, one.steps),
                ("pixels.atari", first.pixels.atari, one.pixels.atari),
            ):
                if a != b:
                    raise UserError(
                        f"{env}: {grid.arms[0].name} has {name} {a} and {arm.name} {b}, which cannot be compared;"
                        " make one grid for each"
                    )


def _seeds(told: Settings) -> tuple[int, ...]:
    given = told.get("seeds", ENOUGH_SEEDS)
    if isinstance(given, bool) or not isinstance(given, int | list):
        raise UserError(f"seeds: {brief(given)} must be a number of seeds, or a list of them")
    seeds = tuple(range(given)) if isinstance(given, int) else tuple(listed(told, "seeds"))
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds):
        raise UserError(f"seeds: {brief(given)} must be whole numbers from 0 on")
    if not seeds:
        raise UserError(f"seeds: {brief(given)} leaves nothing to run")
    if len(seeds) < FEWEST_SEEDS and not told.get("few_seeds"):
        raise UserError(
            f"seeds: {len(seeds)} give no interval; {FEWEST_SEEDS} are the least and {ENOUGH_SEEDS} enough to report."
            " To try a grid out without intervals, say few_seeds: true (--few-seeds)"
        )
    return seeds


def _control_seeds(told: Settings) -> int | None:
    count = told.get("control_seeds")
    least = 1 if told.get("few_seeds") else FEWEST_SEEDS
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < least):
        raise UserError(f"control_seeds: {brief(count)} must be a number of seeds, {least} at least")
    return count


def _vary(told: Settings) -> dict[str, list[Any]]:
    axes = told.get("vary", {})
    if not isinstance(axes, dict):
        raise UserError(f"vary: {brief(axes)} must name settings, like vary: {{questions.length: [10, 25]}}")
    known, taken = names(), ELSEWHERE | {setting: key for key, setting in AXES.items()}
    for setting in axes:
        if setting in taken:
            raise UserError(f"vary: {setting} is said by {taken[setting]}:")
        if setting == "steps":
            raise UserError("vary: steps would compare runs with a ceiling at another budget; make one grid for each")
        if setting not in known:
            raise UserError(f"vary: unknown setting {setting!r}{near(str(setting), known)}")
    found = {setting: listed(axes, setting, where="vary: ") for setting in axes}
    for setting, values in found.items():
        if wrong := [value for value in values if isinstance(value, dict)]:
            raise UserError(f"vary: {setting}: {brief(wrong[0])} must be a value")
    return found


def _variants(told: Any) -> dict[str, Settings]:
    if not isinstance(told, dict) or not told:
        raise UserError(
            f"variants: {brief(told)} must be names with settings, like variants: {{one: {{reward.members: 1}}}}"
        )
    found = {str(name): settings_in(one or {}, f"variants: {name}") for name, one in told.items()}
    if len(found) < len(told):
        raise UserError(f"variants: two of {brief(list(told))} are the same name; call one of them something else")
    every = list(dict.fromkeys(setting for one in found.values() for setting in one))
    for setting in every:
        if setting in ELSEWHERE or setting == "steps":
            raise UserError(f"variants: {setting} cannot differ between arms that are compared")
    return found


def _names(told: Settings, key: str, known: Iterable[str], default: Iterable[str]) -> list[str]:
    """Names out of a table. YAML reads the name `true` as yes."""
    given = listed(told, key, tuple(default)) if told.get(key, True) is not True else list(default)
    found = ["true" if name is True else name for name in given]
    for name in found:
        if name not in known:
            if key == "methods" and name in CONTROLS:
                raise UserError(
                    f"methods: {name} is a control, and belongs under controls:, where all of them are anyway"
                )
            raise UserError(f"{key}: unknown {name!r}{near(str(name), known)}")
    return found


def _label(value: Any) -> Any:
    return "-".join(map(str, value)) if isinstance(value, list) else value
