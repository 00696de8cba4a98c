"""People as teachers: their answers come through the store, minutes later, in any order, or never."""

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

POLL = 0.25  # seconds between two looks for answers while training waits


class Person:
    """Answers nothing here: questions stay open in the store until somebody sees them on the label page."""

    def __init__(self, **_: Any) -> None:
        """Takes a synthetic teacher's settings and needs none of them."""

    def __call__(self, queries: Queries) -> None:
        return None

    def reseed(self, rng: np.random.Generator) -> None:
        """Nothing about a person can be repeated."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing was kept."""


class HumanTeacher(StoredTeacher):
    """The queue of questions for people: bounded, takes back old ones, and can make training wait."""

    def __init__(
        self, store: LabelStore, seed: int, settings: TeacherConfig, total_steps: int, tell: Callable[[str], None],
        origins: Callable[[Segments], Origins] | None = None,
    ):  # fmt: skip
        """tell: hears "waiting for labels" as long as training waits, and "running" when it goes on"""
        super().__init__(store, Person(), settings.name, seed, origins, settings.combine)
        self.settings, self.total_steps, self.tell = settings, total_steps, tell

    def ask(self, queries: Queries) -> None:
        """Store the questions, and beside them some whose answers are known."""
        self._store(queries)
        if self.settings.gold:
            ask_gold(self.store, queries, self.settings.gold, self.seed, self.origins)

    def capacity(self, step: int) -> float:
        """Free places in the queue, noted by step: when nobody answers, it stops growing."""
        free = max(self.settings.queue, self.settings.wait) - len(self.store.open_queries())
        return self.store.capacity.at(step, max(0, free))

    def outdated(self, step: int) -> int:
        """Take back open questions about a policy long gone. Returns how many."""
        oldest = step - int(self.settings.stale * self.total_steps)
        return self.store.close_stale(oldest, step) if oldest > 0 and self.settings.stale else 0

    def answers(self, step: int) -> list[Feedback]:
        """Where the settings say so, first wait for people."""
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
        seen = counts.answered + counts.skipped
        return seen < min(wait, seen + counts.open) or 0 < lag <= counts.open
