"""The human teacher: answers come through the label store, minutes later, in any order, or never."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Feedback, Origins, Queries, Segments
from prefrl.store.store import LabelStore
from prefrl.teachers.gold import ask_gold
from prefrl.teachers.stored import StoredTeacher

POLL = 0.25  # seconds between two checks for answers while training waits


class Person:
    """The answer function of people: answers nothing at once, so questions stay open in the store for the label page."""

    def __init__(self, **_: Any) -> None:
        """Ignores the settings of synthetic teachers."""

    def __call__(self, queries: Queries) -> None:
        return None

    def reseed(self, rng: np.random.Generator) -> None:
        """No effect: people have no random generator."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """No effect: there is no state."""


class HumanTeacher(StoredTeacher):
    """The human teacher's queue: bounded, expires old questions, can pause training."""

    def __init__(
        self, store: LabelStore, seed: int, settings: TeacherConfig, total_steps: int, tell: Callable[[str], None],
        origins: Callable[[Segments], Origins] | None = None,
    ):  # fmt: skip
        """tell: called with "waiting for labels" while training waits, and with "running" when it goes on"""
        super().__init__(store, Person(), settings.name, seed, origins, settings.combine)
        self.settings, self.total_steps, self.tell = settings, total_steps, tell

    def ask(self, queries: Queries) -> None:
        """Store the questions, and gold questions beside them."""
        self._store(queries)
        if self.settings.gold:
            ask_gold(self.store, queries, self.settings.gold, self.seed, self.origins)

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
                self.tell("waiting for labels")
                time.sleep(POLL)
            self.tell("running")
        return super().answers(step)

    def _must_wait(self) -> bool:
        wait, lag = self.settings.wait, self.settings.lag
        if not wait and not lag:
            return False
        counts = self.store.counts()
        judged = counts.answered + counts.skipped
        return judged < min(wait, judged + counts.open) or 0 < lag <= counts.open
