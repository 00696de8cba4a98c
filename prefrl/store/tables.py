"""The tables of the label store, and the triggers that keep them append-only."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Float, ForeignKey, Integer, String, Table

from prefrl.core.errors import UserError
from prefrl.store.database import add, last, name_of, reading, writing

FORMAT = 2
"""Raise it when the tables change in a way that an older prefrl would misread."""

PAIRS = 1
"""The format of the first release, which a store has as long as nothing of another kind was asked."""

metadata = sa.MetaData()

store_format = Table("store_format", metadata, Column("format", Integer, primary_key=True, autoincrement=False))

questions = Table(
    "queries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uid", String, nullable=False, unique=True),  # a deterministic name: a redone round asks nothing twice
    Column("kind", String, nullable=False),
    Column("segments_file", String, nullable=False),
    Column("row", Integer, nullable=False),  # index in the batch of that file
    Column("asked_step", Integer, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("strategy", String, nullable=False),
    Column("score", Float),
    Column("asked_at", Float, nullable=False),  # seconds since 1970; for people, order is by id
)

answers = Table(
    "answers",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("query_id", ForeignKey("queries.id"), nullable=False, index=True),
    Column("key", String, nullable=False, unique=True),  # an answer posted twice counts once
    # answer | opinion (another one on the same question) | truth (known, to check labellers by) | withdrawal
    Column("kind", String, nullable=False),
    Column("preference", Float),  # NULL: skipped, or the answer is in `payloads`
    Column("labeller", String, nullable=False),
    Column("response_seconds", Float),
    Column("step", Integer),
    Column("model_version", Integer),
    Column("supersedes", ForeignKey("answers.seq"), unique=True),  # so that corrections form a chain, not a tree
    Column("answered_at", Float, nullable=False),
    Column("details", String),  # JSON: how it was shown and answered; for statistics about people
    sa.CheckConstraint("preference >= 0 AND preference <= 1"),
)

payloads = Table(
    "payloads",
    metadata,
    Column("seq", ForeignKey("answers.seq"), primary_key=True, autoincrement=False),
    Column("content", String, nullable=False),  # JSON: an answer that is more than a preference
)

seals = Table(
    "seals",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),  # of the answer
    Column("sha256", String, nullable=False),  # of the seal before it and the answer's own row
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
)

closures = Table(
    "closures",
    metadata,
    Column("query_id", ForeignKey("queries.id"), primary_key=True, autoincrement=False),
    Column("reason", String, nullable=False),
    Column("step", Integer),  # of the run, when the trainer took the question back
    Column("closed_at", Float, nullable=False),
)

capacities = Table(
    "rooms",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),  # of the run; holds until the next row
    Column("room", Integer, nullable=False),  # how many more questions the teacher accepted
)

transient = sa.MetaData()  # tables whose rows may change: what is lost is written again

leases = Table(
    "holds",
    transient,
    Column("query_id", Integer, primary_key=True, autoincrement=False),
    Column("session", String, primary_key=True, index=True),
    Column("until", Float, nullable=False),  # seconds since 1970, by the server's clock
)

notices = Table(
    "notices",
    transient,
    Column("name", String, primary_key=True),
    Column("content", String, nullable=False),  # JSON
    Column("posted_at", Float, nullable=False),
)

predictions = Table(
    "predictions",
    transient,
    Column("query_id", Integer, primary_key=True, autoincrement=False),
    Column("content", String, nullable=False),  # JSON
)

displays = Table(
    "displays",
    transient,
    Column("ticket", String, primary_key=True),  # the key of the answer that may come
    Column("query_id", Integer, nullable=False),
    Column("labeller", String, nullable=False),
    Column("mirrored", sa.Boolean, nullable=False),  # whether two segments were shown the other way round
    Column("purpose", String, nullable=False),  # new | repeat | gold | again
    Column("shown_at", Float, nullable=False),
    Column("order", String),  # JSON: which segment was shown at each place; NULL: see `mirrored`
    sa.Index("displays_by_query", "query_id", "labeller"),
)

POSTGRESQL_REFUSAL = "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END"
POSTGRESQL_EVENTS = "BEFORE UPDATE OR DELETE OR TRUNCATE"  # per statement, the default

GOLD = "gold"
"""The strategy of gold questions, which check labellers: nothing is learned from them."""

DAMAGED = "damaged:"
"""Prefix of the keys of withdrawals of damaged answers, which hold for all steps of the run, also earlier ones."""

JUDGEMENTS = ("answer", "opinion")  # kinds of rows that are a labeller's judgement


def create_or_check(engine: sa.Engine) -> None:
    """Make the tables that are missing; refuse a database of something else, and one that this version cannot read."""
    with reading(engine) as connection:
        present = sa.inspect(connection).get_table_names()
    if present and store_format.name not in present:
        raise UserError(f"{name_of(engine)} is a database of something else (tables {present[:5]}); move it away")
    if not {*metadata.tables, *transient.tables} <= set(present):  # new, of an earlier prefrl, or restored in part
        with writing(engine) as connection:  # another process may have been faster
            metadata.create_all(connection)
            transient.create_all(connection)
            if not last(connection, store_format.c.format):
                add(connection, store_format, [{"format": PAIRS}])
    _add_order(engine)
    _check(engine)


def _add_order(engine: sa.Engine) -> None:
    """Add the column `order` to displays, which stores of the first release lack."""
    with reading(engine) as connection:
        if _has_order(connection):
            return
    with writing(engine) as connection:
        if not _has_order(connection):  # another process may have been faster
            connection.exec_driver_sql(f'ALTER TABLE {displays.name} ADD COLUMN "order" VARCHAR')


def _has_order(connection: sa.Connection) -> bool:
    return displays.c.order.name in {each["name"] for each in sa.inspect(connection).get_columns(displays.name)}


def raise_format(connection: sa.Connection) -> None:
    """Raise the store's format, so that the first release, which would take these answers for skips, refuses it."""
    if last(connection, store_format.c.format) < FORMAT:
        add(connection, store_format, [{"format": FORMAT}])


