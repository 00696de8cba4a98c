"""Which questions an AI labeller takes: open ones that are not leased, and a share of those that others have answered."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
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
class LabelTask:
    """A question for the model. kind: answer, or opinion on a question that somebody else has answered"""

    place: Place
    kind: str


class TaskQueue:
    """The questions of one AI labeller. Its leases carry a fixed session name, so that it gets them back after a kill."""

    def __init__(self, store: LabelStore, labeller: str, overlap: float):
        self.store, self.labeller, self.overlap = store, labeller, overlap
        self.session = f"ai {labeller}"
        self.held: set[int] = set()
        self._renewed_at = time.monotonic()

    def candidates(self) -> list[LabelTask]:
        """Questions to take now, in order. None that it has answered before, even if that answer was withdrawn."""
        mine = select(answers.c.query_id).where(answers.c.labeller == self.labeller)
        with reading(self.store.engine) as connection:
            done = self.held.union(connection.execute(mine).scalars())
        others = self.store.leases.held(self.session, time.time())
        fresh = [
            LabelTask(one.place, "answer")
            for one in lookup.open_questions(self.store, IN_VIEW)
            if others[one.place.query] < one.wanted and one.place.query not in done and one.place.kind in KINDS
        ]
        theirs = lookup.answered_by_others(self.store, self.labeller, MOST_ANSWERED) if self.overlap else []
        return fresh + [
            LabelTask(place, "opinion")
            for place in theirs
            if place.kind in KINDS and place.query not in done and self._shared(place.query)
        ]

    def take(self, tasks: Sequence[LabelTask]) -> list[LabelTask]:
        """Lease open questions; second opinions need no lease. Returns those that nobody else has leased meanwhile."""
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

    def done(self, task: LabelTask) -> None:
        """Release the lease of a question."""
        self.held.discard(task.place.query)
        self.store.leases.release(self.session, [task.place.query])

    def close(self) -> None:
        self.store.leases.release(self.session)

    def _shared(self, query: int) -> bool:
        """Whether a question is of the share that is answered a second time: always the same, by hash."""
        return zlib.crc32(f"{query} {self.labeller}".encode()) < self.overlap * 2**32
