"""Pseudonyms for the labellers and sessions of an anonymous export."""

from __future__ import annotations

import json
from typing import Any

from prefrl.store.tables import DAMAGED

Row = dict[str, Any]


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
