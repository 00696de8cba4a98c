"""The content of a run's label store as the rows of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from prefrl.config.settings import Config
from prefrl.store.contents import Contents, Row, read_contents
from prefrl.store.store import LabelStore


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

    @property
    def files(self) -> list[str]:
        """Segment files, in the order in which questions name them."""
        return list(dict.fromkeys(row["segments_file"] for row in self.questions))


def rows_of(store: LabelStore) -> tuple[list[Row], list[Row], list[Row]]:
    """Lines of labels.jsonl, questions.jsonl and trainer.jsonl, as they are at one moment."""
    record = read_contents(store)
    last = record.answers[-1]["seq"] if record.answers else 0
    labels = [row for row in store.history() if row["seq"] <= last]  # rows are only ever added
    closed = {row["query_id"]: {name: row[name] for name in ("reason", "step", "closed_at")} for row in record.closures}
    questions = [{**row, "closed": closed.get(row["id"])} for row in record.questions]
    return labels, questions, _trainer_rows(record)


def _trainer_rows(record: Contents) -> list[Row]:
    heard = {row["round"]: row["seq"] for row in record.watermarks}
    room = {row["step"]: row["room"] for row in record.rooms}
    return [{"step": step, "heard": heard.get(step), "room": room.get(step)} for step in sorted({*heard, *room})]
