"""The content of a run's label store as the rows of a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from prefrl.config.settings import Config
from prefrl.store.contents import Row, read_contents
from prefrl.store.store import LabelStore
from prefrl.store.tables import DAMAGED


@dataclass(frozen=True)
class Content:
    """A run's labels, questions and trainer events, as rows of the files that README.md describes."""

    run: Path
    config: Config
    store: LabelStore
    labels: list[Row]
    questions: list[Row]
    trainer: list[Row]
    own: dict[str, Any]  # the user's own parts

    def batches(self, size: int) -> Iterator[list[Row]]:
        """The questions in their order, up to so many of one kind at a time, and of one number of segments."""
        for _, group in groupby(self.questions, key=lambda row: row["kind"]):
            rows = list(group)
            yield from (rows[start : start + size] for start in range(0, len(rows), size))


def rows_of(store: LabelStore) -> tuple[list[Row], list[Row], list[Row]]:
    """Lines of labels.jsonl, questions.jsonl and trainer.jsonl, as they are at one moment."""
    record = read_contents(store)
    last = record.answers[-1]["seq"] if record.answers else 0
    labels = [row for row in store.history() if row["seq"] <= last]  # rows are only ever added
    closed = {row["query_id"]: {name: row[name] for name in ("reason", "step", "closed_at")} for row in record.closures}
    questions = [{**row, "closed": closed.get(row["id"])} for row in record.questions]
    heard = {row["round"]: row["seq"] for row in record.watermarks}
    room = {row["step"]: row["room"] for row in record.capacities}
    steps = sorted({*heard, *room})
    return labels, questions, [{"step": step, "heard": heard.get(step), "room": room.get(step)} for step in steps]


class Pseudonyms:
    """labeller-1, labeller-2, ... and session-1, session-2, ... in the order in which they first come up."""

    def __init__(self, labels: list[Row]) -> None:
        """labels: all of them. Synthetic teachers, whose labels have a step, keep their names."""
        people = dict.fromkeys(row["labeller"] for row in labels if row["step"] is None and not _marks_damage(row))
        self.people = {name: f"labeller-{place}" for place, name in enumerate(people, 1)}
        self.sessions: dict[str, str] = {}

    def label(self, row: Row) -> Row:
        """The label with pseudonyms for labeller and session, and with a key that does not contain the name."""
        details = row["details"]
        if details is not None and isinstance(session := (values := json.loads(details)).get("session"), str):
            values["session"] = self.sessions.setdefault(session, f"session-{len(self.sessions) + 1}")
            details = json.dumps(values)
        key = row["key"] if _marks_damage(row) else f"answer-{row['seq']}"
        labeller = self.people.get(row["labeller"], row["labeller"])
        return {**row, "labeller": labeller, "key": key, "details": details}

    def question(self, row: Row) -> Row:
        """The question without the text that somebody flagged it with."""
        closed = row["closed"]
        if closed is not None and closed["reason"].startswith("flagged"):
            closed = {**closed, "reason": "flagged"}
        return {**row, "closed": closed}


def _marks_damage(row: Row) -> bool:
    """Whether the row marks a damaged answer, which no labeller wrote."""
    return bool(row["key"].startswith(DAMAGED))
