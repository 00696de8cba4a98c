"""The rows of a label store as plain dicts: what a replay reads, and what export and import move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Table, select

from prefrl.kinds import FIRST
from prefrl.store import database
from prefrl.store.database import Row, one_transaction
from prefrl.store.rows import add_answers, as_stored, with_answer
from prefrl.store.seals import seal
from prefrl.store.store import LabelStore
from prefrl.store.tables import DAMAGED, answers, capacities, closures, payloads, questions, raise_format, watermarks

TABLES: dict[str, Table] = {
    "questions": questions, "closures": closures, "watermarks": watermarks, "capacities": capacities,
}  # fmt: skip


def standing_rows(rows: Sequence[Row], roles: Iterable[str] = ("answer",)) -> list[Row]:
    """Answers in these roles that no later row corrects or withdraws."""
    superseded = {row["supersedes"] for row in rows}
    return [row for row in rows if row["kind"] in roles and row["seq"] not in superseded]


@dataclass(frozen=True)
class Contents:
    """The rows of a store, each table in the order of its primary key."""

    questions: list[Row]
    answers: list[Row]  # all, each with its `answer`, also those corrected or withdrawn since
    closures: list[Row] = field(default_factory=list)  # of questions that need no more answers
    watermarks: list[Row] = field(default_factory=list)  # the last answer that the trainer had read, by step
    capacities: list[Row] = field(default_factory=list)  # how many more questions the teacher accepted, by step

    def undamaged(self) -> Contents:
        """Without damaged answers; a damaged correction still withdraws what it corrected."""
        marks = {row["seq"]: row["supersedes"] for row in self.answers if row["key"].startswith(DAMAGED)}
        damaged, asked = set(marks.values()), {row["seq"]: row["query_id"] for row in self.answers}
        kept = []
        for row in self.answers:
            old = row["supersedes"]
            if row["seq"] in marks or old in marks:
                continue
            if row["seq"] not in damaged:
                kept.append(row)
            elif old in asked and old < row["seq"]:
                blank = {"kind": "withdrawal", "preference": None, "answer": None, "details": None}
                kept.append({**row, **blank, "query_id": asked[old]})
        return replace(self, answers=kept)


def files_of(question_rows: Iterable[Row]) -> list[str]:
    """Names of the segment files of questions, in the order in which they come up."""
    return list(dict.fromkeys(row["segments_file"] for row in question_rows))


def read_contents(store: LabelStore) -> Contents:
    """A consistent snapshot of a store, also while other processes write to it."""
    given = select(*answers.c, payloads.c.content).select_from(answers.outerjoin(payloads)).order_by(answers.c.seq)
    with one_transaction(store.engine) as connection:
        rows = {
            name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for name, table in TABLES.items()
        }
        given_answers = [with_answer(row) for row in connection.execute(given).mappings()]
    return Contents(answers=given_answers, **rows)


def write_contents(store: LabelStore, record: Contents) -> None:
    """Fill an empty store with the rows of another one, with their ids and times. The segment files are not copied."""
    with one_transaction(store.engine) as connection:
        if database.last(connection, questions.c.id):
            raise ValueError(f"{database.name_of(store.engine)} is not empty")
        for name, table in TABLES.items():
            database.add(connection, table, getattr(record, name))
        add_answers(connection, map(as_stored, record.answers))
        if any(row["kind"] != FIRST for row in record.questions):
            raise_format(connection)
        seal(connection)
