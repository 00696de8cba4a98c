"""Decides when to ask, draws candidate pairs from the recorder, and chooses among them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from prefrl.config.settings import QuestionConfig
from prefrl.core.data import Queries, Segments
from prefrl.core.streams import stream
from prefrl.queries.schedules import Schedule, due, make_schedule
from prefrl.queries.selection import choose, needs_returns, pair_up
from prefrl.queries.strategies import Score

LONGEST = 0.02  # of the run that due questions wait for others to make a session worth its fit


class Remembers(Protocol):
    """The side of the recorder that the asker sees."""

    steps: int

    def cut_segments(self, length: int, rng: np.random.Generator, since: int = 0) -> Segments: ...


class Asker:
    """Keeps the level of its schedule: asks while fewer questions were asked than should have been by now."""

    def __init__(
        self,
        settings: QuestionConfig,
        total_steps: int,
        seed: int,
        strategy: str | Score | None = None,
        schedule: str | Schedule | None = None,
    ):
        self.settings, self.total_steps, self.seed = settings, total_steps, seed
        self.strategy = strategy or settings.strategy
        self.schedule = make_schedule(schedule or settings.schedule, initial=settings.initial, half_at=settings.half_at)
        self.budget = settings.budget
        self.at_once = 0  # questions that are due whatever the schedule says
        self.asked = 0
        self.asked_at = 0  # steps of the run at the last session
        self.looked_until = 0  # the recorder's step count at the last session; segments from before were considered

    def due(self, step: int) -> int:
        """Questions to ask now: none until they are enough for a session."""
        progress = min(1.0, step / (self.total_steps * self.settings.until))
        first = min(self.at_once, self.budget) - self.asked
        wanted = max(first, due(self.schedule, progress, self.budget, self.asked))
        return wanted if wanted >= self._least(step) else 0

    def _least(self, step: int) -> int:
        """The least questions of a session: a share of those asked so far, but whatever is left or has waited long.

        A session costs a fit, so their number grows with the logarithm of the budget, up to 1 / LONGEST.
        """
        if step - self.asked_at >= LONGEST * self.total_steps:
            return 1
        return max(1, min(int(self.settings.growth * self.asked), self.budget - self.asked))

    def choose(self, step: int, capacity: float, recorder: Remembers, reward_model: Any) -> list[Queries]:
        wanted = int(min(self.due(step), capacity))
        queries = self._choose(wanted, recorder, reward_model, step) if wanted else None
        return [queries] if queries else []

    def _choose(self, wanted: int, recorder: Remembers, reward_model: Any, step: int) -> Queries | None:
        """Up to `wanted` questions about what happened since the last session; None if there is too little to ask about.

        No segment is in two questions. What cannot be asked now is still due later, when more has happened.
        """
        rng = stream(self.seed, "query", step)
        segments = recorder.cut_segments(self.settings.length, rng, self.looked_until)
        available = min(wanted, len(segments) // 2)
        if available < min(wanted, self._least(step)):
            return None
        pairs = self._candidates(len(segments), available, rng)
        rewards = reward_model.member_rewards(segments) if needs_returns(self.strategy) else None  # (E, N, T)
        told = None if rewards is None else rewards.sum(-1).numpy()[:, pairs]
        choice = choose(segments[pairs], told, available, self.strategy, rng, pairs=pairs)
        self.asked += len(choice.picked)
        self.asked_at, self.looked_until = step, recorder.steps
        shown = segments[pairs[choice.picked]]
        return Queries(shown, choice.scores, choice.strategy, step, reward_model.version)

    def next_session(self, step: int, rollout: int) -> int | None:
        """The step at which questions are due next, if all goes on as it is; None if none are. rollout: in steps"""
        ahead = range(step + rollout, self.total_steps + 1, rollout)
        return next((at for at in ahead if self.due(at)), None) if self.asked < self.budget else None

    def take_back(self, questions: int) -> None:
        """These will not be answered: as many others may be asked."""
        self.asked -= questions

    def _candidates(self, segments: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
        """(C, 2) pairs of segments to choose from"""
        if self.strategy == "uniform":
            return pair_up(segments, wanted, rng)
        return pair_up(segments, min(wanted * self.settings.candidates, segments * (segments - 1) // 2), rng)

    def state(self) -> dict[str, int]:
        return {"asked": self.asked, "asked_at": self.asked_at, "looked_until": self.looked_until}

    def restore(self, state: dict[str, int]) -> None:
        self.asked, self.asked_at, self.looked_until = state["asked"], state["asked_at"], state["looked_until"]
