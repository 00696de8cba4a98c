"""The label page of a run whose teacher is human: its server is started with the run, and restarted if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from prefrl.config.settings import Config
from prefrl.runs import address

STEADY = 10.0  # seconds after which a server counts as one that works
LONGEST_PAUSE = 10.0  # seconds between starts of a server that dies at once
REFUSALS = 2  # exits with status 2 after which it is not started again: one may come from a busy disk
PATIENCE = 10.0  # seconds that a server has to end before it is killed


def command(folder: Path, config: Config, modules: Sequence[str] = ()) -> list[str]:
    """The command that starts this run's label server: a process of its own, so that labels come in whatever training does."""
    store = ["--store", config.record.labels] if config.record.labels else []
    imports = [word for name in modules for word in ("--import", name)]
    return [sys.executable, "-m", "prefrl.cli", "label", str(folder), "--beside-training", *store, *imports]


@contextmanager
def label_page(folder: Path, config: Config, modules: Sequence[str] = ()) -> Iterator[None]:
    """Serve the label page during the block, if people are asked. A trainer that is killed leaves it running."""
    if config.teacher.name != "human" or not config.teacher.page or config.reward.source != "learned":
        yield
        return
    over = threading.Event()
    server = threading.Thread(target=_keep_serving, args=(command(folder, config, modules), folder, over), daemon=True)
    server.start()
    try:
        yield
    finally:
        over.set()
        server.join(15)


def _keep_serving(line: list[str], folder: Path, over: threading.Event) -> None:
    """Start a server whenever there is none, until the run is over; one that somebody else started is left alone."""
    deaths = refusals = 0  # in a row: early deaths, and exits with status 2
    while True:
        while _served(folder):
            if over.wait(0.5):
                _end_left_behind(folder)
                return
        began = time.monotonic()
        server = subprocess.Popen(line, start_new_session=True)  # Ctrl-C goes to the trainer, which ends the server
        while server.poll() is None:
            if over.wait(0.2):
                _end(server)
                return
        refusals = refusals + 1 if server.returncode == 2 and not _served(folder) else 0
        if refusals == REFUSALS:  # it cannot work here, and has printed why
            return
        deaths = 0 if time.monotonic() - began > STEADY else deaths + 1
        pause = min(LONGEST_PAUSE, 2.0 ** (deaths + 4 * refusals - 4))
        if deaths > 4:
            print(f"the label server died {deaths} times in a row; another try in {pause:.0f} s", file=sys.stderr)
        if over.wait(pause):
            return


def _end(server: subprocess.Popen[bytes]) -> None:
    """End our server. Killing it loses nothing: what it acknowledged is on disk."""
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_left_behind(folder: Path) -> None:
    """End the server of a trainer that was killed; one that somebody started by hand stays."""
    server = address.read(folder)
    if server and server.beside_training and _served(folder):
        with suppress(OSError):
            os.kill(server.pid, signal.SIGTERM)


def _served(folder: Path) -> bool:
    """Whether some process holds the lock of the run's label server."""
    lock = FileLock(folder / address.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
