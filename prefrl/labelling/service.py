"""The label service of a run: its store, the application, the render worker and backups; HTTP or a notebook on top."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prefrl.config.values import load
from prefrl.core.errors import UserError
from prefrl.labelling import supervisor
from prefrl.labelling.access import Access
from prefrl.labelling.backups import Backups
from prefrl.labelling.security import Gate
from prefrl.labelling.server import Shared, make_app
from prefrl.labelling.supervisor import Supervisor
from prefrl.store.store import LabelStore, open_store

LOOK = 5.0  # seconds between two rounds of backups and notices
PRESENT = 60.0  # seconds after the last request for which a labeller counts as present

log = logging.getLogger(__name__)


def require_run(folder: Path) -> None:
    """Raise UserError unless the folder is a run's and its config can be read."""
    if not (folder / "config.yaml").is_file():
        runs = [str(path.parent) for path in sorted(Path("runs").glob("*/config.yaml"))]
        hint = f"there are: {', '.join(runs[-10:])}" if runs else "make one with: prefrl train --teacher human"
        raise UserError(f"{folder} is not a run folder (it has no config.yaml); {hint}")
    load(folder / "config.yaml")


@contextmanager
def opened(
    folder: Path, access: Access, *, modules: Sequence[str] = (), store: str | None = None, labeller: str | None = None
) -> Iterator[Gate]:
    """The application of a run with its render worker and backups, until the end of the block.

    store: database of the labels, where it is not the run's own; labeller: the name that the page proposes. A run may
    be opened several times, in several processes; one of them draws clips and makes backups for all.
    """
    config = load(folder / "config.yaml")
    url = store or config.record.labels or None
    with open_store(folder, config, store) as labels:
        worker = Supervisor(supervisor.command(folder, modules, url), folder / "render-worker.log")
        present: dict[str, float] = {}
        shared = Shared(folder, labels, access, trouble=worker.trouble, present=present, labeller=labeller)
        worker.start()
        try:
            with _upkeep(labels, folder, present, worker):
                yield make_app(shared)
        finally:
            worker.stop()


@contextmanager
def _upkeep(store: LabelStore, folder: Path, present: dict[str, float], worker: Supervisor) -> Iterator[None]:
    """Make backups and tell the trainer who is labelling, in a thread of its own."""
    backups, end = Backups(store, folder), threading.Event()

    def look() -> None:
        while not end.wait(LOOK):
            try:
                if worker.on_duty:
                    backups.keep_up()
                labellers = sorted(name for name, at in list(present.items()) if time.time() - at < PRESENT)
                store.notices.post("labelling", {"state": "open", "labellers": labellers})
            except UserError as fault:
                log.warning("%s", fault)

    thread = threading.Thread(target=look, name="backups", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(30)
        if worker.on_duty:
            backups.copy()
        store.notices.post("labelling", {"state": "closed", "labellers": []})
