"""A study: the results of a grid by environment and arm, and what they say. One JSON file holds all of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np

from prefrl.bench.arms import CEILING, CONTROLS, label
from prefrl.bench.cache import Result, code, differences
from prefrl.bench.grid import TUNING, Grid
from prefrl.bench.statistics import (
    ENOUGH_SEEDS,
    Interval,
    area_under_curve,
    bootstrap_interval,
    interquartile_mean,
    normalised_scores,
)
from prefrl.bench.sweep import Sweep
from prefrl.core.errors import UserError, why
from prefrl.core.files import write_durably
from prefrl.runs.folder import machine

FORMAT = 1
SHUFFLED = "shuffled"
CEILINGS = ("true", "true-scaled")  # the controls that ought to do well


@dataclass
class Study:
    """Results, one entry a seed, and what they are measured against."""

    name: str
    table: dict[str, dict[str, list[Result]]]  # environment -> arm -> results; of a failed run "failed" and no returns
    floors: dict[str, float]  # true return of a random policy
    about: dict[str, dict[str, Any]]  # environment -> command, steps, versions, machine
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> labels, settings, control
    grid: dict[str, Any] = field(default_factory=dict)  # as it was given

    def arm_names(self, controls: bool | None = None) -> list[str]:
        """In the order of the tables. controls: only these, or only others; None: all."""
        every = list(dict.fromkeys(name for by_arm in self.table.values() for name in by_arm))
        return [name for name in every if controls is None or self.is_control(name) == controls]

    def is_control(self, arm: str) -> bool:
        return self.arms[arm]["control"] if arm in self.arms else arm in CONTROLS

    def labels(self, arm: str) -> dict[str, Any]:
        """What the arm is along each axis of the grid."""
        if arm in self.arms:
            return self.arms[arm]["labels"]
        words = arm.split()
        return {"budgets": int(words[0])} if len(words) == 2 and words[1] == "questions" else {}

    def returns(self, env: str, arm: str) -> np.ndarray:
        """True returns of the final, deterministic policies: (S,).

        A run that crashed earned what a random policy does; of a control it is left out, as it would flatter the rest.
        """
        runs = self.table[env][arm]
        if self.is_control(arm) and self.has(env, arm):
            runs = [one for one in runs if "failed" not in one]
        return np.array([self.floors[env] if "failed" in one else one["true_return"]["deterministic"] for one in runs])

    def failures(self, env: str, arm: str) -> int:
        return sum("failed" in one for one in self.table[env][arm])

    def interval(self, env: str, arm: str) -> Interval:
        """Interquartile mean of the true returns over seeds."""
        return interval(interquartile_mean, self.returns(env, arm))

    def ceiling(self, env: str) -> float:
        """What the true-reward agent earns in the same steps; NaN if it was not run."""
        if not self.has(env, CEILING):
            return np.nan
        return float(interquartile_mean(self.returns(env, CEILING)[:, None]))

    def has(self, env: str, arm: str) -> bool:
        """Whether any run of it came to its end."""
        return self.failures(env, arm) < len(self.table[env][arm]) if arm in self.table[env] else False

    @property
    def comparable(self) -> list[str]:
        """Environments in which the ceiling lies above the floor beyond chance, so that scores mean something."""
        found = {env: self.interval(env, CEILING) for env in self.table if self.has(env, CEILING)}
        least = {env: one.low if np.isfinite(one.low) else one.estimate for env, one in found.items()}
        return [env for env, ceiling in least.items() if ceiling > self.floors[env]]

    def scores(self, env: str, arm: str) -> np.ndarray:
        """0 for a random policy, 1 for the true-reward agent, never clipped: (S,)"""
        return normalised_scores(self.returns(env, arm), self.floors[env], self.ceiling(env))

    def matrix(self, arm: str) -> np.ndarray | None:
        """Scores over all comparable environments (S, E), of as many seeds as each has; None if the arm is not in all."""
        if not self.comparable or any(arm not in self.table[env] for env in self.comparable):
            return None
        columns = [self.scores(env, arm) for env in self.comparable]
        seeds = min(map(len, columns))
        return np.stack([column[:seeds] for column in columns], 1)

    def above_controls(self, env: str, arm: str) -> bool | None:
        """Whether the arm's interval lies above those of all controls that ought to fail; None without any interval."""
        found = self.interval(env, arm)
        names = [name for name in self.table[env] if self.is_control(name) and name not in CEILINGS]
        rivals = [self.interval(env, name) for name in names]
        bounds = [found.low, *(one.high for one in rivals)]
        if not names or not all(self.has(env, name) for name in names) or not np.isfinite(bounds).all():
            return None
        return found.low > max(one.high for one in rivals)

    def lines(self, axis: str) -> dict[str, dict[Any, str]]:
        """Arms along one axis of the grid: name of what they have in common -> value on the axis, rising -> arm."""
        labels = {arm: self.labels(arm) for arm in self.arm_names(controls=False) if axis in self.labels(arm)}
        others = [key for key in dict.fromkeys(key for one in labels.values() for key in one) if key != axis]
        wide = [key for key in others if len({str(one.get(key)) for one in labels.values()}) > 1]
        found: dict[str, dict[Any, str]] = {}
        for arm, one in sorted(labels.items(), key=lambda item: item[1][axis]):
            name = ", ".join(label(key, one[key]) for key in wide if key in one)
            found.setdefault(name or "preferences", {})[one[axis]] = arm
        return found

    def curves(self) -> dict[str, dict[int, str]]:
        """Arms that differ in nothing but the budget, two of them at least."""
        return {name: arms for name, arms in self.lines("budgets").items() if len(arms) > 1}

    def area(self, arms: dict[int, str]) -> Interval | None:
        """Area under the label-efficiency curve of these arms, in scores over all comparable environments."""
        tables = [self.matrix(arm) for arm in arms.values()]
        if any(table is None for table in tables):
            return None
        return interval(area_under_curve(list(arms)), *(table for table in tables if table is not None))

    @property
    def mixed(self) -> list[str]:
        """In which versions the environments' results differ; empty if all were made by the same."""
        first, *others = self.about.values()
        return list(dict.fromkeys(line for other in others for line in differences(first, other)))

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"format": FORMAT, **asdict(self)}, indent=1, default=str).encode())


