"""Which questions an AI labeller takes: open ones that are not leased, and a share of those that others have answered."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from prefrl.kinds import KINDS
from prefrl.labelling.questions import IN_VIEW, LEASE
from prefrl.store import lookup
from prefrl.store.database import reading
from prefrl.store.lookup import Place
from prefrl.store.store import LabelStore
from prefrl.store.tables import answers

MOST_ANSWERED = 10_000  # answered questions considered, the latest first


@dataclass(frozen=True)
class Task:
    """A question to be answered. kind: answer, or opinion on what somebody has answered"""

    place: Place
    kind: str


class Selection:
    """The questions of one AI labeller. Its leases carry a fixed session name, so that it gets them back after a kill."""

    def __init__(self, store: LabelStore, labeller: str, overlap: float):
        self.store, self.labeller, self.overlap = store, labeller, overlap
        self.session = f"ai {labeller}"
        self.held: set[int] = set()
        self._renewed_at = time.monotonic()

    def candidates(self) -> list[Task]:
        """Questions to take now, in order. None that it has answered before, even if that answer was withdrawn."""
        done, others = self._answered_queries() | self.held, self.store.leases.held(self.session, time.time())
        fresh = [
            Task(one.place, "answer")
            for one in lookup.open_questions(self.store, IN_VIEW)
            if others[one.place.query] < one.wanted and one.place.query not in done and one.place.kind in KINDS
        ]
        return fresh + [Task(place, "opinion") for place in self._second_opinions() if place.query not in done]

    def take(self, tasks: Iterable[Task]) -> list[Task]:
        """Lease open questions; second opinions need no lease. Returns those that nobody else was faster to take."""
        tasks = list(tasks)
        fresh = [task.place.query for task in tasks if task.kind == "answer"]
        leased = set(self.store.leases.take(self.session, fresh, len(fresh), LEASE, time.time()) if fresh else ())
        taken = [task for task in tasks if task.kind == "opinion" or task.place.query in leased]
        self.held |= {task.place.query for task in taken}
        return taken

    def renew(self) -> None:
        """Renew the leases while the model is answering."""
        if self.held and time.monotonic() - self._renewed_at > LEASE / 3:
            self.store.leases.renew(self.session, sorted(self.held), LEASE, time.time())
            self._renewed_at = time.monotonic()

    def done(self, task: Task) -> None:
        """Release the lease of a question."""
        self.held.discard(task.place.query)
        self.store.leases.release(self.session, [task.place.query])

    def close(self) -> None:
        self.store.leases.release(self.session)

    def _answered_queries(self) -> set[int]:
        mine = select(answers.c.query_id).where(answers.c.labeller == self.labeller)
        with reading(self.store.engine) as connection:
            return set(connection.execute(mine).scalars())

    def _second_opinions(self) -> list[Place]:
        """A fixed share (by hash) of the questions that others have answered."""
        if not self.overlap:
            return []
        theirs = lookup.answered_by_others(self.store, self.labeller, MOST_ANSWERED)
        return [
            place
            for place in theirs
            if place.kind in KINDS and zlib.crc32(f"{place.query} {self.labeller}".encode()) < self.overlap * 2**32
        ]
