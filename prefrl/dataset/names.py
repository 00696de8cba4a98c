"""Names of people, taken out of what is exported."""

from __future__ import annotations

import json
from typing import Any

from prefrl.store.tables import DAMAGED

Row = dict[str, Any]


class Pseudonyms:
    """labeller-1, labeller-2, ... and session-1, session-2, ... in the order in which they first come up."""

    def __init__(self, labels: list[Row]) -> None:
        """labels: all of them. Who answered at a step of the run is no person, and keeps its name."""
        people = dict.fromkeys(row["labeller"] for row in labels if row["step"] is None and not _mark(row))
        self.people = {name: f"labeller-{place}" for place, name in enumerate(people, 1)}
        self.sessions: dict[str, str] = {}

    def label(self, row: Row) -> Row:
        """Without its name, with a key that does not hold it, and without the server's number of the session."""
        details = row["details"]
        if details is not None and isinstance(session := (about := json.loads(details)).get("session"), str):
            about["session"] = self.sessions.setdefault(session, f"session-{len(self.sessions) + 1}")
            details = json.dumps(about)
        key = row["key"] if _mark(row) else f"answer-{row['seq']}"
        labeller = self.people.get(row["labeller"], row["labeller"])
        return {**row, "labeller": labeller, "key": key, "details": details}

    def question(self, row: Row) -> Row:
        """Without what somebody wrote when she flagged it."""
        closed = row["closed"]
        if closed is not None and closed["reason"].startswith("flagged"):
            closed = {**closed, "reason": "flagged"}
        return {**row, "closed": closed}


def _mark(row: Row) -> bool:
    """Whether it says that an answer was damaged: nobody's word."""
    return bool(row["key"].startswith(DAMAGED))