def _check(engine: sa.Engine) -> None:
    with reading(engine) as connection:
        stored_format = last(connection, store_format.c.format)
        state = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar() if engine.name == "sqlite" else "ok"
    copy = "restore it from a copy (RUN/backups has some if people labelled)"
    if state != "ok":
        raise UserError(f"{name_of(engine)} is damaged ({state}); {copy}")
    if stored_format > FORMAT:
        raise UserError(
            f"{name_of(engine)} has format {stored_format}, this prefrl reads up to format {FORMAT}; update prefrl, or, if no newer"
            f" one wrote it, it is damaged: {copy}"
        )


def _guard(table: Table) -> None:
    """Make the database itself refuse to change or drop a row."""
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table.name} is append-only'); END"
    same = " OR ".join(f"{c.name} = NEW.{c.name}" for c in table.columns if c.primary_key or c.unique)
    taken = f"EXISTS (SELECT 1 FROM {table.name} WHERE {same})"
    sqlite = [
        f"CREATE TRIGGER {table.name}_no_update BEFORE UPDATE ON {table.name} {refuse}",
        f"CREATE TRIGGER {table.name}_no_delete BEFORE DELETE ON {table.name} {refuse}",
        # INSERT OR REPLACE deletes the old row without firing the delete trigger
        f"CREATE TRIGGER {table.name}_no_replace BEFORE INSERT ON {table.name} WHEN {taken} {refuse}",
    ]
    function = f"{table.name}_refuse()"
    postgresql = [
        f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $$ {POSTGRESQL_REFUSAL} $$",
        f"CREATE TRIGGER {table.name}_append_only {POSTGRESQL_EVENTS} ON {table.name} EXECUTE FUNCTION {function}",
    ]
    for dialect, statements in (("sqlite", sqlite), ("postgresql", postgresql)):
        for statement in statements:
            sa.event.listen(table, "after_create", sa.DDL(statement).execute_if(dialect=dialect))


for _table in metadata.tables.values():
    _guard(_table)
