"""Teachers behind the label store: questions go into it, answers come out of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from prefrl.core.data import Feedback, Origins, Queries, Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.frames import Frames
from prefrl.core.observations import nbytes, parts
from prefrl.core.streams import stream
from prefrl.kinds import FIRST, Answer, kind_of
from prefrl.store.segment_files import EASY_BATCH
from prefrl.store.store import LabelStore
from prefrl.teachers.crowd import COMBINE, judgements, opinions_given

SILENT = 20  # questions that a teacher may skip, all from the first on, before a warning
AnswerFunction = Callable[[Queries], Any]
"""Queries of batch shape (Q, K) -> an answer to each, None to skip, or what their kind reads in place of answers: for
pairs preferences (Q,) in [0, 1], NaN to skip. Or None, to answer through the store later."""


def uid_of(kind: str, step: int, place: int | str) -> str:
    """The uid of a question, the same whenever a run reaches this step; of the first kind as in the first release."""
    return f"{step}-{place}" if kind == FIRST else f"{kind}-{step}-{place}"


def stream_of(seed: int, purpose: str, kind: str, step: int) -> np.random.Generator:
    """A random stream for a purpose at a step, such that two kinds do not draw the same numbers."""
    return stream(seed, purpose if kind == FIRST else f"{purpose} {kind}", step)


class StoredTeacher:
    """Stores questions and reads their answers. The answers of a function that answers at once are stored too."""

    def __init__(
        self, store: LabelStore, function: AnswerFunction, labeller: str, seed: int,
        origins: Callable[[Segments], Origins] | None = None, combine: str = "first",
    ):  # fmt: skip
        """origins: how to reproduce segments (Q, K), to draw clips of them; combine: how several opinions become one"""
        self.store, self.function, self.labeller, self.seed, self.origins = store, function, labeller, seed, origins
        self.combine = pick(COMBINE, combine, "teacher.combine")[0]
        self.seen = 0  # the number of the last answer that the reward model has
        self._warned = False
        self._step_before = store.last_asked_step()  # up to it a killed run has asked before

    def ask(self, queries: Queries) -> None:
        """Store the questions, and the answers of a teacher that answers at once."""
        ids, shown = self._stored(queries)
        self._answer(ids, shown, queries.step, queries.model_version)

    def _stored(self, queries: Queries) -> tuple[list[int], Queries]:
        """Store the questions. Returns their ids, and what is in the store: after a kill they may be there already."""
        ids = self._store(queries)
        return ids, self.store.queries(ids) if queries.step <= self._step_before else queries

    def _answer(self, ids: list[int], shown: Queries, step: int, model_version: int) -> None:
        """Call the answer function with these questions and store its answers."""
        if hasattr(self.function, "reseed"):
            self.function.reseed(stream_of(self.seed, "teacher", shown.kind, step))
        given = self.function(shown)
        if given is None:
            return self._warn_once(
                "gave None, so its answers are awaited in the label store; where that is not meant, return a preference"
                " for each question"
            )
        try:
            answers = kind_of(shown.kind).read(given, len(shown))
        except UserError as fault:
            raise UserError(f"teacher {self.labeller!r}: {fault}") from fault
        waiting = set(self.store.open_queries() if step <= self._step_before else ids)
        new = {id: answer for id, answer in zip(ids, answers, strict=True) if id in waiting}
        self.store.answer(list(new), list(new.values()), labeller=self.labeller, step=step, model_version=model_version)
        if not any(answers):
            counts = self.store.counts()
            if not counts.answered and counts.skipped >= SILENT:  # the run would learn nothing
                self._warn_once(
                    f"has skipped all of the first {counts.skipped} questions, and nothing is learned from skips"
                )

    def _warn_once(self, what: str) -> None:
        if not self._warned:
            warnings.warn(f"teacher {self.labeller!r} {what}", stacklevel=2)
        self._warned = True

    def _store(self, queries: Queries) -> list[int]:
        """Store the questions, those of pictures in several files. Returns their ids."""
        observed = queries.segments.observations
        size = nbytes(observed) // max(1, len(queries))
        pictures = any(isinstance(part, Frames) for part in parts(observed).values())
        at_once = max(1, EASY_BATCH // size) if pictures else max(1, len(queries))
        ids: list[int] = []
        for first in range(0, len(queries), at_once):
            part = queries[first : first + at_once]
            uids = [uid_of(queries.kind, queries.step, first + k) for k in range(len(part))]
            ids += self.store.ask(part, uids, self.origins(part.segments) if self.origins else None)
        return ids

    def capacity(self, step: int) -> float:
        """How many more questions the teacher takes at this step."""
        return float("inf")

    def outdated(self, step: int) -> int:
        """How many unanswered questions expired at this step."""
        return 0

    def answers(self, step: int) -> list[Feedback]:
        """The answers since the last call, a batch for each kind, [] if there are none.

        They are fixed for this step by a watermark, so that a resumed run reads the same. Where an answer read before
        was corrected or withdrawn, or people judged the same questions, all that stand are read again: one more opinion
        changes the reliability of everybody who gave one.
        """
        if self.store.last_seq() <= self.seen:  # cheaper than a watermark
            return []
        until = self.store.watermark(step)
        if until <= self.seen:
            return []
        before, self.seen = self.seen, until
        if (combined := self._combined()) or self.store.corrected(before, until):
            return self._standing(combined)
        return self.store.feedback(after=before, until=until)

    def report(self) -> dict[str, object]:
        """Facts about the teacher for the end of the run."""
        return {}

    def standing(self) -> list[Feedback]:
        """All answers that stand as of the last call of `answers`: a batch for each kind that was ever answered."""
        return self._standing(self._combined()) if self.seen else []

    def _standing(self, combined: dict[int, Answer | None]) -> list[Feedback]:
        batches = {batch.kind: batch for batch in self.store.feedback(until=self.seen, instead=combined)}
        kinds = self.store.answered_kinds(self.seen)
        return [replace(batches.get(kind, Feedback.nothing(kind)), whole=True) for kind in kinds]

    def _combined(self) -> dict[int, Answer | None]:
        """Answers by question, combined from several labellers' judgements; {} where their reliability cannot be estimated.

        Then each answer counts by itself, as it does for kinds without outcomes.
        """
        if not self.combine or not opinions_given(self.store.engine, self.seen):
            return {}
        combined: dict[int, Answer | None] = {}
        for kind in map(kind_of, self.store.answered_kinds(self.seen)):
            judged = judgements(self.store.engine, self.seen, kind.name) if kind.outcomes else None
            if judged and judged.comparable:
                labels = self.combine(judged).labels
                answers = kind.answers_of(np.array(list(labels.values())))
                for (id, chances), answer in zip(labels.items(), answers, strict=True):
                    combined[id] = None if np.isnan(chances).any() else answer
        return combined


class Shuffled:
    """A control: another teacher's answers, permuted at random. Whatever is learned from them is a leak.

    Half of them are also reversed: of n permuted answers one in n would still be right, and a single one always.
    """

    def __init__(self, function: AnswerFunction, seed: int):
        self.function, self.rng = function, np.random.default_rng(seed)

    def __call__(self, queries: Queries) -> Sequence[Answer | None] | None:
        given = self.function(queries)
        if given is None:
            return None
        kind = kind_of(queries.kind)
        answers = kind.read(given, len(queries))
        permuted = [answers[place] for place in self.rng.permutation(len(answers))]
        kept = self.rng.random(len(permuted)) < 0.5
        backwards = list(range(kind.segments))[::-1]
        return [answer if keep else kind.stored(answer, backwards) for answer, keep in zip(permuted, kept, strict=True)]

    def reseed(self, rng: np.random.Generator) -> None:
        self.rng = rng
        if hasattr(self.function, "reseed"):
            self.function.reseed(rng)

    def state(self) -> dict[str, object]:
        return self.function.state() if hasattr(self.function, "state") else {}

    def restore(self, state: dict[str, Any]) -> None:
        if hasattr(self.function, "restore"):
            self.function.restore(state)
