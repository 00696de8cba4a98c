"""Opens the label page beside a run whose teacher is human, and keeps it open while the run lasts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefrl.config import Config

TRIES = 5  # how often a label server that died is started again


def command(folder: Path, config: Config, modules: Sequence[str] = ()) -> list[str]:
    """How to start a label server for this run. It is a process of its own: labels come in whatever training does."""
    store = ["--store", config.record.labels] if config.record.labels else []
    imports = [word for name in modules for word in ("--import", name)]
    return [sys.executable, "-m", "prefrl.cli", "label", str(folder), *store, *imports]


@contextmanager
def label_page(folder: Path, config: Config, modules: Sequence[str] = ()) -> Iterator[None]:
    """Serve the label page meanwhile, if people are asked. A trainer that is killed leaves it running."""
    if config.teacher.name != "human" or not config.teacher.page or config.reward.source != "learned":
        yield
        return
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(command(folder, config, modules), over), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(15)


def _keep(line: list[str], over: threading.Event) -> None:
    for _ in range(TRIES):
        server = subprocess.Popen(line, start_new_session=True)  # Ctrl-C is for the trainer, which then ends us
        while server.poll() is None:
            if over.wait(0.2):
                server.terminate()
                server.wait(10)
                return
        if server.returncode == 2:  # refused, and it said why: another server is running, or it cannot work here
            return
    print("the label server died again and again; start it by hand: prefrl label RUN", file=sys.stderr)