def notes(study: Study) -> list[str]:
    """What a reader must know: few seeds, mixed versions, crashed runs, missing controls, and what the runs warned of."""
    found = []
    seeds: dict[str, int] = {}
    for env, by_arm in study.table.items():
        for arm, runs in by_arm.items():
            place = (
                f"controls in {env}" if study.is_control(arm) and arm != CEILING else env
            )  # they may have fewer seeds
            seeds[place] = min(len(runs), seeds.get(place, len(runs)))
    if few := [f"{env} ({count})" for env, count in seeds.items() if count < ENOUGH_SEEDS]:
        found.append(
            f"Fewer than {ENOUGH_SEEDS} seeds in {', '.join(few)}: a 95 % interval covers less than that (86 % with 3 seeds,"
            " 90 % with 5, 92 % with 10 in simulated studies), and differences of a tenth of the scale will be missed."
        )
    every = [one for by_arm in study.table.values() for results in by_arm.values() for one in results]
    if any(one["seed"] >= TUNING for one in every):
        found.append(f"Seeds from {TUNING} on are for tuning: these results must not be reported as a benchmark's.")
    if study.mixed:
        found.append(f"The environments' results are of different versions: {'; '.join(study.mixed)}.")
    for env, by_arm in study.table.items():
        for arm in by_arm:
            if count := study.failures(env, arm):
                fate = "are left out" if study.is_control(arm) else "count as a random policy"
                found.append(f"{env}, {arm}: {count} runs crashed and {fate}.")
        if not any(map(study.is_control, by_arm)):
            found.append(f"No controls were run in {env}: nothing shows that the answers did it.")
    return [*found, *sorted({warning for one in every for warning in one.get("warnings", ())})]


def interval(statistic: Callable[..., np.ndarray], *scores: np.ndarray) -> Interval:
    """With the same resamples every time, so that a report drawn again is the same report."""
    return bootstrap_interval(statistic, *scores, rng=np.random.default_rng(0))


def load(path: Path | str) -> Study:
    """The study in a JSON file, or in a report's folder. Raises UserError if it is none, or of a newer format."""
    file = Path(path) / "study.json" if Path(path).is_dir() else Path(path)
    try:
        content = json.loads(file.read_text())
        version = content.get("format", FORMAT)
        study = Study(
            content.get("name", file.stem), content["table"], content["floors"], content["about"], content.get("arms", {}),
            content.get("grid", {}),
        )  # fmt: skip
        for env, by_arm in study.table.items():
            for arm in by_arm:
                study.returns(env, arm)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise UserError(f"{file} holds no study of prefrl bench: {shorten(why(fault), 120)}") from fault
    if version > FORMAT:
        raise UserError(f"{file} is of format {version}, this prefrl reads up to {FORMAT}; update prefrl")
    return study


def make_study(grid: Grid, done: Sweep, command: str) -> Study:
    """Put results where they belong. Raises UserError where a floor is missing: nothing could be measured against it."""
    for env, job in grid.floors.items():
        if job not in done.results:
            raise UserError(f"{env}: the random policy could not be played: {done.failures[job].fault}")
    table: dict[str, dict[str, list[Result]]] = {}
    for cell in grid.cells:
        failed = {"env": cell.env, "seed": cell.job.config.seed}
        result = done.results.get(cell.job) or failed | {"failed": done.failures[cell.job].fault}
        table.setdefault(cell.env, {}).setdefault(cell.arm.name, []).append(result)
    about = {"command": command, "evaluation": grid.evaluation, "code": code(), "commit": commit(), **machine()}
    steps = {env: grid.config(env, grid.arms[0], 0).steps for env in grid.environments}
    return Study(
        grid.name, table, {env: done.results[job]["mean"] for env, job in grid.floors.items()},
        {env: {**about, "steps": steps[env]} for env in table},
        {a.name: {"labels": a.labels, "control": a.control, "method": a.method, "settings": grid.settings | a.settings}
         for a in grid.arms},
        grid.content,
    )  # fmt: skip


def merged(old: Study, new: Study) -> Study:
    """The new results in place of the old ones of the same environments, which stand beside the rest of them."""
    table = old.table | new.table
    return replace(
        new, table=table, floors=old.floors | new.floors, about=old.about | new.about, arms=old.arms | new.arms,
        grid={**new.grid, "environments": [*table]},
    )  # fmt: skip


def slimmed(study: Study) -> Study:
    """The same without what no figure needs: what is committed is small."""
    drop = {"curve", "made", "wall_seconds", "folder"}
    table = {
        env: {arm: [{k: v for k, v in one.items() if k not in drop} for one in runs] for arm, runs in by_arm.items()}
        for env, by_arm in study.table.items()
    }
    return replace(study, table=table)


def commit(root: Path = Path(__file__).parents[2]) -> str | None:
    """The commit of the source tree that prefrl is run from, `+` if it was changed since; None outside of one.

    Results that are committed beside it are not its source: a second task of an experiment is of the same commit.
    """
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=10).stdout.strip()

    try:
        known = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!experiments/results")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return known + "+" * bool(changed) if known else None
