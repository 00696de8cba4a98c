"""Read and write transactions on the database of a label store, and its errors as UserErrors with a remedy."""

from __future__ import annotations

import math
import sqlite3
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, SupportsFloat, SupportsInt, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError

from prefrl.core.errors import StorageFull, UserError
from prefrl.core.files import network_share

Row = dict[str, Any]
"""A row of a table or of a SELECT, by the names of its columns."""

Key = TypeVar("Key", int, str)

_thread = threading.local()
CHUNK = 10_000  # values in one IN (...); SQLite takes 32766

SQLITE_SETUP = (
    "PRAGMA busy_timeout = 30000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = FULL",  # WAL + NORMAL may lose acknowledged answers with the power
)

WRITE_LOCK = {
    "sqlite": "BEGIN IMMEDIATE",  # a deferred transaction that reads first fails at once under a second writer
    "postgresql": "SELECT pg_advisory_xact_lock(1706)",  # without it numbers become visible out of order
}

_DAMAGED = "is damaged; restore it from a copy of the run folder"
FULL = {
    "disk is full": "is on a full disk; free some space and resume",
    "disk I/O error": "cannot be written, its disk is full or failing; free some space and resume",
}
FAULTS = {
    **FULL,
    "not a database": "is not a database; move it away or restore it from a copy of the run folder",
    "malformed": _DAMAGED,
    "no such": _DAMAGED,  # table or column, all of which we made
    "unable to open": "cannot be opened; check that the folder exists and may be written to",
    "readonly": "may only be read; check the owner and the permissions of the run folder",
    "connection to server": "cannot be reached; check that it runs, its host, port, user and password",
    "failed to resolve": "cannot be reached; check its host",
    "closed the connection": "went away in the middle; what was acknowledged is stored, resume when it is back",
    "terminating connection": "went down; what was acknowledged is stored, resume when it is back",
    "is locked": "was held by another process for 30 seconds; end that process",
}
"""Phrase in an error of the database -> what is wrong with the store, and the remedy."""


def connect(url: str | sa.URL) -> sa.Engine:
    """An engine whose every connection is safe for labels."""
    try:
        engine = sa.create_engine(
            url, pool_pre_ping=not str(url).startswith("sqlite")
        )  # a server may have been restarted
    except (ArgumentError, ImportError) as error:
        raise UserError(
            f"this url is no database we can reach: {error}; for several machines give"
            " postgresql+psycopg://user@host/name and pip install 'psycopg[binary]'"
        ) from error
    if engine.dialect.name not in WRITE_LOCK:
        raise UserError(f"a label store cannot live in {engine.dialect.name}; use one of {sorted(WRITE_LOCK)}")
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection for one SELECT; database errors come out as UserErrors that name the store."""
    with _translated_errors(engine):
        if shared := _shared(engine):
            yield shared
        else:
            with engine.connect() as connection:
                yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A write transaction under the write lock: on disk when the block ends, rolled back if it raises."""
    with _translated_errors(engine):
        if shared := _shared(engine):
            yield shared  # its owner commits
        else:
            with engine.connect() as connection:
                connection.exec_driver_sql(WRITE_LOCK[engine.dialect.name])
                yield connection
                connection.commit()


@contextmanager
def one_transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction, and one wait for the disk, for all that this thread writes in the block."""
    with writing(engine) as connection:
        _thread.shared = connection
        try:
            yield connection
        finally:
            _thread.shared = None


def _shared(engine: sa.Engine) -> sa.Connection | None:
    """The transaction of `one_transaction` that this thread is in; None outside of one."""
    connection: sa.Connection | None = getattr(_thread, "shared", None)
    return connection if connection is not None and connection.engine is engine else None


def name_of(engine: sa.Engine) -> str:
    """The database as messages name it, without its password."""
    url = engine.url
    return f"label store {url.database if engine.name == 'sqlite' else url.render_as_string(hide_password=True)}"


def by_value(connection: sa.Connection, columns: Sequence[sa.Column[Any]], values: Sequence[Key]) -> dict[Key, Row]:
    """The rows whose first column is among these values, by that value."""
    by_key: dict[Key, Row] = {}
    for start in range(0, len(values), CHUNK):
        rows = connection.execute(_among(tuple(columns)), {"values": list(values[start : start + CHUNK])})
        by_key.update({row[columns[0].name]: dict(row) for row in rows.mappings()})
    return by_key


@lru_cache
def _among(columns: tuple[sa.Column[Any], ...]) -> sa.Select[Any]:
    """The SELECT of `by_value`, cached: building a statement takes longer than running it."""
    return sa.select(*columns).where(columns[0].in_(sa.bindparam("values", expanding=True)))


def add(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows that all name the same columns."""
    if rows:
        connection.execute(sa.insert(table), rows)


def put(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows in place of those with the same primary key."""
    key = next(iter(table.primary_key))
    connection.execute(sa.delete(table).where(key.in_([row[key.name] for row in rows])))
    add(connection, table, rows)


def last(connection: sa.Connection, number: sa.Column[int]) -> int:
    """The highest number given so far, 0 before the first. Under the write lock, one more is the next number."""
    return connection.scalar(sa.select(sa.func.max(number))) or 0


def plain_float(value: SupportsFloat | None) -> float | None:
    """A number as the database stores it: NaN, which means absent, as NULL."""
    return None if value is None or math.isnan(value) else float(value)


def plain_int(value: SupportsInt | None) -> int | None:
    """A plain int: the driver would store a numpy integer as bytes."""
    return None if value is None else int(value)


@contextmanager
def _translated_errors(engine: sa.Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        for phrase, text in FAULTS.items():
            if phrase in str(error.orig):
                kind = StorageFull if phrase in FULL else UserError
                raise kind(f"{name_of(engine)} {text} ({error.orig})") from error
        raise
    except UnicodeDecodeError as error:  # SQLite quotes a damaged name
        raise UserError(f"{name_of(engine)} {_DAMAGED} ({error})") from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged row must not hide the others
    for setting in SQLITE_SETUP:
        connection.execute(setting)
    file = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    if share := network_share(file):  # WAL needs memory that all processes share, which those of two machines do not
        if (mode := connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]) != "delete":
            raise UserError(f"{file} is on a network share ({share}) and stays in journal mode {mode!r}; move the run")
        warnings.warn(
            f"{file} is on a network share ({share}): labels are written more slowly there, and are only as safe as its"
            " locks; a local disk is better, and --record.labels postgresql+psycopg://... for several machines",
            stacklevel=2,
        )
        return
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    if (mode := connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]) != "wal":
        raise UserError(f"{file} stays in journal mode {mode!r}, expected 'wal'; keep the run on a local disk")
