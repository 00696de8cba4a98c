"""What the harness of `prefrl bench` costs: 32 short runs on all cores.

python -m benchmarks.harness [--runs 32] [--steps 20480]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.label_load import cpu_seconds
from benchmarks.table import Row, show
from prefrl.bench.cache import Cache, Job
from prefrl.bench.grid import make_grid
from prefrl.bench.sweep import sweep
from prefrl.bench.workers import Outcome, Processes

COMMAND = "python -m benchmarks.harness"


class Timed(Processes):
    """Processes that note how long each job took from the outside."""

    def __init__(self, count: int):
        super().__init__(count)
        self.began: dict[int, float] = {}
        self.around: list[float] = []  # seconds of each job that were not its run's own, in the order of their ends

    def submit(self, slot: int, job: Job, folder: Path) -> None:
        self.began[slot] = time.perf_counter()
        super().submit(slot, job, folder)

    def wait(self, seconds: float) -> list[Outcome]:
        found = super().wait(seconds)
        for one in found:
            if one.result and "wall_seconds" in one.result:
                self.around.append(time.perf_counter() - self.began[one.slot] - one.result["wall_seconds"])
        return found


def rows(runs: int, steps: int) -> list[Row]:
    grid = make_grid({
        "environments": ["Pendulum-v1"], "budgets": [20], "controls": False, "seeds": list(range(1000, 1000 + runs)),
        "settings": {"steps": steps}, "evaluation": 2000,
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as place, closing(Timed(2)) as team:
        began, cpu = time.perf_counter(), time.process_time()
        done = sweep([cell.job for cell in grid.cells], Cache(Path(place)), team)
        wall, own = time.perf_counter() - began, time.process_time() - cpu
        spent = sum(cpu_seconds(worker.pid) for worker, _ in team.workers.values())
    if done.failures:
        raise SystemExit(next(iter(done.failures.values())).trace)
    later = sorted(team.around[team.count :])
    load = f"{runs} runs of {steps} steps, {wall:.0f} s, load {os.getloadavg()[0]:.1f}"
    return [
        Row("harness, share of a sweep's CPU time", f"{own / (own + spent):.1%}", load, COMMAND),
        Row("two cores busy during a sweep", f"{spent / (2 * wall):.0%}", "start of the workers included", COMMAND),
        Row("from one run's end to the next one's begin", f"{later[len(later) // 2]:.2f} s",
            f"longest {later[-1]:.2f} s; each worker's first {max(team.around[:2]):.1f} s", COMMAND),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20_480)
    given = parser.parse_args()
    show(rows(given.runs, given.steps))


if __name__ == "__main__":
    main()
