"""The human teacher: answers come through the label store, minutes later, in any order, or never."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Feedback, Origins, Queries, Segments
from prefrl.core.streams import stream
from prefrl.kinds import kind_of
from prefrl.store.store import LabelStore
from prefrl.store.tables import GOLD
from prefrl.teachers.oracle import Oracle
from prefrl.teachers.stored import StoredTeacher, stream_of, uid_of

POLL = 0.25  # seconds between two checks for answers while training waits
CLEAR = 2.0  # gap between the returns of a gold pair, in standard deviations of segment returns
LATELY = 100  # latest questions, over whose segments the standard deviation is taken


class Person:
    """The answer function of people: answers nothing at once, so questions stay open in the store."""

    def __call__(self, queries: Queries) -> None:
        return None


class HumanTeacher(StoredTeacher):
    """The human teacher's queue: bounded, expires old questions, can pause training."""

    def __init__(
        self, store: LabelStore, seed: int, settings: TeacherConfig, total_steps: int, on_status: Callable[[str], None],
        origins: Callable[[Segments], Origins] | None = None,
    ):  # fmt: skip
        """on_status: called with "waiting for labels" while training waits, and with "running" when it goes on"""
        super().__init__(store, Person(), settings.name, seed, origins, settings.combine)
        self.settings, self.total_steps, self.on_status = settings, total_steps, on_status

    def ask(self, queries: Queries) -> None:
        """Store the questions, and gold questions beside them: pairs so far apart that their answer is known."""
        self._store(queries)
        if self.settings.gold and kind_of(queries.kind).segments == 2:  # only pairs have a gap between returns
            self._ask_gold(queries, self.settings.gold)

    def _ask_gold(self, queries: Queries, share: float) -> None:
        """Ask about clear pairs among the segments of these questions, until they are a `share` of what people see.

        The clips are of the same age and kind as all others, so nothing but the answer sets such a question apart. It is
        outside the budget, and nothing is learned from it: the choice by true reward must not steer the learner.
        """
        kind, segments, step = kind_of(queries.kind), queries.segments.flat(), queries.step
        before = self.store.asked_queries(step, kind=kind.name)
        asked = self.store.asked_queries(step - 1, gold=True, kind=kind.name)
        missing = round(len(before) * share / (1 - share)) - len(asked)
        spread = self.store.queries(before[-LATELY:]).segments.true_returns.std()
        rng = stream_of(self.seed, "gold", kind.name, step)
        pairs = clear_pairs(segments.true_returns, CLEAR * spread, rng)[: max(0, missing)]
        if not len(pairs):
            return
        gold = Queries(segments[pairs], np.full(len(pairs), np.nan), GOLD, step, queries.model_version, kind.name)
        names = [uid_of(kind.name, step, f"gold-{k}") for k in range(len(pairs))]
        ids = self.store.ask(gold, names, self.origins(gold.segments) if self.origins else None)
        stored = self.store.queries(ids)  # after a kill they may be there already
        truth = Oracle(stream(self.seed, "truth", step))(stored)
        clear = {id: answer for id, answer in zip(ids, truth, strict=True) if answer is not None and kind.clear(answer)}
        self.store.answer(
            list(clear), list(clear.values()), labeller="true reward", step=step, kind="truth",
            keys=[f"{id}:truth" for id in clear],
        )  # fmt: skip

    def capacity(self, step: int) -> float:
        """Free places in the queue, recorded by step: without answers no more questions are asked."""
        free = max(self.settings.queue, self.settings.wait) - len(self.store.open_queries())
        return self.store.capacity_at(step, max(0, free))

    def outdated(self, step: int) -> int:
        """Expire open questions about a much older policy. Returns how many."""
        oldest = step - int(self.settings.stale * self.total_steps)
        return self.store.close_stale(oldest, step) if oldest > 0 and self.settings.stale else 0

    def answers(self, step: int) -> list[Feedback]:
        """New answers. Pauses training first while the settings say so."""
        if self._must_wait():
            while self._must_wait():
                self.on_status("waiting for labels")
                time.sleep(POLL)
            self.on_status("running")
        return super().answers(step)

    def _must_wait(self) -> bool:
        wait, lag = self.settings.wait, self.settings.lag
        if not wait and not lag:
            return False
        counts = self.store.counts()
        judged = counts.answered + counts.skipped
        return judged < min(wait, judged + counts.open) or 0 < lag <= counts.open


def clear_pairs(returns: np.ndarray, gap: float, rng: np.random.Generator) -> np.ndarray:
    """(P, 2) pairs of segments with returns at least `gap` apart, no segment in two of them, in random order and sides."""
    order, half = np.argsort(returns, kind="stable"), len(returns) // 2
    pairs = np.stack([order[:half], order[::-1][:half]], 1)  # the worst with the best, and so on inwards
    gaps = returns[pairs[:, 1]] - returns[pairs[:, 0]]
    return rng.permuted(rng.permutation(pairs[(gaps >= gap) & (gaps > 0)]), axis=1)
