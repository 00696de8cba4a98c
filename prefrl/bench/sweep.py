"""Many jobs on all cores, each done once: finished ones are found again, failed ones tried again, none stops the rest."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from prefrl.bench.cache import Cache, Job, Result, differences, versions
from prefrl.bench.workers import Outcome, Workers

TRIES = 2  # of a job that failed in a way that may pass: a worker that died, an environment that raised
POLL = 1.0  # seconds between looks at the clock
RECHECK = 5.0  # seconds between looks at a run that another sweep on the same cache is doing


@dataclass
class Clock:
    """How much time is left: estimates in seconds of a core, corrected by how long finished jobs really took."""

    estimates: Mapping[Job, float]
    workers: int
    expected: float = 0.0  # of finished jobs
    taken: float = 0.0  # by them

    def ended(self, job: Job, seconds: float) -> None:
        self.expected += self.estimates[job]
        self.taken += seconds

    def left(self, todo: Sequence[Job], running: Mapping[Job, float]) -> float:
        """Seconds until all are done; running: job -> seconds since it began. Never shorter than the longest job."""
        pace = self.taken / self.expected if self.expected else 1.0
        rest = [max(0.0, self.estimates[job] * pace - so_far) for job, so_far in running.items()]
        rest += [self.estimates[job] * pace for job in todo]
        return max([sum(rest) / self.workers, *rest], default=0.0)


@dataclass
class Sweep:
    """What became of a list of jobs."""

    results: dict[Job, Result] = field(default_factory=dict)
    failures: dict[Job, Outcome] = field(default_factory=dict)  # how the last try of each ended
    found: int = 0  # results that were there before


def sweep(
    jobs: Sequence[Job], cache: Cache, workers: Workers, estimates: Mapping[Job, float] | None = None,
    keep_runs: bool = False, report: Callable[[str], None] = tqdm.write,
) -> Sweep:  # fmt: skip
    """Do all jobs that have no result yet. Interrupt it at any time: what is finished is kept, and the rest goes on.

    estimates: seconds of a core. keep_runs: leave run folders where `cache.workplace` says, instead of only results.
    """
    done = Sweep({job: result for job in dict.fromkeys(jobs) if (result := cache.find(job)) is not None})
    done.found = len(done.results)
    if todo := [job for job in dict.fromkeys(jobs) if job not in done.results]:
        known = dict.fromkeys(todo, 60.0) | dict(estimates or {})
        _Dispatcher(todo, cache, workers, known, done, keep_runs, report).run()
    return done


tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process would leave behind


class _Dispatcher:
    """Gives each free worker the next job, longest first, and takes care of what comes back."""

    def __init__(
        self, todo: Sequence[Job], cache: Cache, workers: Workers, estimates: Mapping[Job, float], done: Sweep,
        keep_runs: bool, report: Callable[[str], None],
    ):  # fmt: skip
        self.cache, self.workers, self.done, self.keep_runs, self.report = cache, workers, done, keep_runs, report
        self.queue = deque(sorted(todo, key=lambda job: -estimates[job]))  # a long job begun last leaves cores idle
        self.clock = Clock(estimates, workers.count)
        self.running: dict[int, tuple[Job, float]] = {}  # slot -> job, when it began
        self.tries: dict[Job, int] = {}
        self.not_before: dict[Job, float] = {}  # when to look again at what another sweep is doing
        self.free = list(range(workers.count))
        self.bar = tqdm(
            total=len(todo), unit="run", dynamic_ncols=True, file=sys.stderr,
            mininterval=0.5 if sys.stderr.isatty() else 30,
            bar_format="{n_fmt} of {total_fmt} runs |{bar}| {elapsed}{postfix}",
        )  # fmt: skip

    def run(self) -> None:
        """Until nothing is left to do."""
        with self.bar:
            while self.queue or self.running:
                self._assign()
                for outcome in self.workers.wait(POLL):
                    self._receive(outcome)
                self._show()

    def _assign(self) -> None:
        now = time.monotonic()
        for job in [job for job in self.queue if self.not_before.get(job, now) <= now]:
            if not self.free:
                return
            self.queue.remove(job)
            if (found := self.cache.find(job)) is not None:  # another sweep has done it since
                self.done.results[job] = found
                self.bar.update()
                continue
            slot = self.free.pop()
            self.running[slot] = job, now
            self.workers.submit(slot, job, self.cache.workplace(job))

    def _receive(self, outcome: Outcome) -> None:
        job, began = self.running.pop(outcome.slot)
        self.free.append(outcome.slot)
        if outcome.result and (mixed := differences(versions(), outcome.result["made"])):
            outcome = Outcome(outcome.slot, fault=f"done by other versions (here / there): {'; '.join(mixed)}")
        if outcome.result is not None:
            kept = {"folder": str(self.cache.workplace(job))} if self.keep_runs else {}
            self.done.results[job] = outcome.result | kept
            self.cache.keep(job, self.done.results[job])
            if not kept:
                self.cache.clear(job)
            self.clock.ended(job, time.monotonic() - began)
            self.bar.update()
            return
        if outcome.busy:
            self.not_before[job] = time.monotonic() + RECHECK
            self.queue.append(job)
            return
        self.tries[job] = self.tries.get(job, 0) + 1
        if outcome.again and self.tries[job] < TRIES:
            self.report(f"{job}: {outcome.fault}; trying again")
            self.queue.append(job)
            return
        self.report(f"{job} failed: {outcome.fault}")
        self.done.failures[job] = outcome
        self.bar.update()

    def _show(self) -> None:
        now = time.monotonic()
        left = self.clock.left(list(self.queue), {job: now - began for job, began in self.running.values()})
        shown = f"{duration(left)} left, {len(self.running)} running"
        failed = f", {len(self.done.failures)} failed" if self.done.failures else ""
        self.bar.set_postfix_str(shown + failed, refresh=False)
        self.bar.update(0)


def duration(seconds: float) -> str:
    """A length of time as people say it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
