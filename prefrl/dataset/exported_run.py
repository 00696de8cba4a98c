"""What is exported of a run: its label store as the rows of a dataset, and pseudonyms for its labellers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from prefrl.config.settings import Config
from prefrl.core.data import Segments
from prefrl.kinds import kind_of
from prefrl.store.contents import Row, read_contents
from prefrl.store.store import LabelStore
from prefrl.store.tables import DAMAGED

BATCH = 64  # questions whose segments are held at once
_PLACE = itemgetter("id", "segments_file", "row")


@dataclass(frozen=True)
class ExportedRun:
    """A run's labels, questions and trainer events, as rows of the files that README.md describes."""

    run: Path
    config: Config
    store: LabelStore
    labels: list[Row]
    questions: list[Row]
    trainer: list[Row]
    own: dict[str, Any]  # the user's own parts

    def batches(self, name: str) -> Iterator[tuple[np.ndarray, np.ndarray, Segments]]:
        """The segments of all questions in their order, N of one kind at a time, under a progress bar of this name.

        Yields the ids of their questions (N,), their numbers in these from 0 on (N,), and the segments: batch shape (N,)
        """
        with tqdm(total=len(self.questions), desc=name, leave=False, file=sys.stderr, delay=1) as bar:
            for kind, group in groupby(self.questions, key=lambda row: row["kind"]):
                of_kind, sides = list(group), np.arange(kind_of(kind).segments)
                for start in range(0, len(of_kind), BATCH):
                    ids, files, rows = zip(*map(_PLACE, of_kind[start : start + BATCH]), strict=True)
                    segments = self.store.files.gather(files, rows).flat()
                    yield np.repeat(ids, len(sides)), np.tile(sides, len(ids)), segments
                    bar.update(len(ids))


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
        """The question without the note of whoever flagged it."""
        closed = row["closed"]
        if closed is not None and closed["reason"].startswith("flagged"):
            closed = {**closed, "reason": "flagged"}
        return {**row, "closed": closed}


def _marks_damage(row: Row) -> bool:
    """Whether the row marks a damaged answer, which no labeller wrote."""
    return bool(row["key"].startswith(DAMAGED))
