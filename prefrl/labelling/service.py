"""All that labelling a run needs besides a way in: its store, the application, the render worker, copies of the labels."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefrl.config.values import load
from prefrl.core.errors import UserError
from prefrl.labelling import render_worker as drawing
from prefrl.labelling.access import Access
from prefrl.labelling.backups import Backups
from prefrl.labelling.security import Gate
from prefrl.labelling.server import make_app
from prefrl.store.store import LabelStore, open_store

LOOK = 5.0  # seconds between two looks after backups and notices
PRESENT = 60.0  # seconds for which a labeller who says nothing counts as there

log = logging.getLogger(__name__)


def require_run(folder: Path) -> None:
    """Raise UserError unless this is a run's folder that can be read."""
    if not (folder / "config.yaml").is_file():
        there = [str(path.parent) for path in sorted(Path("runs").glob("*/config.yaml"))]
        hint = f"there are: {', '.join(there[-10:])}" if there else "make one with: prefrl train --teacher human"
        raise UserError(f"{folder} is not a run folder (it has no config.yaml); {hint}")
    load(folder / "config.yaml")


@contextmanager
def opened(
    folder: Path, access: Access, *, modules: Sequence[str] = (), store: str | None = None, **options: Any
) -> Iterator[Gate]:
    """The application of a run and what works beside it, until the end of the block.

    store: database of the labels, where it is not the run's own; options: labeller and rng, as make_app has them. A run may be open several times, here and elsewhere; one of them draws and keeps copies for all.
    """
    config = load(folder / "config.yaml")
    url = store or config.record.labels or None
    with open_store(folder, config, store) as labels:
        worker = drawing.Drawing(drawing.command(folder, modules, url), folder / "render-worker.log")
        present: dict[str, float] = {}
        app = make_app(folder, labels, access, trouble=worker.trouble, present=present, **options)
        worker.start()
        try:
            with _looking_after(labels, folder, present, worker):
                yield app
        finally:
            worker.stop()


@contextmanager
def _looking_after(
    store: LabelStore, folder: Path, present: dict[str, float], worker: drawing.Drawing
) -> Iterator[None]:
    """Backups, and a notice to the trainer about who labels, in a thread of their own."""
    backups, end = Backups(store, folder), threading.Event()

    def look() -> None:
        while not end.wait(LOOK):
            try:
                if worker.on_duty:
                    backups.keep_up()
                there = sorted(name for name, at in list(present.items()) if time.time() - at < PRESENT)
                store.notices.post("labelling", {"state": "open", "labellers": there})
            except UserError as fault:
                log.warning("%s", fault)

    looking = threading.Thread(target=look, name="looking-after", daemon=True)
    looking.start()
    try:
        yield
    finally:
        end.set()
        looking.join(30)
        if worker.on_duty:
            backups.copy()
        store.notices.post("labelling", {"state": "closed", "labellers": []})
