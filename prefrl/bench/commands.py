"""`prefrl bench`, `prefrl compare` and `prefrl tune`: their options, and what they print."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import numpy as np
import yaml

from prefrl.bench.blocks import Block, Code, Heading, ReportTable, Text, html, markdown
from prefrl.bench.cache import Cache, Job
from prefrl.bench.cluster import Cluster
from prefrl.bench.compare import comparison
from prefrl.bench.feasibility import check_grid
from prefrl.bench.grid import Grid, read_grid
from prefrl.bench.reading import Settings, read_yaml
from prefrl.bench.report import write_report
from prefrl.bench.result_tables import tables
from prefrl.bench.study import Study, load, make_study
from prefrl.bench.sweep import duration, sweep
from prefrl.bench.tune import Search, Trial, make_search, table, tune
from prefrl.bench.workers import Processes, Workers
from prefrl.config.methods import tuned
from prefrl.core.files import write_durably

CACHE = Path("runs/cache")
ABOUT = """\
Run a grid of methods with seeds and controls, and write a report with honest statistics.

  prefrl bench grid.yaml --dry-run     the runs, and how long they will take
  prefrl bench grid.yaml               run them on all cores; the same command goes on after Ctrl-C or kill -9
  prefrl bench grid.yaml --ray-address auto

The grid is YAML; all but environments has a default:

  environments: [Pendulum-v1, prefrl/CartPole-v0]
  methods: [christiano]                presets; also teachers, strategies, schedules, budgets
  teachers: [oracle, mistake]
  budgets: [100, 300]
  vary: {questions.length: [10, 25]}   any other setting
  variants: {one net: {reward.members: 1, questions.strategy: uniform}, three: {}}
  controls: [true, zero]               default: all of them; false: none
  seeds: 10                            0 to 9, or a list
  few_seeds: true                      allow so few that there are no intervals
  control_seeds: 5                     of all controls but true, which fail by far (default: all seeds)
  settings: {steps: 100_000}           of every run
  evaluation: 100_000                  steps of whole episodes that score the last policy
  import: [my_module]                  registers environments, agents and other parts
"""


def bench(arguments: list[str]) -> int:
    parser = _parser("bench", ABOUT)
    parser.add_argument("grid", type=Path, metavar="GRID.yaml")
    parser.add_argument("--out", type=Path, help="folder of the report (default: runs/bench/NAME)")
    parser.add_argument("--few-seeds", action="store_true", help="allow so few seeds that there are no intervals")
    add_sweep_options(parser)
    options = parser.parse_args(arguments)
    grid = read_grid(options.grid, **({"few_seeds": True} if options.few_seeds else {}))
    study = run_grid(grid, options, shlex.join(["prefrl", "bench", *arguments]))
    if study is None:
        return 0
    made = write_report(study, options.out or Path("runs") / "bench" / grid.name)
    print(markdown(tables(study)))
    print("\n".join(map(str, made)))
    return 1 if any(study.failures(env, arm) for env, by_arm in study.table.items() for arm in by_arm) else 0


def _parser(command: str, about: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"prefrl {command}", description=about, formatter_class=raw)


def add_sweep_options(parser: argparse.ArgumentParser) -> None:
    """What every command has that makes many runs."""
    parser.add_argument("--workers", type=_positive, help="runs at a time (default: one per core)")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="run on a Ray cluster: auto, host:port, or local")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"where finished runs are kept (default {CACHE})")
    parser.add_argument("--keep-runs", action="store_true", help="keep run folders too, under CACHE/unfinished")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run, and stop")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def workers_for(options: argparse.Namespace) -> Workers:
    if options.ray_address:
        return Cluster(options.ray_address, options.workers)
    return Processes(_workers(options))


def _workers(options: argparse.Namespace) -> int:
    return options.workers or os.cpu_count() or 1


def run_grid(grid: Grid, options: argparse.Namespace, command: str) -> Study | None:
    """Check the grid, say what it is, and run what has no result yet. None after a dry run."""
    cache = Cache(options.cache)
    checked = check_grid(grid, cache)
    _warn(checked.cautions)
    floors = {job: 3.0 for job in grid.floors.values() if cache.find(job) is None}
    seconds = checked.seconds | floors
    print(_plan(grid, seconds, _workers(options)), flush=True)
    if options.dry_run:
        print("\n".join(["", *_arms(grid)]))
        return None
    jobs = [*grid.floors.values(), *(cell.job for cell in grid.cells)]
    try:
        with closing(workers_for(options)) as workers:
            done = sweep(jobs, cache, workers, seconds, options.keep_runs)
    except KeyboardInterrupt:
        print(f"\nstopped; finished runs are kept in {cache.folder}, the same command goes on", file=sys.stderr)
        raise
    if done.failures:  # the sweep has named them already
        path = cache.folder / "failures.txt"
        write_durably(
            path, "\n\n".join(f"{job}\n{one.fault}\n{one.trace}" for job, one in done.failures.items()).encode()
        )
        print(f"{len(done.failures)} runs failed, all others are kept; tracebacks are in {path}", file=sys.stderr)
    return make_study(grid, done, command)


def _warn(cautions: Iterable[str]) -> None:
    for caution in cautions:
        print(f"warning: {caution}", file=sys.stderr)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _about(seconds: float, workers: int) -> str:
    """How long it takes if all workers are busy."""
    return f"about {duration(seconds / workers)} on {_count(workers, 'core')}"


def _plan(grid: Grid, seconds: dict[Job, float], workers: int) -> str:
    todo = sum(cell.job in seconds for cell in grid.cells)
    controls = sum(arm.control for arm in grid.arms)
    fewer = f" ({grid.control_seeds} of controls)" if (grid.control_seeds or np.inf) < len(grid.seeds) else ""
    return (
        f"{grid.name}: {_count(len(grid.environments), 'environment')} x ({_count(len(grid.arms) - controls, 'arm')} +"
        f" {controls} controls) x {len(grid.seeds)} seeds{fewer} = {len(grid.cells)} runs (and {len(grid.floors)} of a"
        f" random policy); {len(grid.cells) - todo} are done, {todo} to do: {_about(sum(seconds.values()), workers)}"
    )


def _arms(grid: Grid) -> list[str]:
    """What each arm is, by the settings that make it."""
    return [
        f"environments: {', '.join(grid.environments)}",
        *(f"  tuned    {env}: {_listed(tuned(env))}" for env in grid.environments if tuned(env)),
        f"every run: {_listed(grid.settings)}",
        f"seeds: {', '.join(map(str, grid.seeds))}",
        *(f"  {'control' if arm.control else 'arm    '}  {arm.name}: {_listed(arm.settings)}" for arm in grid.arms),
    ]


def _listed(settings: Settings) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "the defaults"


def compare(arguments: list[str]) -> int:
    parser = _parser("compare", "Compare two reports of prefrl bench: which arms changed, beyond chance?")
    parser.add_argument("first", type=Path, metavar="REPORT_A", help="a report's folder, or a study.json")
    parser.add_argument("second", type=Path, metavar="REPORT_B")
    parser.add_argument("--out", type=Path, help="write it to a .md or .html file as well")
    options = parser.parse_args(arguments)
    if options.out and options.out.suffix not in (".md", ".html"):
        parser.error(f"--out {options.out}: let the name end in .md or .html")
    first, second = load(options.first), load(options.second)
    blocks = comparison(first, second)
    print(markdown(blocks))
    if options.out:
        text = markdown(blocks) if options.out.suffix == ".md" else html(blocks, f"{first.name} and {second.name}")
        write_durably(options.out, text.encode())
    return 0


TUNE = """\
Search over settings with Optuna, on seeds from 1000 on, which no benchmark reports.

  prefrl tune search.yaml              the same command goes on after Ctrl-C or kill -9

  environments: [Pendulum-v1]
  method: christiano
  settings: {steps: 50_000}            of every run
  seeds: 3                             1000 to 1002, or a list
  trials: 30
  search:
    reward.learning_rate: {low: 1e-4, high: 1e-2, log: true}
    questions.length: {low: 10, high: 50, step: 5}
    questions.schedule: [constant, hyperbolic]
