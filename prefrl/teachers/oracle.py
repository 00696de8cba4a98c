"""The synthetic teacher: answers by the true reward, with people's irrationalities as an option (Lee et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefrl.core.data import Queries
from prefrl.core.errors import NonFiniteError, UserError
from prefrl.kinds import Answer, Perceived, kind_of
from prefrl.teachers.units import TaskUnits, Units


@dataclass
class Oracle:
    """Answers at once by the true reward, in the way that the kind of the question defines (B-Pref's teachers).

    By default it prefers the higher true return and calls an exact tie equal. Its only state is the generator and the
    units' estimates; `state` and `restore` carry the latter across a checkpoint.
    """

    rng: np.random.Generator
    beta: float = math.inf  # rationality: log-odds per unit of return; inf: always the better one
    gamma: float = 1.0  # myopia: a step weighs gamma^(steps still to come), so recent ones count most
    mistake: float = 0.0  # share of answers that are wrong
    skip: float = 0.0  # how readily poor segments are skipped, see units
    equal: float = 0.0  # how readily similar segments are called equal, see units
    units: Units = field(default_factory=TaskUnits)

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise UserError(
                f"teacher beta={self.beta} must be above 0; for a perfectly rational one (-1 in B-Pref) give inf"
            )
        for name in ("gamma", "mistake", "skip", "equal"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"teacher {name}={getattr(self, name)} must lie in [0, 1]; 0.1 means a tenth")

    def __call__(self, queries: Queries) -> list[Answer | None]:
        """An answer to each question, None where it is skipped."""
        kind = kind_of(queries.kind)
        rewards = _true_rewards(queries, kind.segments)  # (Q, K, T)
        returns, myopic = rewards.sum(-1), myopic_returns(rewards, self.gamma)  # (Q, K) each
        sizes = np.abs(rewards).sum(-1)
        measures = self.units.measures(self.skip, self.equal, returns, myopic, rewards.shape[-1])
        perceived = Perceived(rewards, returns, myopic, sizes, *measures, self.beta, self.mistake)
        return kind.oracle(perceived, self.rng)

    def reseed(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def state(self) -> dict[str, object]:
        """The units' estimates, as JSON; the run derives the generator anew."""
        return self.units.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.units.restore(state)


def myopic_returns(true_rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Returns as a myopic teacher weighs them, step t of T by gamma^(T - t): (..., T) -> (...,)"""
    steps_left = np.arange(true_rewards.shape[-1])[::-1]
    return true_rewards.astype(np.float64) @ gamma**steps_left


def _true_rewards(queries: Queries, segments: int) -> np.ndarray:
    """True rewards, checked, in double precision: (Q, K, T)"""
    rewards = queries.segments.true_rewards
    if rewards.ndim != 3 or rewards.shape[1] != segments:
        raise UserError(
            f"questions of kind {queries.kind!r} show {segments} segments, got true rewards of shape {rewards.shape};"
            f" it must be (Q, {segments}, T)"
        )
    if not np.isfinite(rewards).all():
        where = np.argwhere(~np.isfinite(rewards))[0].tolist()
        raise NonFiniteError(
            f"true reward {rewards[tuple(where)]} at (question, segment, step) {where}; mend the environment"
        )
    return rewards.astype(np.float64)
