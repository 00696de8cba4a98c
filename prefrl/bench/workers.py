"""Worker processes of this machine, and what a sweep asks of them and of the actors of a Ray cluster (`cluster.py`).

Both import torch once and then take job after job. On one machine plain processes are the default because they cost
less: a local Ray spends 4 to 5 CPU seconds to start and 1.6 % of two cores to stay, processes next to nothing of both.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

import torch._dynamo  # noqa: F401  two seconds that the first optimiser of each process would take

from prefrl.bench.cache import Job, Result, versions
from prefrl.bench.work import do
from prefrl.config.modules import import_modules
from prefrl.core.errors import EnvironmentFailed, FolderBusy, Stopped, StorageFull, UserError

PATIENCE = 2.0  # seconds that an idle worker has to end by itself
versions()  # known from now on: the source may be edited while a sweep runs


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a result, or with a fault that is worth another try or not."""

    slot: int  # the worker
    result: Result | None = None
    fault: str = ""
    trace: str = ""
    again: bool = False  # whether the same job may succeed next time
    busy: bool = False  # another sweep is at it


class Workers(Protocol):
    """`count` slots, each with one job at a time."""

    count: int

    def submit(self, slot: int, job: Job, folder: Path) -> None: ...

    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended by now, or within so many seconds."""
        ...

    def close(self) -> None:
        """Stop at once; an unfinished run keeps its checkpoints."""
        ...


def attempt(slot: int, job: Job, folder: Path) -> Outcome:
    """Do a job in this process, and report what it raised."""
    try:
        import_modules(job.modules, "import:")
        folder.mkdir(parents=True, exist_ok=True)
        return Outcome(slot, do(job, folder))
    except Stopped as stop:
        return Outcome(slot, fault=str(stop), again=True)
    except FolderBusy as fault:
        return Outcome(slot, fault=str(fault), busy=True)
    except Exception as fault:  # one job's failure, of whatever kind, is no other's
        passing = not isinstance(fault, UserError) or isinstance(fault, EnvironmentFailed | StorageFull)
        return Outcome(slot, fault=f"{type(fault).__name__}: {fault}", trace=traceback.format_exc(), again=passing)


class Processes:
    """Worker processes of this machine, forked from one server that has imported torch."""

    def __init__(self, count: int):
        self.count = count
        os.environ["OMP_NUM_THREADS"] = "1"
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["prefrl.bench.workers"])
        self.workers: dict[int, tuple[Any, Connection]] = {}
        self.busy: set[int] = set()

    def submit(self, slot: int, job: Job, folder: Path) -> None:
        if slot in self.workers and not self.workers[slot][0].is_alive():
            self.workers.pop(slot)[1].close()  # killed while it had nothing to do
        if slot not in self.workers:
            ours, theirs = self.context.Pipe()
            worker = self.context.Process(target=_serve, args=(slot, theirs, sys.path[:]), daemon=True)
            worker.start()
            theirs.close()
            self.workers[slot] = worker, ours
        self.busy.add(slot)
        self.workers[slot][1].send((job, folder))

    def wait(self, seconds: float) -> list[Outcome]:
        asked = {self.workers[slot][1]: slot for slot in self.busy}
        return [self._receive(asked[one]) for one in wait(list(asked), seconds) if isinstance(one, Connection)]

    def _receive(self, slot: int) -> Outcome:
        worker, pipe = self.workers[slot]
        self.busy.discard(slot)
        try:
            return pipe.recv()
        except (EOFError, ConnectionError):
            worker.join(10)
            del self.workers[slot]  # the next job gets a new process
            return Outcome(slot, fault=f"its process {_died(worker.exitcode)}", again=True)

    def close(self) -> None:
        for slot, (worker, pipe) in self.workers.items():
            pipe.close()
            if slot in self.busy:
                worker.kill()
        for worker, _ in self.workers.values():
            worker.join(10)


def _died(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with status {code}"
    hint = "; is the memory full?" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"


def _serve(slot: int, pipe: Connection, path: list[str]) -> None:
    """Do the jobs that arrive in a worker process. It ends when the sweep does, also by kill -9."""
    os.setsid()  # Ctrl-C is for the sweep
    sys.path[:] = path
    jobs: queue.SimpleQueue[tuple[Job, Path] | None] = queue.SimpleQueue()

    def take() -> None:
        while True:
            try:
                jobs.put(pipe.recv())
            except (EOFError, OSError):
                jobs.put(None)  # an idle worker ends by itself, or multiprocessing reports leaked semaphores
                time.sleep(PATIENCE)
                os._exit(1)  # the sweep is gone; checkpoints are whole at any moment

    threading.Thread(target=take, daemon=True).start()
    while job := jobs.get():
        pipe.send(attempt(slot, *job))
