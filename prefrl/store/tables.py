"""The tables of the label store, the triggers that keep them append-only, and the conditions that queries share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    event,
    func,
    inspect,
    select,
)

from prefrl.core.errors import UserError
from prefrl.store.database import CHUNK, add, last, name_of, reading, writing

FORMAT = 2
"""Raise it when the tables change in a way that an older prefrl would misread."""

PAIRS = 1
"""The format of the first release, which a store has as long as nothing of another kind was asked."""

metadata = MetaData()

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
    CheckConstraint("preference >= 0 AND preference <= 1"),
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

rooms = Table(
    "rooms",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),  # of the run; holds until the next row
    Column("room", Integer, nullable=False),  # how many more questions the teacher accepted
)

passing = MetaData()  # tables whose rows may change: what is lost is written again

leases = Table(
    "holds",
    passing,
    Column("query_id", Integer, primary_key=True, autoincrement=False),
    Column("session", String, primary_key=True, index=True),
    Column("until", Float, nullable=False),  # seconds since 1970, by the server's clock
)

notices = Table(
    "notices",
    passing,
    Column("name", String, primary_key=True),
    Column("content", String, nullable=False),  # JSON
    Column("posted_at", Float, nullable=False),
)

predictions = Table(
    "predictions",
    passing,
    Column("query_id", Integer, primary_key=True, autoincrement=False),
    Column("content", String, nullable=False),  # JSON
)

displays = Table(
    "displays",
    passing,
    Column("ticket", String, primary_key=True),  # the key of the answer that may come
    Column("query_id", Integer, nullable=False),
    Column("labeller", String, nullable=False),
    Column("mirrored", Boolean, nullable=False),  # whether two segments were shown the other way round
    Column("purpose", String, nullable=False),  # new | repeat | gold | again
    Column("shown_at", Float, nullable=False),
    Column("order", String),  # JSON: which segment was shown at each place; NULL: see `mirrored`
    Index("displays_by_query", "query_id", "labeller"),
)

POSTGRESQL_REFUSAL = "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END"
POSTGRESQL_EVENTS = "BEFORE UPDATE OR DELETE OR TRUNCATE"  # per statement, the default

GOLD = "gold"
"""The strategy of gold questions, which check labellers: nothing is learned from them."""

DAMAGED = "damaged:"
"""Prefix of the keys of withdrawals of damaged answers, which hold for all steps of the run, also earlier ones."""

JUDGEMENTS = ("answer", "opinion")  # kinds of rows that are a labeller's judgement

_later = answers.alias("later")
_corrected = select(_later.c.seq).where(_later.c.supersedes == answers.c.seq)


def standing(until: int | None = None) -> Any:
    """The condition that an answer stands: undamaged, and not corrected or withdrawn up to and including `until`."""
    if until is None:
        return ~_corrected.exists()
    by_then = (_later.c.seq <= until) | _later.c.key.startswith(DAMAGED)
    return (answers.c.seq <= until) & ~_corrected.where(by_then).exists()


decided = answers.c.preference.is_not(None) | payloads.c.seq.is_not(None)
"""The condition on an answer, joined with its payload, that it was not skipped."""


def current_answers(until: int | None = None) -> Select[Any]:
    """Answers that stand and that may be learned from, one for each answered question."""
    wanted = select(
        answers.c.seq, answers.c.query_id, answers.c.preference, payloads.c.content,
        questions.c.kind, questions.c.segments_file, questions.c.row,
    ).select_from(answers.join(questions).outerjoin(payloads))  # fmt: skip
    taught = (answers.c.kind == "answer") & (questions.c.strategy != GOLD)
    return wanted.where(taught, standing(until))


@cache  # building it takes SQLAlchemy longer than SQLite takes to answer it
def unanswered(opinions: float = 1) -> Any:
    """The condition on a question that somebody should judge it: too few have, and it was not closed."""
    of_question = answers.c.query_id == questions.c.id
    answered = select(answers.c.seq).where(of_question, answers.c.kind == "answer", standing())
    closed = select(closures.c.query_id).where(closures.c.query_id == questions.c.id)
    lacking = ~answered.correlate(questions).exists()
    if opinions > 1:
        judges = select(func.count(answers.c.labeller.distinct())).where(
            of_question, answers.c.kind.in_(JUDGEMENTS), standing()
        )
        lacking |= judges.correlate(questions).scalar_subquery() < wanted_of(questions.c.id, opinions)
    return lacking & ~closed.correlate(questions).exists() & (questions.c.strategy != GOLD)


def wanted_of(query: Any, opinions: float) -> Any:
    """How many labellers should judge a question; with 1.2 opinions two for every fifth. query: its id, or the column"""
    whole = int(opinions)
    thousandths = round(1000 * (opinions - whole))
    return whole + query * thousandths // 1000 - (query - 1) * thousandths // 1000


def wanted(connection: Connection, ids: Sequence[int], opinions: float) -> dict[int, tuple[int, set[str]]]:
    """For those of these questions that are open: how many more labellers should judge them, and who has."""
    judges: dict[int, set[str]] = defaultdict(set)
    wanted_number: dict[int, int] = {}
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        number = select(questions.c.id, wanted_of(questions.c.id, opinions)).where(
            questions.c.id.in_(chunk), unanswered(opinions)
        )
        wanted_number |= {id: most for id, most in connection.execute(number)}
        if opinions > 1:
            judged = select(answers.c.query_id, answers.c.labeller)
            judged = judged.where(answers.c.query_id.in_(chunk), answers.c.kind.in_(JUDGEMENTS), standing())
            for id, labeller in connection.execute(judged):
                judges[id].add(labeller)
    return {id: (max(1, most - len(judges[id])), judges[id]) for id, most in wanted_number.items()}


def create_or_check(engine: Engine) -> None:
    """Make the tables in an empty database; refuse one that this version cannot read."""
    with reading(engine) as connection:
        tables = inspect(connection).get_table_names()
    if not tables:
        with writing(engine) as connection:  # another process may have been faster
            metadata.create_all(connection)
            passing.create_all(connection)
            if not last(connection, store_format.c.format):
                add(connection, store_format, [{"format": PAIRS}])
    elif store_format.name not in tables:
        raise UserError(f"{name_of(engine)} is a database of something else (tables {tables[:5]}); move it away")
    elif not {*metadata.tables, *passing.tables} <= set(tables):  # made by an earlier prefrl, or restored without them
        with writing(engine) as connection:
            metadata.create_all(connection)
            passing.create_all(connection)
    _add_order(engine)
    _check(engine)


def _add_order(engine: Engine) -> None:
    """Add the column `order` to displays, which stores of the first release lack."""

    def missing(connection: Connection) -> bool:
        return displays.c.order.name not in {each["name"] for each in inspect(connection).get_columns(displays.name)}

    with reading(engine) as connection:
        if not missing(connection):
            return
    with writing(engine) as connection:
        if missing(connection):  # another process may have been faster
            connection.exec_driver_sql(f'ALTER TABLE {displays.name} ADD COLUMN "order" VARCHAR')


def raise_format(connection: Connection) -> None:
    """Raise the store's format, so that the first release, which would take these answers for skips, refuses it."""
    if last(connection, store_format.c.format) < FORMAT:
        add(connection, store_format, [{"format": FORMAT}])


def _check(engine: Engine) -> None:
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
            event.listen(table, "after_create", DDL(statement).execute_if(dialect=dialect))


for _table in metadata.tables.values():
    _guard(_table)
