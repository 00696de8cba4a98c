"""Group commit: concurrent writes share one transaction, so twenty labellers wait hardly longer than one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from prefrl.core.errors import StorageFull
from prefrl.store.database import one_transaction

Result = TypeVar("Result")
Outcome = tuple[Any, "BaseException | None"]


class Entry:
    """A write that waits, and later its result or exception."""

    def __init__(self, job: Callable[[], Any]):
        self.job, self.done = job, False
        self.result: Any = None
        self.fault: BaseException | None = None

    def settle(self, result: Any = None, fault: BaseException | None = None) -> None:
        self.result, self.fault, self.done = result, fault, True


class Writes:
    """Group commit. The thread that holds the lock runs all waiting writes in one transaction.

    It also keeps SQLite from polling for its lock, which favours some threads and lets others starve.
    """

    def __init__(self, engine: Engine):
        self.engine = engine
        self._write_lock, self._waiting_lock = threading.Lock(), threading.Lock()
        self._waiting: list[Entry] = []

    def do(self, job: Callable[[], Result]) -> Result:
        """Run a job that writes, and return its result once it is on disk."""
        entry = Entry(job)
        with self._waiting_lock:
            self._waiting.append(entry)
        with self._write_lock:
            if not entry.done:
                with self._waiting_lock:
                    batch, self._waiting = self._waiting, []
                self._write(batch)
        if entry.fault:
            raise entry.fault
        return entry.result

    def _write(self, batch: list[Entry]) -> None:
        results: list[Outcome] = []
        try:
            with one_transaction(self.engine) as connection:
                results = [_run_in_savepoint(entry.job, connection) for entry in batch]
        except BaseException as fault:  # the disk is full, or the database is gone: nothing of this is stored
            results = [(None, fault)] * len(batch)
        for entry, outcome in zip(batch, results, strict=True):
            entry.settle(*outcome)


def _run_in_savepoint(job: Callable[[], Any], connection: Connection) -> Outcome:
    """Run a job in a savepoint: a refused job rolls back its own writes only; a database error fails the whole batch."""
    own = connection.begin_nested()
    try:
        result = job()
    except (StorageFull, SQLAlchemyError):
        raise
    except Exception as fault:
        own.rollback()
        return None, fault
    own.commit()
    return result, None
