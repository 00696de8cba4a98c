"""The replay teacher: gives a recorded run's answers again, to the same questions, at the same steps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Feedback, Queries
from prefrl.kinds import Answer, kind_of
from prefrl.store.database import one_transaction
from prefrl.store.lookup import by_kind, shown
from prefrl.store.store import LabelStore
from prefrl.teachers.recording import NEVER, Event, Match, Recording, Shown, shown_by
from prefrl.teachers.stored import StoredTeacher

TIMINGS = {
    "heard": "at the steps at which the recorded trainer read them, with corrections and withdrawals",
    "once": "those that stand in the end, as soon as their question is asked",
}
UNKNOWN = {"skip": "nothing is learned from them", "oracle": "the true reward decides, as with teacher oracle"}
COPIED = ("kind", "answer", "labeller", "response_seconds", "model_version", "answered_at", "details")  # columns
BATCH = 256  # questions whose segments are read at once


class Replay:
    """Answers the questions that the recording does not have, and keeps how far it was read."""

    def __init__(self, unknown: Any = None) -> None:
        """unknown: a synthetic teacher, or None to skip them"""
        self.unknown = unknown
        self.until: int | None = None  # the last answer of the recording when this run began

    def __call__(self, queries: Queries) -> Sequence[Answer | None]:
        return [None] * len(queries) if self.unknown is None else self.unknown(queries)

    def reseed(self, rng: np.random.Generator) -> None:
        if self.unknown is not None:
            self.unknown.reseed(rng)

    def state(self) -> dict[str, object]:
        return {"until": self.until, "unknown": None if self.unknown is None else self.unknown.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.until = state["until"]
        if self.unknown is not None:
            self.unknown.restore(state["unknown"])


class ReplayTeacher(StoredTeacher):
    """Copies a recording's answers into the store, under the recorded labellers' names."""

    function: Replay

    def __init__(self, store: LabelStore, function: Replay, seed: int, settings: TeacherConfig):
        name = "oracle" if settings.unknown == "oracle" else "replay"
        super().__init__(store, function, name, seed, combine=settings.combine)
        self.settings = settings
        self.recording = Recording()
        self.asked_at: dict[int, int] = {}  # by question of this run: the step
        self.matches: dict[int, Match] = {}  # by question of this run that the recording knows
        self.questions: dict[int, list[int]] = {}  # by recorded question: those of this run
        self.copied: dict[tuple[int, int], int] = {}  # (question of this run, recorded answer) -> the answer's number
        self.diverged = NEVER  # the step of the first question that the recording does not know
        self._repeats: Counter[tuple[str, Shown]] = Counter()
        self._last_counts = (-1, -1)  # events due and questions asked at the last pass over them

    def take(self, recording: Recording, step: int) -> None:
        """Replay this recording from a step of the run on; what was replayed before is in the store."""
        self.recording = recording
        self._match_all()
        with one_transaction(self.store.engine):
            self._copy_due(step)

    def ask(self, queries: Queries) -> None:
        ids, stored = self._stored(queries)
        self._match_all()
        unknown = [place for place, id in enumerate(ids) if not self._answered(id)]
        if unknown:
            self._answer([ids[place] for place in unknown], stored[unknown], queries.step, queries.model_version)

    def _match_all(self) -> None:
        """Find the questions of this run in the recording, in the order in which they were asked."""
        asked = self.store.asked()
        while len(self.asked_at) < asked:
            first = len(self.asked_at) + 1
            ids = list(range(first, min(first + BATCH, asked + 1)))
            steps = self.store.asked_steps(ids)
            segments: dict[int, tuple[str, Shown]] = {}
            for kind, same in by_kind(self.store, ids).items():
                for id, digests in zip(same, shown_by(self.store.queries(same).segments), strict=True):
                    segments[id] = kind, digests
            for id in ids:
                self._match_one(id, steps[id], *segments[id])

    def _match_one(self, id: int, step: int, kind: str, segments: Shown) -> None:
        self.asked_at[id] = step
        key = kind, tuple(sorted(segments))
        match = self.recording.find(kind, segments, self._repeats[key])
        self._repeats[key] += 1
        if match is None:
            self.diverged = min(self.diverged, step)
            return
        self.matches[id] = match
        self.questions.setdefault(match.query, []).append(id)

    def _answered(self, id: int) -> bool:
        """Whether the answer to a question comes from the recording; what it left open stays open."""
        match = self.matches.get(id)
        return match is not None and (self.settings.timing == "heard" or match.query in self.recording.standing)

    def capacity(self, step: int) -> float:
        """The recorded capacity, as long as this run asks what the recorded one asked."""
        if self.settings.timing == "once" or step > self.diverged:
            return float("inf")
        recorded = self.recording.capacity(step)
        return recorded if recorded == float("inf") else self.store.capacity_at(step, int(recorded))

    def outdated(self, step: int) -> int:
        """Expire the questions that expired in the recorded run. Returns how many did at this step."""
        if self.settings.timing == "heard":
            gone = [query for query, then in self.recording.stale.items() if then <= step]
            stale = [id for query in gone for id in self.questions.get(query, ()) if self.asked_at[id] < step]
            if stale:
                self.store.close_questions(stale, "stale", step)
        return self.store.close_stale(0, step)

    def answers(self, step: int) -> list[Feedback]:
        """New answers, copied and read in one transaction: a kill falls before it or after it."""
        with one_transaction(self.store.engine):
            self._copy_due(step)
            return super().answers(step)

    def _copy_due(self, step: int) -> None:
        """Copy the recorded answers that are due by this step and not copied yet, in their order."""
        due = self.recording.events_until(step) if self.settings.timing == "heard" else self.recording.lasting
        counts = len(due), sum(at <= step for at in self.asked_at.values())
        if self._last_counts == counts:
            return
        self._last_counts = counts
        for event in due:
            for id in self.questions.get(event.row["query_id"], ()):
                if (id, event.seq) not in self.copied and self.asked_at[id] <= step:
                    self.copied[id, event.seq] = self._copy(event, id, step)

    def _copy(self, event: Event, id: int, step: int) -> int:
        """Store a recorded answer as one to this run's question. Returns its number."""
        row, match = {name: event.row[name] for name in COPIED}, self.matches[id]
        if match.order != sorted(match.order):
            row["answer"] = kind_of(match.kind).stored(row["answer"], match.order)
            row["details"] = _reordered(row["details"], match.kind, match.order)
        older = event.row["supersedes"] if self.settings.timing == "heard" else None
        row |= {
            "query_id": id, "key": f"replay:{id}:{event.seq}", "step": None if event.row["step"] is None else step,
            "supersedes": None if older is None else self.copied[id, older],
        }  # fmt: skip
        return self.store.copy_answers([row])[0]

    def report(self) -> dict[str, object]:
        """Numbers of questions: asked, known to the recording, answered from it, answered after the recorded run."""
        answered = {id for id, _ in self.copied}
        late = {event.row["query_id"] for event in self.recording.events if event.read_at == NEVER}
        return {
            "asked": len(self.asked_at), "known": len(self.matches), "answered": len(answered),
            "unknown": len(self.asked_at) - len(self.matches), "unknown_get": self.settings.unknown,
            "said_after_the_recorded_run": len(late & set(self.questions)) if self.settings.timing == "heard" else 0,
            "recorded": len({event.row["query_id"] for event in self.recording.events}),
        }  # fmt: skip


def _reordered(details: str | None, kind: str, order: list[int]) -> str | None:
    """An answer's details for a question whose segments are in another order: what was displayed is the same."""
    if details is None or not json.loads(details).keys() & {"mirrored", "order"}:
        return details
    display = {name: value for name, value in json.loads(details).items() if name != "mirrored"}
    return json.dumps({**display, "order": [order[place] for place in shown(details, kind)["order"]]})
