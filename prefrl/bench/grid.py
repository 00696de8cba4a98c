"""A grid: environments x methods x teachers x strategies x schedules x budgets x variants x seeds, beside the controls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from prefrl.bench.arms import AXES, CEILING, CONTROLS, ELSEWHERE, Arm, arms_in, control_arms, named_in
from prefrl.bench.cache import EVALUATION, Job
from prefrl.bench.reading import Settings, listed, read_yaml, settings_in, whole
from prefrl.bench.statistics import ENOUGH_SEEDS, FEWEST_SEEDS
from prefrl.config.methods import tuned
from prefrl.config.modules import import_modules
from prefrl.config.settings import Config, get
from prefrl.config.values import as_dict, names, update
from prefrl.core.errors import UserError, brief, near

NO_EXTRAS = {"record.tensorboard": False, "record.video": False}
TUNING = 1000  # seeds from here on are for tuning; those below report


@dataclass(frozen=True)
class Cell:
    """One run of the grid."""

    env: str
    arm: Arm
    job: Job


@dataclass(frozen=True)
class Grid:
    """The content of a file, checked for contradictions. `cells` are its runs, `floors` the environments' random policies."""

    name: str
    content: Settings  # the file, for the report
    environments: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: Settings
    arms: tuple[Arm, ...]
    modules: tuple[str, ...] = ()
    evaluation: int = EVALUATION  # steps
    control_seeds: int | None = None  # the first so many, for all controls but the ceiling; None: all

    def config(self, env: str, arm: Arm, seed: int) -> Config:
        base = update(Config(env=env), tuned(env))
        return update(base, {**self.settings, **arm.settings, **NO_EXTRAS, "seed": seed})

    @cached_property  # a job's key is worked out once
    def cells(self) -> list[Cell]:
        """Seed by seed, so that a sweep that is stopped early has something to say about every arm."""
        return [
            Cell(env, arm, Job(self.config(env, arm, seed), "run", self.modules, self.evaluation))
            for seed in self.seeds
            for env in self.environments
            for arm in self.arms
            if not (arm.control and arm.name != CEILING) or seed in self.seeds[: self.control_seeds]
        ]

    @property
    def floors(self) -> dict[str, Job]:
        configs = {env: self.config(env, self.arms[0], 0) for env in self.environments}
        return {env: Job(config, "floor", self.modules, self.evaluation) for env, config in configs.items()}

    @property
    def of_tuning(self) -> list[str]:
        """A caution that a search has no use for."""
        seeds = [seed for seed in self.seeds if seed >= TUNING]
        return [f"seeds from {TUNING} on are for tuning ({brief(seeds)}); report with others"] if seeds else []

    @property
    def cautions(self) -> list[str]:
        """What a reader of the results should know about their seeds."""
        count = len(self.seeds)
        found = []
        if count < FEWEST_SEEDS:
            found.append(f"{count} seeds give no interval: nothing can be claimed from this")
        elif count < ENOUGH_SEEDS:
            found.append(f"{count} seeds: a 95 % interval covers less than that; {ENOUGH_SEEDS} are enough to report")
        found += self.of_tuning
        if self.evaluation < EVALUATION // 5:
            found.append(f"evaluation: {self.evaluation} steps score policies and the floor with much noise")
        return found


def read_grid(path: Path | str, **more: object) -> Grid:
    """The grid in a YAML file, with more keys set. Raises UserError for what is empty, unknown or contradictory."""
    return make_grid(read_yaml(path) | more, Path(path).stem)


KEYS = (
    "name", "environments", "methods", *AXES, "vary", "variants", "controls", "seeds", "control_seeds", "few_seeds", "settings", "import",
    "evaluation",
)  # fmt: skip


