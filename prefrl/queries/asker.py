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
from prefrl.queries.schedules import Schedule, due, make_schedule
from prefrl.queries.selection import choose, group, reads
from prefrl.queries.strategies import Score

if TYPE_CHECKING:
    from torch import Tensor

LONGEST = 0.02  # of the run that due questions wait for others to make a session worth its fit


class Memory(Protocol):
    """The side of the recorder that the asker sees."""

    steps: int

    def cut_segments(self, length: int, rng: np.random.Generator, since: int = 0) -> Segments: ...


class Predicting(Protocol):
    """The side of the reward model that the asker sees."""

    version: int

    def member_rewards(self, segments: Segments) -> Tensor | None:
        """Each member's rewards: (N,) -> (E, N, T). None before the first fit."""


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
        self.kinds = [kind_of(name) for name in settings.kinds]
        self.shares = shares(settings)
        self.divide = pick(TURNS, settings.turns, "questions.turns")
        self.at_once = 0  # questions that are due whatever the schedule says
        self.asked = 0
        self.asked_of = dict.fromkeys(settings.kinds, 0)  # by kind; those that were taken back count here
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

    def choose(self, step: int, capacity: float, memory: Memory, reward_model: Predicting) -> list[Queries]:
        """The questions due about what happened since the last session, a batch for each kind, at most `capacity`.

        [] if none are due, or if there is too little to ask about. No segment is in two questions. What cannot be asked
        now is still due later, when more has happened.
        """
        wanted = int(min(self.due(step), capacity))
        if not wanted:
            return []
        rng = stream(self.seed, "query", step)
        segments = memory.cut_segments(self.settings.length, rng, self.looked_until)
        counts = self._fitting(wanted, len(segments))
        if sum(counts) < min(wanted, self._least(step)):
            return []
        rewards = reward_model.member_rewards(segments) if reads(self.strategy) else None  # (E, N, T)
        free, found = np.arange(len(segments)), []
        for kind, count in zip(self.kinds, counts, strict=True):
            if count:
                places, scores, strategy = self._best(kind, count, free, segments, rewards, rng)  # (n, K)
                found.append(Queries(segments[places], scores, strategy, step, reward_model.version, kind.name))
                free = np.setdiff1d(free, places)
                self.asked += len(places)
                self.asked_of[kind.name] += len(places)
        self.asked_at, self.looked_until = step, memory.steps
        return found

    def _fitting(self, wanted: int, segments: int) -> list[int]:
        """How many questions of each kind: up to `wanted` in all, as many as there are segments for."""
        for total in range(wanted, 0, -1):
            counts = self.divide(self, total)
            if sum(count * kind.segments for count, kind in zip(counts, self.kinds, strict=True)) <= segments:
                return counts
        return [0] * len(self.kinds)

    def _best(
        self, kind: Kind, count: int, free: np.ndarray, segments: Segments, rewards: Tensor | None,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, str]:  # fmt: skip
        """The most telling questions about free segments: which segments they show (n, K), their scores, and the strategy."""
        drawn = count
        if self.strategy != "uniform":
            drawn = min(count * self.settings.candidates, comb(len(free), kind.segments))
        groups = free[group(len(free), drawn, kind.segments, rng)]  # (C, K)
        predicted = None if rewards is None else self._predicted(kind, rewards, groups)
        choice = choose(segments[groups], predicted, count, self.strategy, rng, groups=groups)
        return groups[choice.picked], choice.scores, choice.strategy

    def _predicted(self, kind: Kind, rewards: Tensor, groups: np.ndarray) -> np.ndarray | None:
        """What the strategy reads of candidates: each member's chances (E, C, A), or returns (E, C, K)."""
        if reads(self.strategy) == "returns":
            return rewards.sum(-1).numpy()[:, groups]
        return kind.predict(rewards[:, groups]).numpy() if kind.outcomes else None

    def next_session(self, step: int, rollout: int) -> int | None:
        """The step at which questions are due next, if all goes on as it is; None if none are. rollout: in steps"""
        ahead = range(step + rollout, self.total_steps + 1, rollout)
        return next((at for at in ahead if self.due(at)), None) if self.asked < self.budget else None

    def take_back(self, questions: int) -> None:
        """These will not be answered: as many others may be asked."""
        self.asked -= questions

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {
            "asked": self.asked, "asked_at": self.asked_at, "looked_until": self.looked_until,
            "asked_of": dict(self.asked_of),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave; the first release knew one kind and kept no counts by kind."""
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
    """Each next question is of the kind that lacks most of its share."""
    names, asked = [kind.name for kind in asker.kinds], dict(asker.asked_of)
    for total in range(sum(asked.values()) + 1, sum(asked.values()) + wanted + 1):
        lacks = [share * total - asked[name] for name, share in zip(names, asker.shares, strict=True)]
        asked[names[int(np.argmax(lacks))]] += 1
    return [asked[name] - asker.asked_of[name] for name in names]


def one_by_one(asker: Asker, wanted: int) -> list[int]:
    """Each kind has its part of the budget, one after the other."""
    ends = [round(asker.budget * share) for share in np.cumsum(asker.shares)]
    first, last = asker.asked, asker.asked + wanted
    return [max(0, min(last, end) - max(first, begin)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


TURNS: dict[str, Callable[[Asker, int], list[int]]] = {"mixed": mixed, "one_by_one": one_by_one}
"""Name -> how so many next questions are divided among the kinds."""
