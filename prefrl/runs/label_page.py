"""Opens the label page beside a run whose teacher is human, and keeps it open while the run lasts."""

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

STEADY = 10.0  # seconds that a label server has to live to count as one that works
LONGEST = 10.0  # seconds between starts of one that dies at once
REFUSALS = 2  # after which a label server that cannot work is believed; a busy disk may pass
PATIENCE = 10.0  # seconds that a label server has to end


def command(folder: Path, config: Config, modules: Sequence[str] = ()) -> list[str]:
    """How to start a label server for this run. It is a process of its own: labels come in whatever training does."""
    store = ["--store", config.record.labels] if config.record.labels else []
    imports = [word for name in modules for word in ("--import", name)]
    return [sys.executable, "-m", "prefrl.cli", "label", str(folder), "--beside-training", *store, *imports]


@contextmanager
def label_page(folder: Path, config: Config, modules: Sequence[str] = ()) -> Iterator[None]:
    """Serve the label page meanwhile, if people are asked. A trainer that is killed leaves it running."""
    if config.teacher.name != "human" or not config.teacher.page or config.reward.source != "learned":
        yield
        return
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(command(folder, config, modules), folder, over), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(15)


def _keep(line: list[str], folder: Path, over: threading.Event) -> None:
    """Start a server whenever there is none; one that serves already, for whatever reason, is left alone."""
    deaths = refusals = 0  # in a row: of servers that did not live long, and of those that said why
    while True:
        while _served(folder):
            if over.wait(0.5):
                _end_left_behind(folder)
                return
        began = time.monotonic()
        server = subprocess.Popen(line, start_new_session=True)  # Ctrl-C is for the trainer, which then ends us
        while server.poll() is None:
            if over.wait(0.2):
                _end(server)
                return
        refusals = refusals + 1 if server.returncode == 2 and not _served(folder) else 0
        if refusals == REFUSALS:  # it cannot work here, and it said why
            return
        deaths = 0 if time.monotonic() - began > STEADY else deaths + 1
        pause = min(LONGEST, 2.0 ** (deaths + 4 * refusals - 4))
        if deaths > 4:
            print(f"the label server died {deaths} times in a row; another try in {pause:.0f} s", file=sys.stderr)
        if over.wait(pause):
            return


def _end(server: subprocess.Popen[bytes]) -> None:
    """What it acknowledged is on disk, so that it may be killed if it does not end by itself."""
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_left_behind(folder: Path) -> None:
    """End a server that a trainer opened which was killed; one that somebody opened by hand stays."""
    here = address.read(folder)
    if here and here.beside_training and _served(folder):
        with suppress(OSError):
            os.kill(here.pid, signal.SIGTERM)


def _served(folder: Path) -> bool:
    lock = FileLock(folder / address.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