def make_grid(content: Settings, name: str = "grid") -> Grid:
    """A grid from its file's content; see KEYS. Raises UserError for what is empty, unknown or contradictory."""
    for key in content:
        if key not in KEYS:
            if key in ELSEWHERE:
                given = content[key] if isinstance(content[key], list) else [content[key]]
                raise UserError(f"{key}: is set by {ELSEWHERE[key]}: in a grid, like {ELSEWHERE[key]}: {brief(given)}")
            if str(key) in names():
                raise UserError(f"{key} is a setting of every run; say settings: {{{key}: {brief(content[key])}}}")
            raise UserError(f"unknown key {str(key)!r} in the grid{near(str(key), KEYS)}")
    few = content.get("few_seeds", False)
    if not isinstance(few, bool):
        raise UserError(f"few_seeds: {brief(few)} must be true or false")
    fewest = 1 if few else FEWEST_SEEDS
    modules = tuple(_texts(content, "import", ()))
    import_modules(modules, "import:")  # which may bring agents with settings of their own
    settings = settings_in(content.get("settings", {}), "settings")
    for setting, key in ELSEWHERE.items():
        if setting in settings:
            raise UserError(f"settings: {setting} is set by {key}:, not by settings:")
    if "controls" in content and content["controls"] is None:
        raise UserError("controls: is empty; say which, or false for none, or leave it out for all of them")
    controls = named_in(content, "controls", CONTROLS, CONTROLS) if content.get("controls", True) else ()
    arms = arms_in(content, settings)
    grid = Grid(
        str(content.get("name", name)), content, tuple(_texts(content, "environments")), _seeds(content), settings,
        (*arms, *control_arms(controls, arms, settings)), modules,
        whole(content, "evaluation", EVALUATION, 1, "steps, of which whole episodes are played"),
        whole(content, "control_seeds", None, fewest, f"seeds, {fewest} at least"),
    )  # fmt: skip
    _refuse_incomparable(grid)
    return grid


def _texts(content: Settings, key: str, default: Iterable[str] | None = None) -> list[str]:
    given = listed(content, key, default)
    if wrong := [value for value in given if not isinstance(value, str)]:
        raise UserError(f"{key}: {brief(wrong[0])} must be a name")
    return given


def _refuse_incomparable(grid: Grid) -> None:
    """Raise UserError for arms of one name or configuration, and for arms that one ceiling and floor cannot measure."""
    called = [arm.name for arm in grid.arms]
    if twice := [name for at, name in enumerate(called) if name in called[:at]]:
        raise UserError(f"two arms are called {twice[0]!r}; call one of them something else")
    for env in grid.environments:
        configs = {arm.name: grid.config(env, arm, 0) for arm in grid.arms}
        seen: dict[str, str] = {}
        for name, config in configs.items():
            other = seen.setdefault(repr(as_dict(config)), name)
            if other != name:
                raise UserError(f"arms {other!r} and {name!r} are the same configuration; leave one out")
        first = called[0]
        for name, setting in product(called[1:], ("steps", "pixels.atari")):
            a, b = get(configs[first], setting), get(configs[name], setting)
            if a != b:
                raise UserError(
                    f"{env}: {first} has {setting} {a} and {name} {b}, which cannot be compared; make two grids"
                )


def _seeds(content: Settings) -> tuple[int, ...]:
    given = content.get("seeds", ENOUGH_SEEDS)
    if isinstance(given, bool) or not isinstance(given, int | list):
        raise UserError(f"seeds: {brief(given)} must be a number of seeds, or a list of them")
    seeds = tuple(range(given) if isinstance(given, int) else listed(content, "seeds"))
    if not all(isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 for seed in seeds):
        raise UserError(f"seeds: {brief(given)} must be whole numbers from 0 on")
    if not seeds:
        raise UserError(f"seeds: {brief(given)} leaves nothing to run")
    if len(seeds) < FEWEST_SEEDS and not content.get("few_seeds"):
        raise UserError(
            f"seeds: {len(seeds)} give no interval; {FEWEST_SEEDS} are the least and {ENOUGH_SEEDS} enough to report."
            " To try a grid out without intervals, say few_seeds: true (--few-seeds)"
        )
    return seeds
