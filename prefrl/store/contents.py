"""All that a label store has recorded, as plain rows: what another run replays, and what is exported and imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Table, select

from prefrl.store import database
from prefrl.store.database import together
from prefrl.store.seals import seal
from prefrl.store.store import LabelStore
from prefrl.store.tables import DAMAGED, answers, closures, questions, rooms, watermarks

Row = dict[str, Any]


@dataclass(frozen=True)
class Contents:
    """The rows of a store, each table in the order of its numbers."""

    questions: list[Row]
    answers: list[Row]  # every one ever given, also those corrected or withdrawn since
    closures: list[Row] = field(default_factory=list)  # of questions that nobody need answer any more
    watermarks: list[Row] = field(default_factory=list)  # up to which answer the trainer had heard at which step
    rooms: list[Row] = field(default_factory=list)  # how many questions it had room for, from which step on

    def standing(self) -> Iterator[Row]:
        """Answers that no later one corrects or withdraws."""
        gone = {row["supersedes"] for row in self.answers}
        return (row for row in self.answers if row["kind"] == "answer" and row["seq"] not in gone)

    def undamaged(self) -> Contents:
        """As if answers that were not what was written had never been; of corrections it stays that they took one back."""
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
                blank = {"kind": "withdrawal", "preference": None, "details": None}
                kept.append({**row, **blank, "query_id": asked[old]})
        return replace(self, answers=kept)

    def files(self) -> list[str]:
        """The segment files that the questions are about."""
        return list(dict.fromkeys(row["segments_file"] for row in self.questions))


TABLES: dict[str, Table] = {
    "questions": questions, "answers": answers, "closures": closures, "watermarks": watermarks, "rooms": rooms,
}  # fmt: skip


def read_contents(store: LabelStore) -> Contents:
    """What the store holds at one moment, whoever writes to it meanwhile."""
    with together(store.engine) as connection:
        found = {
            name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for name, table in TABLES.items()
        }
    return Contents(**found)


def write_contents(store: LabelStore, record: Contents) -> None:
    """Fill an empty store with the rows of another one, numbers and times and all. The segment files are not copied."""
    with together(store.engine) as connection:
        if database.last(connection, questions.c.id):
            raise ValueError(f"{database.name_of(store.engine)} is not empty")
        for name, table in TABLES.items():
            rows = [{k: v for k, v in row.items() if k != "answer"} for row in getattr(record, name)]
            database.add(connection, table, rows)
        seal(connection)
