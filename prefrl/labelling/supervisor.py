"""Supervises the render worker of a run: one at a time, restarted when it fails, ended with this process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before a worker that failed is started again
STEADY = 10.0  # seconds after which a worker counts as working
GRACE = 5.0  # seconds that a worker is given to end by itself
STANDBY = 2.0  # seconds between two checks whether the process that draws for all has ended


def command(folder: Path, modules: Sequence[str] = (), store_url: str | None = None) -> list[str]:
    """The command line that starts the render worker of a run."""
    imports = [part for module in modules for part in ("--import", module)]
    store = ["--store", store_url] if store_url else []
    return [sys.executable, "-m", "prefrl.labelling.worker", str(folder), *imports, *store]


class Supervisor(threading.Thread):
    """A thread that keeps one worker running. If another process does so for this run, it waits to take over.

    The worker's standard input is a pipe that ends with this process, however it dies.
    """

    def __init__(self, worker: Sequence[str], log: Path):
        super().__init__(name="render-supervisor", daemon=True)
        self.worker, self.log = list(worker), log
        self.process: subprocess.Popen[bytes] | None = None
        self.on_duty = False  # whether our worker is the one that draws
        self._fault: str | None = None
        self._started_at = time.monotonic()
        self._end = threading.Event()

    def trouble(self) -> str | None:
        """Why no clips are drawn: the last line that the worker printed."""
        steady = self.process and self.process.poll() is None and time.monotonic() - self._started_at > STEADY
        return None if steady or not self._fault else f"clips cannot be drawn: {self._fault}"

    def run(self) -> None:
        lock = FileLock(self.log.with_suffix(".lock"))
        while not self._end.is_set():
            try:
                with lock.acquire(timeout=0):
                    self.on_duty = True
                    self._supervise()
            except Timeout:
                self._end.wait(STANDBY)

    def _supervise(self) -> None:
        pause = FIRST_PAUSE
        while not self._end.is_set():
            self._started_at = time.monotonic()
            status = self._run_worker()
            if self._end.is_set():
                return
            last_line = self.log.read_text(errors="replace").strip().rpartition("\n")[2].strip()[:300]
            self._fault = last_line or f"the render worker ended with status {status}"
            if time.monotonic() - self._started_at > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            self._end.wait(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    def stop(self) -> None:
        """End the worker, and wait until it is gone."""
        self._end.set()
        if self.process:
            _end(self.process)
        self.join(2 * GRACE)  # it may just have started another worker, and be ending that
        if self.is_alive() and self.process:
            self.process.kill()

    def _run_worker(self) -> int:
        """Run the worker until it ends; returns its exit status. Ctrl-C is for the server, so the worker is in a session of its own."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.worker, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        if self._end.is_set():  # stop() came too early to see it
            _end(self.process)
        return self.process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a worker to end by closing its standard input, and kill it if it does not."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
