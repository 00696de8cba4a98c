"""Search over any settings with Optuna, on seeds that no benchmark reports. Scores are normalised, as in a study.

The search is repeatable: the sampler has a seed, and its runs are kept like those of a grid. So a search that was
interrupted, started again, goes the same way through finished runs and on from there; no state of its own is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prefrl.bench.cache import Cache, Job
from prefrl.bench.grid import TUNING, Grid, make_grid
from prefrl.bench.reading import Settings, flat_settings, whole
from prefrl.bench.statistics import interquartile_mean, normalised_scores
from prefrl.bench.sweep import Sweep, sweep
from prefrl.bench.workers import Workers
from prefrl.config.settings import get
from prefrl.config.values import update
from prefrl.core.errors import UserError, brief, near
from prefrl.runs.lists import check

FIXED = ("env", "seed", "steps", "questions.budget")  # what compared runs have in common
KEYS = ("name", "environments", "method", "settings", "seeds", "evaluation", "import", "search", "trials")
TRIALS = 30


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and the mean of their scores over seeds and environments."""

    settings: Settings
    score: float
    scores: list[float]


@dataclass(frozen=True)
class Search:
    """What a file asks for: a grid with one arm beside the ceiling, where to look, and how often."""

    grid: Grid
    space: dict[str, Any]  # setting -> an Optuna distribution
    choices: dict[
        str, list[object]
    ]  # setting -> its values, where they are listed; the distribution is over their places
    trials: int

    def jobs(self, settings: Settings) -> list[Job]:
        """The runs of a trial."""
        grid, [arm, _] = self.grid, self.grid.arms
        return [
            Job(update(grid.config(env, arm, seed), settings), "run", grid.modules, grid.evaluation)
            for env in grid.environments
            for seed in grid.seeds
        ]

    def settings(self, chosen: Settings) -> Settings:
        return {name: self.choices[name][value] if name in self.choices else value for name, value in chosen.items()}


def make_search(content: Settings, name: str = "search") -> Search:
    """A search from its file's content; see KEYS. Raises UserError for what is empty, unknown or contradictory."""
    for key in content:
        if key not in KEYS:
            raise UserError(f"unknown key {str(key)!r} in the search{near(str(key), KEYS)}")
    trials = whole(content, "trials", TRIALS, 1, "trials, at least 1")
    seeds = content.get("seeds", 3)
    seeds = [TUNING + k for k in range(seeds)] if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    shared = {key: content[key] for key in ("environments", "settings", "evaluation", "import") if key in content}
    one = {"methods": [content.get("method", "christiano")], "controls": ["true"], "seeds": seeds, "few_seeds": True}
    grid = make_grid(shared | one, str(content.get("name", name)))
    if reporting := [seed for seed in grid.seeds if seed < TUNING]:
        raise UserError(
            f"seeds: {brief(reporting)} report results, and what was tuned on them would look better than it is;"
            f" tune on seeds from {TUNING} on"
        )
    space, choices = _space(content.get("search"), grid)
    return Search(grid, space, choices, trials)


def _space(content: object, grid: Grid) -> tuple[dict[str, Any], dict[str, list[object]]]:
    """Optuna's distributions, and what the places of listed values stand for."""
    if not isinstance(content, dict) or not content:
        example = "{reward.learning_rate: {low: 1e-4, high: 1e-2}}"
        raise UserError(f"search: {brief(content)} must name settings, like {example}")
    optuna, space, choices = _optuna(), {}, {}
    for name, where in content.items():
        if name in FIXED or name in grid.settings:
            raise UserError(f"search: {name} must be the same in all runs that are compared; take it out of one place")
        if isinstance(where, list) and where:
            choices[name] = [_typed(name, value, grid) for value in where]
            space[name] = optuna.distributions.CategoricalDistribution(list(range(len(where))))
        elif isinstance(where, dict) and {"low", "high"} <= set(where) <= {"low", "high", "log", "step"}:
            low, high = (_typed(name, where[end], grid) for end in ("low", "high"))
            whole = isinstance(low, int) and not isinstance(low, bool)
            made = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
            rest = {"step": where.get("step", 1 if whole else None), "log": bool(where.get("log", False))}
            try:
                space[name] = made(low, high, **rest)
            except (ValueError, TypeError) as fault:
                raise UserError(f"search: {name}: {fault}") from fault
        else:
            expected = "a list of values, or {low: ..., high: ..., log: true}"
            raise UserError(f"search: {name}: {brief(where)} must be {expected}")
    return space, choices