"""


def search(arguments: list[str]) -> int:
    parser = _parser("tune", TUNE)
    parser.add_argument("search", type=Path, metavar="SEARCH.yaml")
    parser.add_argument("--trials", type=_positive, help="how many (default: as in the file, or 30)")
    parser.add_argument("--out", type=Path, help="folder of best.yaml and trials.md (default: runs/tune/NAME)")
    add_sweep_options(parser)
    options = parser.parse_args(arguments)
    more = {"trials": options.trials} if options.trials else {}
    asked = make_search(read_yaml(options.search) | more, options.search.stem)
    cache, count = Cache(options.cache), _workers(options)
    checked = check_grid(asked.grid, cache)
    _warn(caution for caution in checked.cautions if caution not in asked.grid.of_tuning)
    runs = len(asked.jobs({}))
    trial = sum(seconds for job, seconds in checked.seconds.items() if job.config.reward.source == "learned")
    time = f"; at most {_about(sum(checked.seconds.values()) + asked.trials * trial, count)}" if trial else ""
    print(f"{asked.grid.name}: {asked.trials} trials of {runs} runs, over {', '.join(asked.space)}{time}", flush=True)
    if options.dry_run:
        return 0
    with closing(
        workers_for(options)
    ) as workers:  # the same for all trials: a cluster takes longer to start than a short run
        defaults, trials = tune(asked, cache, workers, _print_trial, max(1, count // runs))
    folder = options.out or Path("runs") / "tune" / asked.grid.name
    print(_written(asked, defaults, trials, folder, shlex.join(["prefrl", "tune", *arguments])))
    return 0


def _print_trial(number: int, trial: Trial, best: Trial) -> None:
    name = f"trial {number}" if number else "defaults"
    print(f"{name}: score {trial.score:.3f} (best so far {best.score:.3f})", flush=True)


def _written(asked: Search, defaults: Trial, trials: list[Trial], folder: Path, command: str) -> str:
    """Write best.yaml and trials.md, and say what came out."""
    folder.mkdir(parents=True, exist_ok=True)
    best = max(trials, key=lambda one: one.score)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in best.settings.items()}
    write_durably(folder / "best.yaml", yaml.safe_dump(plain, sort_keys=False).encode())
    blocks: list[Block] = [
        Heading(f"Search {asked.grid.name}", 1),
        Text(f"{', '.join(asked.grid.environments)}; seeds {', '.join(map(str, asked.grid.seeds))}. Score: 0 for a policy"
             " that acts at random, 1 for the true-reward agent. The best of many trials looks better than it is: measure"
             " it again, on seeds below 1000."),
        ReportTable(["trial", "score", "runs from to", "settings"], table(defaults, trials)),
        Code(command),
    ]  # fmt: skip
    write_durably(folder / "trials.md", markdown(blocks).encode())
    return (
        f"best: score {best.score:.3f}, defaults {defaults.score:.3f}; the best of {len(trials)} looks better than it is,"
        f" so measure it with prefrl bench\n{folder / 'best.yaml'}\n{folder / 'trials.md'}"
    )
