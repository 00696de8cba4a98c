"""Backups of the labels, in the run's folder: they are people's work, and a copy takes about a megabyte."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from prefrl.core.errors import UserError
from prefrl.core.files import new_file
from prefrl.store.store import LabelStore

EVERY_ANSWERS, EVERY_SECONDS = 50, 600.0
KEPT = 5

log = logging.getLogger(__name__)


class Backups:
    """Copies a run's labels to RUN/backups when enough new ones have come.

    To restore, with nothing running: remove labels.db-wal and labels.db-shm, and copy labels-N.db over labels.db.
    """

    def __init__(self, store: LabelStore, folder: Path):
        self.store, self.folder = store, folder / "backups"
        self.copied_at, self.seq = time.monotonic(), latest(self.folder)

    def keep_up(self) -> Path | None:
        """Copy if a backup is due. A full disk must not end the labelling."""
        new = self.store.last_seq() - self.seq
        late = time.monotonic() - self.copied_at >= EVERY_SECONDS
        return self.copy() if new >= EVERY_ANSWERS or (new > 0 and late) else None

    def copy(self) -> Path | None:
        """Copy now, unless there is no new answer."""
        seq = self.store.last_seq()
        if seq == self.seq:
            return None
        self.copied_at = time.monotonic()
        try:
            made, self.seq = backup(self.store, self.folder, seq), seq
        except (OSError, sqlite3.Error, UserError) as fault:
            log.warning("no backup of the labels could be written: %s", fault)
            return None
        return made


def backup(store: LabelStore, folder: Path, seq: int) -> Path:
    """Write labels-SEQ.jsonl, and labels-SEQ.db where the store is SQLite; drop the oldest. Returns the last written."""
    folder.mkdir(exist_ok=True)
    made = folder / f"labels-{seq:08d}.jsonl"
    store.export_jsonl(made)
    if store.engine.name == "sqlite":
        made = made.with_suffix(".db")
        with new_file(made) as unfinished:
            database, copy = sqlite3.connect(str(store.engine.url.database)), sqlite3.connect(unfinished)
            with closing(database), closing(copy):
                database.backup(copy)  # which sees one state of the database while others write to it
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    for suffix in (".jsonl", ".db"):
        for old in sorted(folder.glob(f"labels-*{suffix}"))[:-KEPT]:
            old.unlink(missing_ok=True)
    return made


def latest(folder: Path) -> int:
    """The number of the last answer in the latest complete backup."""
    return max((int(path.stem[-8:]) for path in folder.glob(f"labels-{'[0-9]' * 8}.jsonl")), default=0)
