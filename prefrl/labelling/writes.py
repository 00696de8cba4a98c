"""Group commit: concurrent writes share one transaction, so twenty labellers wait hardly longer than one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from prefrl.core.errors import StorageFull
from prefrl.store.database import one_transaction

Result = TypeVar("Result")
Job = Callable[[], Any]


class Writes:
    """Group commit. The thread that holds the lock runs all waiting writes in one transaction.

    It also keeps SQLite from polling for its lock, which favours some threads and lets others starve.
    """

    def __init__(self, engine: Engine):
        self.engine = engine
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Job, Future[Any]]] = deque()

    def do(self, job: Callable[[], Result]) -> Result:
        """Run a job that writes, and return its result once it is on disk."""
        future: Future[Result] = Future()
        self._waiting.append((job, future))
        with self._lock:
            if not future.done():
                self._write([self._waiting.popleft() for _ in range(len(self._waiting))])
        return future.result()

    def _write(self, batch: list[tuple[Job, Future[Any]]]) -> None:
        outcomes: list[tuple[Any, BaseException | None]] = []
        try:
            with one_transaction(self.engine) as connection:
                outcomes = [_run_in_savepoint(job, connection) for job, _ in batch]
        except BaseException as fault:  # the disk is full, or the database is gone: nothing of this is stored
            outcomes = [(None, fault)] * len(batch)
        for (_, future), (result, refused) in zip(batch, outcomes, strict=True):
            if refused:
                future.set_exception(refused)
            else:
                future.set_result(result)


def _run_in_savepoint(job: Job, connection: Connection) -> tuple[Any, BaseException | None]:
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
