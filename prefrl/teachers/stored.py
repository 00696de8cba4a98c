"""The desk: where questions are laid before a teacher and answers are picked up. Every teacher's way to the learner."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from prefrl.core.data import Feedback, Origins, Queries, Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.frames import Frames
from prefrl.core.observations import nbytes, parts
from prefrl.core.streams import stream
from prefrl.store.segment_files import EASY_BATCH
from prefrl.store.store import LabelStore
from prefrl.teachers.crowd import COMBINE, Judgements
from prefrl.teachers.opinions import judgements, opinions_given

SILENT = 20  # questions
Judge = Callable[[Queries], np.ndarray | None]
"""Queries of batch shape (Q, 2) -> preferences (Q,) in [0, 1], NaN to skip; or None, to answer through the store later."""


class StoredTeacher:
    """Puts questions into the store and takes answers from it. A judge that answers at once writes through it too."""

    def __init__(
        self,
        store: LabelStore,
        judge: Judge,
        labeller: str,
        seed: int,
        origins: Callable[[Segments], Origins] | None = None,
        combine: str = "first",
    ):
        """origins: how to come to segments (Q, 2) again, for teachers that look at pictures; combine: of several opinions"""
        self.store, self.judge, self.labeller, self.seed, self.origins = store, judge, labeller, seed, origins
        self.combine = pick(COMBINE, combine, "teacher.combine")[0]
        self.seen = 0  # the last answer that the reward model has
        self._warned = False
        self._step_before = store.last_asked_step()  # up to it a run that was killed has asked before

    def ask(self, queries: Queries) -> None:
        """Store the questions; let the teacher answer, if it does so at once."""
        ids, shown = self._lay(queries)
        self._have_answered(ids, shown, queries.step, queries.model_version)

    def _lay(self, queries: Queries) -> tuple[list[int], Queries]:
        """Store the questions. Returns their ids, and what is in the store: after a kill they may be there already."""
        ids = self._store(queries)
        return ids, self.store.queries(ids) if queries.step <= self._step_before else queries

    def _have_answered(self, ids: list[int], shown: Queries, step: int, model_version: int) -> None:
        """Let the teacher answer these questions, and store what it says at once."""
        if hasattr(self.judge, "reseed"):
            self.judge.reseed(stream(self.seed, "teacher", step))
        preferences = self.judge(shown)
        if preferences is None:
            self._warn_once(
                "gave None, so its answers are awaited in the label store; where that is not meant, return a preference"
                " for each question"
            )
            return
        preferences = _numbers(preferences, self.labeller)
        if preferences.shape != (len(shown),):
            raise UserError(
                f"teacher {self.labeller!r} gave answers of shape {preferences.shape} to {len(shown)} questions;"
                " it must give one preference for each: 1 first, 0 second, .5 equal, NaN skip"
            )
        waiting = set(self.store.open_queries() if step <= self._step_before else ids)
        new = [k for k, id in enumerate(ids) if id in waiting]
        self.store.answer(
            [ids[k] for k in new], preferences[new], labeller=self.labeller, step=step, model_version=model_version
        )
        if np.isnan(preferences).all():
            self._warn_of_silence()

    def _warn_of_silence(self) -> None:
        """A teacher that never tells is named long before the run has ended in vain."""
        so_far = self.store.counts()
        if not so_far.answered and so_far.skipped >= SILENT:
            self._warn_once(
                f"has skipped all of the first {so_far.skipped} questions, and nothing is learned from skips"
            )

    def _warn_once(self, what: str) -> None:
        if not self._warned:
            warnings.warn(f"teacher {self.labeller!r} {what}", stacklevel=2)
        self._warned = True

    def _store(self, queries: Queries) -> list[int]:
        """Store the questions, with pictures a few in a file. Returns their ids."""
        observed = queries.segments.observations
        each = nbytes(observed) // max(1, len(queries))
        pictures = any(isinstance(part, Frames) for part in parts(observed).values())
        at_once = max(1, EASY_BATCH // each) if pictures else max(1, len(queries))
        ids: list[int] = []
        for first in range(0, len(queries), at_once):
            part = queries[first : first + at_once]
            uids = [f"{queries.step}-{first + k}" for k in range(len(part))]
            ids += self.store.ask(part, uids, self.origins(part.segments) if self.origins else None)
        return ids

    def capacity(self, step: int) -> float:
        """How many more questions the teacher takes at this step."""
        return float("inf")

    def outdated(self, step: int) -> int:
        """How many unanswered questions were taken back at this step."""
        return 0

    def answers(self, step: int) -> list[Feedback]:
        found = self._answers(step)
        return [found] if found is not None else []

    def _answers(self, step: int) -> Feedback | None:
        """What has been answered since the last call, frozen under this step, so that a resumed run reads the same.

        Where an answer heard before was corrected or withdrawn, or people judged the same questions, all that stand
        are read again: one more opinion says something about everybody who gave one.
        """
        if self.store.last_seq() <= self.seen:  # a look is cheaper than a mark
            return None
        until = self.store.watermark(step)
        if until <= self.seen:
            return None
        before, self.seen = self.seen, until
        if self.store.corrected(before, until) or self._shared():
            return self._standing()
        return self.store.feedback(after=before, until=until)

    def report(self) -> dict[str, Any]:
        """What is worth telling about the teacher when the run has ended."""
        return {}

    def standing(self) -> list[Feedback]:
        found = self._standing()
        return [found] if found is not None else []

    def _standing(self) -> Feedback | None:
        """All answers that stood when they were last looked for."""
        if not self.seen:
            return None
        found = self.store.feedback(until=self.seen)
        if found is None:
            return Feedback.nothing("pair", whole=True)
        if self.combine and (said := self._shared()):
            labels = self.combine(said).labels
            preference = np.array([labels[id] for id in found.query.tolist()])
            found = replace(found, answer={"preference": preference})[~np.isnan(preference)]
        return replace(found, whole=True)

    def _shared(self) -> Judgements | None:
        """What people said, where it can be known from it who is right more often; else each answer stands for itself."""
        if not self.combine or not opinions_given(self.store.engine, self.seen):
            return None
        said = judgements(self.store.engine, self.seen)
        return said if said.comparable else None


def _numbers(preferences: object, labeller: str) -> np.ndarray:
    try:
        return np.asarray(preferences, float)
    except (TypeError, ValueError) as fault:
        raise UserError(
            f"teacher {labeller!r} gave answers that are not numbers: {fault}; 1 first, 0 second, NaN skip"
        ) from fault


class Shuffled:
    """A control: another teacher's answers, dealt out at random. Whatever is learned from them is a leak.

    Half of them are turned round as well: of n answers dealt out, one in n would still be right, and a lone one always.
    """

    def __init__(self, judge: Judge, seed: int):
        self.judge, self.rng = judge, np.random.default_rng(seed)

    def __call__(self, queries: Queries) -> np.ndarray | None:
        answers = self.judge(queries)
        if answers is None:
            return None
        dealt = self.rng.permutation(np.asarray(answers, float))
        return np.where(self.rng.random(len(dealt)) < 0.5, dealt, 1 - dealt)

    def reseed(self, rng: np.random.Generator) -> None:
        self.rng = rng
        if hasattr(self.judge, "reseed"):
            self.judge.reseed(rng)

    def state(self) -> dict:
        return self.judge.state() if hasattr(self.judge, "state") else {}

    def restore(self, state: dict) -> None:
        if hasattr(self.judge, "restore"):
            self.judge.restore(state)
