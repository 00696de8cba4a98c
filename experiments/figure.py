"""What all experiments share: a grid, its options, the small result file behind it, its table and its figure."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefrl.bench.blocks import Lines, Text, markdown
from prefrl.bench.cache import differences, versions
from prefrl.bench.commands import CACHE, add_sweep_options, run_grid
from prefrl.bench.figures import returns
from prefrl.bench.grid import Grid, make_grid
from prefrl.bench.reading import Settings
from prefrl.bench.result_tables import LEGEND, tables
from prefrl.bench.study import Study, load, merged, notes, slimmed
from prefrl.core.errors import UserError

RESULTS = Path(__file__).parent / "results"
QUICK = Path("runs/quick")
QUICK_STEPS = 8192
CONTROL_TASKS = ["Pendulum-v1", "prefrl/CartPole-v0", "prefrl/Acrobot-v0"]


def on_control_tasks(**keys: object) -> Settings:
    """The grid that most experiments share, with keys of their own: 300 questions in 100,000 steps."""
    return {"environments": CONTROL_TASKS, "budgets": [300], "settings": {"steps": 100_000}, **keys}


@dataclass(frozen=True)
class Experiment:
    """A grid that makes one figure."""

    name: str  # of results/NAME.json and .png
    grid: Settings
    draw: Callable[[Study, Path], Path] = returns

    def main(self, about: str | None, arguments: list[str] | None = None) -> Study | None:
        """Run what is missing, or only draw; print the table. Returns the study, or None after a dry run."""
        try:
            return self._main(_options(about, arguments))
        except UserError as fault:
            print(f"error: {fault}", file=sys.stderr)
            sys.exit(fault.code)

    def _main(self, options: argparse.Namespace) -> Study | None:
        file = (QUICK if options.quick else RESULTS) / f"{self.name}.json"
        if options.draw and not file.exists():
            raise UserError(f"there is no {file} to draw yet; run it first, without --draw")
        if not options.draw:
            grid = make_grid(self._asked(options), self.name)
            old = load(file) if file.exists() and not options.quick else None
            if old:
                _warn_of_changes(old, grid, file)
            study = run_grid(grid, options, shlex.join(["python", "-m", f"experiments.{self.name}", *options.given]))
            if study is None:
                return None
            if failed := sum(study.failures(env, arm) for env, arms in study.table.items() for arm in arms):
                raise UserError(f"{failed} runs failed, and {file} stays as it was; the same command tries them again")
            slim = slimmed(study)
            (merged(old, slim) if old else slim).save(file)
        shown = load(file)
        print(markdown([Text(LEGEND), Lines(notes(shown)), *tables(shown)]))
        print(self.draw(shown, file.with_suffix(".png")))
        return shown if options.draw else study

    def _asked(self, options: argparse.Namespace) -> Settings:
        """The grid, as the options change it."""
        grid = self.grid
        if options.quick:
            options.cache = QUICK if options.cache == CACHE else options.cache
            grid = _shortened(grid)
        if options.envs:
            grid = {**grid, "environments": options.envs}
        if options.seeds:
            first = min(grid["seeds"]) if isinstance(grid.get("seeds"), list) else 0  # a search has seeds of its own
            grid = {**grid, "seeds": [*range(first, first + options.seeds)]}
        return grid


def _shortened(grid: Settings) -> Settings:
    """Two seeds of short runs of the first environment: a tenth of the questions, two values on each other axis."""
    axes: Settings = {key: grid[key][:2] for key in ("teachers", "strategies", "schedules") if key in grid}
    if "vary" in grid:
        axes["vary"] = {setting: values[:2] for setting, values in grid["vary"].items()}
    if "variants" in grid:
        axes["variants"] = dict(list(grid["variants"].items())[:2])
    return {
        **grid, **axes, "environments": grid["environments"][:1], "budgets": [n // 10 for n in grid["budgets"]],
        "seeds": grid["seeds"][:2] if "seeds" in grid else 2, "few_seeds": True, "evaluation": 2000,
        "controls": ["true", "zero"], "settings": {**grid.get("settings", {}), "steps": QUICK_STEPS},
    }  # fmt: skip


def _options(about: str | None, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", nargs="+", help="tasks (default: all of the experiment)")
    parser.add_argument("--seeds", type=int, help="how many seeds (default 10; searches: as many as they say)")
    parser.add_argument(
        "--quick", action="store_true", help="two seeds of short runs, into runs/quick, to see that it works"
    )
    parser.add_argument("--draw", action="store_true", help="only print and draw, from the committed results")
    add_sweep_options(parser)
    arguments = sys.argv[1:] if arguments is None else arguments
    return parser.parse_args(arguments, argparse.Namespace(given=arguments))


def _warn_of_changes(old: Study, grid: Grid, file: Path) -> None:
    """Results that would be replaced, or would stand beside others of other versions, are named before anything runs."""
    for env, about in old.about.items():
        if env in grid.environments:
            seeds = max(map(len, old.table[env].values()))
            steps = grid.config(env, grid.arms[0], 0).steps
            if seeds > len(grid.seeds) or about["steps"] != steps:
                before, after = f"{seeds} seeds of {about['steps']} steps", f"{len(grid.seeds)} of {steps}"
                print(f"warning: this replaces {env} in {file}, {before}, by {after}", file=sys.stderr)
        elif found := differences(about, versions()):
            print(f"warning: {file} keeps {env} of other versions ({'; '.join(found)})", file=sys.stderr)
