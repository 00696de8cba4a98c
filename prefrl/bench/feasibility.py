"""Check a grid before anything runs: all that cannot work at once, and how long the rest will take."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from envs import EQUIVALENT
from prefrl.bench.cache import EVALUATION, Cache, Job
from prefrl.bench.grid import Cell, Grid
from prefrl.core.errors import UserError
from prefrl.environments.probe import Probe, probe, warn_of_leaks
from prefrl.runs import build
from prefrl.runs.lists import check
from prefrl.runs.own import Own
from prefrl.runs.plan import make_plan

SCORING = 15.0 / EVALUATION  # seconds of a core for a step of the evaluation, until the first run tells


@dataclass
class Checked:
    """What was found: warnings to show, and seconds of a core for each job."""

    cautions: list[str] = field(default_factory=list)
    seconds: dict[Job, float] = field(default_factory=dict)


def check_grid(grid: Grid, cache: Cache) -> Checked:
    """Try every arm of every environment, once. Raises UserError with all that cannot work; finished arms are not tried."""
    checked = Checked(list(grid.cautions))
    faults: dict[str, list[str]] = {}  # by message: where it came from
    probes: dict[tuple[str, int], Probe] = {}
    tried: dict[tuple[str, str], float] = {}
    others = Counter[str]()
    for cell in grid.cells:
        place = (cell.env, cell.arm.name)
        if cache.find(cell.job) is not None:
            continue
        others.update("; ".join(found) for found in cache.others(cell.job))
        if place not in tried:
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", UserWarning)
                    tried[place] = _try(cell, probes)
                checked.cautions += [str(one.message) for one in caught if one.category is UserWarning]
            except UserError as fault:
                tried[place] = 0.0
                faults.setdefault(str(fault), []).append(f"{cell.env}, {cell.arm.name}")
        checked.seconds[cell.job] = tried[place]
    if faults:
        lines = [f"{'; '.join(places)}: {fault}" for fault, places in faults.items()]
        raise UserError(f"{sum(map(len, faults.values()))} arms of the grid cannot run:\n  " + "\n  ".join(lines))
    for versions, count in others.items():
        checked.cautions.append(f"{count} results of other versions are not used, the runs are done again ({versions})")
    checked.cautions = list(dict.fromkeys(checked.cautions))
    _take_measured(grid, cache, checked)
    return checked


def _try(cell: Cell, probes: dict[tuple[str, int], Probe]) -> float:
    """Put the run together and take it down again. Returns the seconds of a core that it will take."""
    config = cell.job.config
    check(config)
    asks = build.asks(config)
    place = (cell.env, config.questions.length if asks else 1)
    if place not in probes:
        probes[place] = probe(build.maker(config, Own()), place[1], config.seed, config.record.step_timeout)
        warn_of_leaks(cell.env, EQUIVALENT, probes[place])
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(config, Own(), probes[place], Path(folder))
        if asks and plan.questions < config.questions.budget:
            raise UserError(
                f"questions.budget={config.questions.budget}, but {plan.steps} steps hold only {plan.questions} questions"
                f" about segments of {config.questions.length} steps; lower the budget or the length, or raise steps"
            )
        build.make_run(Path(folder), config, Own(), quiet=True).close()
    return plan.minutes * 60 + SCORING * cell.job.evaluation


def _take_measured(grid: Grid, cache: Cache, checked: Checked) -> None:
    """Where runs of an arm have finished, they say better how long the others take."""
    measured: dict[tuple[str, str], list[float]] = {}
    for cell in grid.cells:
        if (result := cache.find(cell.job)) is not None and result.get("cpu_seconds"):
            measured.setdefault((cell.env, cell.arm.name), []).append(result["wall_seconds"])
    for cell in grid.cells:
        if cell.job in checked.seconds and (known := measured.get((cell.env, cell.arm.name))):
            checked.seconds[cell.job] = sum(known) / len(known)