def _typed(name: str, value: object, grid: Grid) -> Any:
    """The value in the type of its setting. Raises UserError if it is none that the setting can have."""
    arm = grid.arms[0]  # with the settings of all runs: some depend on each other
    config = update(grid.config(grid.environments[0], arm, grid.seeds[0]), flat_settings({name: value}, "search"))
    check(config)
    return get(config, name)


def tune(
    search: Search, cache: Cache, workers: Workers, report: Callable[[int, Trial, Trial], None], at_once: int = 1
) -> tuple[Trial, list[Trial]]:
    """The defaults, and all trials in order. report: number, trial, the best so far -> None. at_once: trials in parallel."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0, constant_liar=True))
    floors = list(search.grid.floors.values())
    ceilings = [cell.job for cell in search.grid.cells if cell.arm.control]
    scale = sweep([*floors, *ceilings, *search.jobs({})], cache, workers)
    bounds = _bounds(search, scale)
    defaults = _trial(search, {}, scale, bounds)
    report(0, defaults, defaults)
    trials: list[Trial] = []
    while len(trials) < search.trials:
        asked = [study.ask(search.space) for _ in range(min(at_once, search.trials - len(trials)))]
        settings = [search.settings(one.params) for one in asked]
        done = sweep([job for one in settings for job in search.jobs(one)], cache, workers)
        for one, chosen in zip(asked, settings, strict=True):
            trials.append(_trial(search, chosen, done, bounds))
            study.tell(one, trials[-1].score)
            report(len(trials), trials[-1], max(trials, key=lambda trial: trial.score))
    return defaults, trials


def _bounds(search: Search, done: Sweep) -> dict[str, tuple[float, float]]:
    """Floor and ceiling of each environment. Raises UserError where they do not span a scale."""
    bounds = {}
    for env, job in search.grid.floors.items():
        runs = [cell.job for cell in search.grid.cells if cell.env == env and cell.arm.control]
        if missing := [one for one in (job, *runs) if one not in done.results]:
            raise UserError(f"no scale for {env}: {done.failures[missing[0]].fault}")
        earned = np.array([done.results[one]["true_return"]["deterministic"] for one in runs])
        bounds[env] = (float(done.results[job]["mean"]), float(interquartile_mean(earned[:, None])))
        normalised_scores(earned, *bounds[env])
    return bounds


def _trial(search: Search, settings: Settings, done: Sweep, bounds: dict[str, tuple[float, float]]) -> Trial:
    scores = []
    for job in search.jobs(settings):
        floor, ceiling = bounds[job.config.env]
        result = done.results.get(job)
        earned = result["true_return"]["deterministic"] if result else floor  # a run that failed: the random policy
        scores.append(float(normalised_scores(np.array(earned), floor, ceiling)))
    return Trial(settings, float(np.mean(scores)), scores)


def table(defaults: Trial, trials: Sequence[Trial]) -> list[list[str]]:
    """Rows of number, score, spread and settings; the best first, the defaults last."""
    order = sorted(range(len(trials)), key=lambda at: -trials[at].score)
    rows = [(str(at + 1), trials[at]) for at in order] + [("defaults", defaults)]
    return [
        [name, f"{one.score:.3f}", f"{min(one.scores):.2f} to {max(one.scores):.2f}",
         ", ".join(f"{key}={f'{value:.4g}' if isinstance(value, float) else value}" for key, value in one.settings.items())]
        for name, one in rows
    ]  # fmt: skip


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as fault:
        raise UserError("prefrl tune needs Optuna, which is not installed; pip install 'prefrl[bench]'") from fault
    return optuna
