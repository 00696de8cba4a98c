"""Decides when to ask and which kinds of question, draws candidates from the recorder, and chooses among them."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from prefrl.config.settings import QuestionConfig
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.streams import stream
from prefrl.kinds import FIRST, Kind, kind_of
from prefrl.queries.candidates import choose, group, reads
from prefrl.queries.schedules import Schedule, due, make_schedule
from prefrl.queries.strategies import Score

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 0.02  # share of the run after which due questions are asked, however few they are


class Memory(Protocol):
    """The part of the recorder that the asker uses."""

    steps: int

    def cut_segments(self, length: int, rng: np.random.Generator, since: int = 0) -> Segments: ...


class Predicting(Protocol):
    """The part of the reward model that the asker uses."""

    version: int

    def member_rewards(self, segments: Segments) -> Tensor | None:
        """Each member's rewards: (N,) -> (E, N, T). None before the first fit."""


class Asker:
    """Asks questions by a schedule: whenever fewer were asked than the schedule's level by now."""

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
        self.kinds = [kind_of(name) for name in settings.kinds]
        self.shares = shares(settings)
        self.divide = pick(TURNS, settings.turns, "questions.turns")
        self.at_once = 0  # questions that are due whatever the schedule says
        self.asked = 0
        self.asked_of = dict.fromkeys(settings.kinds, 0)  # by kind; expired questions count here
        self.asked_at = 0  # step of the run at the last session
        self.looked_until = 0  # the recorder's step count at the last session; later segments are candidates

    def due(self, step: int) -> int:
        """Number of questions to ask now; 0 until there are enough for a session."""
        progress = min(1.0, step / (self.total_steps * self.settings.until))
        first = min(self.at_once, self.budget) - self.asked
        wanted = max(first, due(self.schedule, progress, self.budget, self.asked))
        return wanted if wanted >= self._smallest_session(step) else 0

    def _smallest_session(self, step: int) -> int:
        """Smallest number of questions in a session: growth x asked, at most what is left; 1 after LONGEST of the run.

        Each session costs a fit: the number of sessions grows with the logarithm of the budget, up to 1 / LONGEST.
        """
        if step - self.asked_at >= LONGEST * self.total_steps:
            return 1
        return max(1, min(int(self.settings.growth * self.asked), self.budget - self.asked))

    def choose(self, step: int, capacity: float, memory: Memory, reward_model: Predicting) -> list[Queries]:
        """The questions due about what happened since the last session, a batch for each kind, at most `capacity`.

        [] if none are due, or if there are too few segments. No segment is in two questions. Questions that cannot be
        asked now stay due.
        """
        wanted = int(min(self.due(step), capacity))
        if not wanted:
            return []
        rng = stream(self.seed, "query", step)
        segments = memory.cut_segments(self.settings.length, rng, self.looked_until)
        counts = self._counts_by_kind(wanted, len(segments))
        if sum(counts) < min(wanted, self._smallest_session(step)):
            return []
        rewards = reward_model.member_rewards(segments) if reads(self.strategy) else None  # (E, N, T)
        free, batches = np.arange(len(segments)), []
        for kind, count in zip(self.kinds, counts, strict=True):
            if count:
                places, scores, strategy = self._select(kind, count, free, segments, rewards, rng)  # (n, K)
                batches.append(Queries(segments[places], scores, strategy, step, reward_model.version, kind.name))
                free = np.setdiff1d(free, places)
                self.asked += len(places)
                self.asked_of[kind.name] += len(places)
        self.asked_at, self.looked_until = step, memory.steps
        return batches

    def _counts_by_kind(self, wanted: int, segments: int) -> list[int]:
        """Number of questions of each kind: up to `wanted` in all, as many as there are segments for."""
        most = segments // min(kind.segments for kind in self.kinds)
        for total in range(min(wanted, most), 0, -1):
            counts = self.divide(self, total)
            if sum(count * kind.segments for count, kind in zip(counts, self.kinds, strict=True)) <= segments:
                return counts
        return [0] * len(self.kinds)

    def _select(
        self, kind: Kind, count: int, free: np.ndarray, segments: Segments, rewards: Tensor | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, str]:  # fmt: skip
        """The best questions about free segments by the strategy: their segments' indices (n, K), scores, and strategy."""
        drawn = count
        if self.strategy != "uniform":
            drawn = min(count * self.settings.candidates, comb(len(free), kind.segments))
        groups = free[group(len(free), drawn, kind.segments, rng)]  # (C, K)
        predicted = None if rewards is None else self._predicted(kind, rewards, groups)
        choice = choose(segments[groups], predicted, count, self.strategy, rng, groups=groups)
        return groups[choice.picked], choice.scores, choice.strategy

    def _predicted(self, kind: Kind, rewards: Tensor, groups: np.ndarray) -> np.ndarray | None:
        """What the strategy scores candidates by: each member's chances (E, C, A), or returns (E, C, K)."""
        if reads(self.strategy) == "returns":
            return rewards.sum(-1).numpy()[:, groups]
        return kind.predict(rewards[:, groups]).numpy() if kind.outcomes else None

    def next_session(self, step: int, rollout: int) -> int | None:
        """The next step at which questions are due by the schedule; None if none are. rollout: its length in steps"""
        ahead = range(step + rollout, self.total_steps + 1, rollout)
        return next((at for at in ahead if self.due(at)), None) if self.asked < self.budget else None

    def take_back(self, questions: int) -> None:
        """Return expired questions to the budget."""
        self.asked -= questions

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {
            "asked": self.asked, "asked_at": self.asked_at, "looked_until": self.looked_until,
            "asked_of": dict(self.asked_of),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the first release had one kind and no counts by kind."""
        self.asked, self.asked_at, self.looked_until = state["asked"], state["asked_at"], state["looked_until"]
        self.asked_of |= state.get("asked_of", {FIRST: state["asked"]})


def shares(settings: QuestionConfig) -> list[float]:
    """The share of each kind in the budget. Raises UserError for a mix that does not fit the kinds."""
    mix = settings.mix or (1.0,) * len(settings.kinds)
    if not settings.kinds or len(set(settings.kinds)) < len(settings.kinds):
        raise UserError(f"questions.kinds={settings.kinds} must name at least one kind of feedback, and none twice")
    if len(mix) != len(settings.kinds) or min(mix) < 0 or not 0 < sum(mix) < float("inf"):
        raise UserError(
            f"questions.mix={settings.mix} must give each of {len(settings.kinds)} kinds its share, not below 0 and not"
            " all 0; leave it out for equal shares"
        )
    return [share / sum(mix) for share in mix]


def mixed(asker: Asker, wanted: int) -> list[int]:
    """Each question is of the kind that is furthest below its share."""
    names, asked = [kind.name for kind in asker.kinds], dict(asker.asked_of)
    for total in range(sum(asked.values()) + 1, sum(asked.values()) + wanted + 1):
        gaps = [share * total - asked[name] for name, share in zip(names, asker.shares, strict=True)]
        asked[names[int(np.argmax(gaps))]] += 1
    return [asked[name] - asker.asked_of[name] for name in names]


def one_by_one(asker: Asker, wanted: int) -> list[int]:
    """Each kind has its part of the budget, one after the other."""
    ends = [round(asker.budget * share) for share in np.cumsum(asker.shares)]
    first, last = asker.asked, asker.asked + wanted
    return [max(0, min(last, end) - max(first, begin)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


TURNS: dict[str, Callable[[Asker, int], list[int]]] = {"mixed": mixed, "one_by_one": one_by_one}
"""Name -> how so many next questions are divided among the kinds."""
