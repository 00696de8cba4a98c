"""A recorded run as the teacher: what people said then is said again, to the same questions, at the same steps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Feedback, Origins, Queries, Segments
from prefrl.kinds import Answer, kind_of
from prefrl.store.database import together
from prefrl.store.digests import Shown, shown_by
from prefrl.store.lookup import shown
from prefrl.store.store import LabelStore
from prefrl.teachers.recording import NEVER, Event, Match, Recording
from prefrl.teachers.stored import StoredTeacher

TIMINGS = {
    "heard": "when the recorded trainer heard them, in the same order, corrections and withdrawals and all",
    "once": "those that stand in the end, as soon as their question is asked",
}
UNKNOWN = {"skip": "nothing is learned from them", "oracle": "the true reward decides, as with teacher oracle"}
_BATCH = 256  # questions whose segments are looked at together


class Replay:
    """Answers the questions that the recording does not know, and remembers how much of it was read."""

    def __init__(self, unknown: Any = None, **_: Any) -> None:
        """unknown: a synthetic teacher, or None to skip them. Takes other teachers' settings and needs none of them."""
        self.unknown = unknown
        self.until: int | None = None  # the last answer of the recording when this run began

    def __call__(self, queries: Queries) -> Sequence[Answer | None]:
        return [None] * len(queries) if self.unknown is None else self.unknown(queries)

    def reseed(self, rng: np.random.Generator) -> None:
        if self.unknown is not None:
            self.unknown.reseed(rng)

    def state(self) -> dict[str, Any]:
        return {"until": self.until, "unknown": None if self.unknown is None else self.unknown.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.until = state["until"]
        if self.unknown is not None:
            self.unknown.restore(state["unknown"])


class ReplayTeacher(StoredTeacher):
    """Plays a recording back. Its answers are stored as the recorded teachers' own."""

    function: Replay

    def __init__(
        self, store: LabelStore, function: Replay, seed: int, settings: TeacherConfig,
        origins: Callable[[Segments], Origins] | None = None,
    ):  # fmt: skip
        name = "oracle" if settings.unknown == "oracle" else "replay"
        super().__init__(store, function, name, seed, origins, settings.combine)
        self.settings = settings
        self.recording = Recording([], {}, {}, [])
        self.asked_at: dict[int, int] = {}  # by question of this run: the step
        self.matches: dict[int, Match] = {}  # by question of this run that the recording knows
        self.questions: dict[int, list[int]] = {}  # by recorded question: those of this run
        self.told: dict[tuple[int, int], int] = {}  # (question of this run, recorded answer) -> the answer's number
        self.diverged = NEVER  # the step of the first question that the recording does not know
        self._repeats: Counter[tuple[str, Shown]] = Counter()
        self._looked = (-1, -1)  # events due and questions asked when that was last gone through

    def take(self, recording: Recording, step: int) -> None:
        """Play this from a step of the run on; what was played before is found in the store."""
        self.recording = recording
        self._match()
        with together(self.store.engine):
            self._tell(step)

    def ask(self, queries: Queries) -> None:
        ids, stored = self._stored(queries)
        self._match()
        unknown = [place for place, id in enumerate(ids) if not self._answered(id)]
        if unknown:
            strange = [ids[place] for place in unknown]
            self._have_answered(strange, stored[unknown], queries.step, queries.model_version)

    def _match(self) -> None:
        """Find the questions of this run in the recording, in the order in which they were asked."""
        asked = self.store.asked()
        while len(self.asked_at) < asked:
            first = len(self.asked_at) + 1
            ids = list(range(first, min(first + _BATCH, asked + 1)))
            steps = self.store.asked_steps(ids)
            for id, kind, segments in sorted(self._look_at(ids)):
                self._match_one(id, steps[id], kind, segments)

    def _look_at(self, ids: list[int]) -> Iterator[tuple[int, str, Shown]]:
        """What these questions show, with their kinds."""
        kinds = self.store.kinds(ids)
        for kind in set(kinds.values()):
            some = [id for id in ids if kinds[id] == kind]
            for id, segments in zip(some, shown_by(self.store.queries(some).segments), strict=True):
                yield id, kind, segments

    def _match_one(self, id: int, step: int, kind: str, segments: Shown) -> None:
        self.asked_at[id] = step
        key = kind, tuple(sorted(segments))
        found = self.recording.find(kind, segments, self._repeats[key])
        self._repeats[key] += 1
        if found is None:
            self.diverged = min(self.diverged, step)
            return
        self.matches[id] = found
        self.questions.setdefault(found.query, []).append(id)

    def _answered(self, id: int) -> bool:
        """Whether the recording answers a question; if it left it open, so does the replay."""
        match = self.matches.get(id)
        return match is not None and (self.settings.timing == "heard" or match.query in self.recording.standing)

    def capacity(self, step: int) -> float:
        """As much as there was, as long as this run asks what the recorded one asked."""
        room = (
            self.recording.capacity(step) if self.settings.timing == "heard" and step <= self.diverged else float("inf")
        )
        return room if room == float("inf") else self.store.capacity.at(step, int(room))

    def outdated(self, step: int) -> int:
        """Take back what was taken back then. Returns how many questions that were at this step."""
        if self.settings.timing == "heard":
            gone = [query for query, then in self.recording.stale.items() if then <= step]
            stale = [id for query in gone for id in self.questions.get(query, ()) if self.asked_at[id] < step]
            if stale:
                self.store.close_questions(stale, "stale", step)
        return self.store.close_stale(0, step)

    def answers(self, step: int) -> list[Feedback]:
        """What is said by this step, and what was made of it, in one transaction: a kill falls before it or after it."""
        with together(self.store.engine):
            self._tell(step)
            return super().answers(step)

    def _tell(self, step: int) -> None:
        """Say again what was said by this step and is not said yet, in the order in which it was said."""
        due = self.recording.said(step) if self.settings.timing == "heard" else self.recording.lasting
        here = len(due), sum(at <= step for at in self.asked_at.values())
        if self._looked == here:
            return
        self._looked = here
        for event in due:
            for id in self.questions.get(event.row["query_id"], ()):
                if (id, event.seq) not in self.told and self.asked_at[id] <= step:
                    self.told[id, event.seq] = self._copy(event, id, step)

    def _copy(self, event: Event, id: int, step: int) -> int:
        row, kind, order = event.given(), self.matches[id].kind, self.matches[id].order
        if order != sorted(order):
            if row["answer"] is not None:
                row["answer"] = kind_of(kind).reordered(row["answer"], order)
            row["details"] = _reordered(row["details"], kind, order)
        older = event.row["supersedes"] if self.settings.timing == "heard" else None
        row |= {
            "query_id": id, "key": f"replay:{id}:{event.seq}", "step": None if event.row["step"] is None else step,
            "supersedes": None if older is None else self.told[id, older],
        }  # fmt: skip
        return self.store.copy_answers([row])[0]

    def report(self) -> dict[str, Any]:
        """Counts of questions: asked, known to the recording, answered from it; and answers that nobody waited for."""
        answered = {id for id, _ in self.told}
        late = {event.row["query_id"] for event in self.recording.events if event.heard == NEVER}
        return {
            "asked": len(self.asked_at), "known": len(self.matches), "answered": len(answered),
            "unknown": len(self.asked_at) - len(self.matches), "unknown_get": self.settings.unknown,
            "said_after_the_recorded_run": len(late & set(self.questions)) if self.settings.timing == "heard" else 0,
            "recorded": len({event.row["query_id"] for event in self.recording.events}),
        }  # fmt: skip


def _reordered(details: str | None, kind: str, order: list[int]) -> str | None:
    """The note of how an answer was shown, for a question whose segments are in another order: the screen showed the same."""
    if details is None or not json.loads(details).keys() & {"mirrored", "order"}:
        return details
    about = {name: value for name, value in json.loads(details).items() if name != "mirrored"}
    return json.dumps({**about, "order": [order[place] for place in shown(details, kind)["order"]]})
