"""A synthetic teacher that reads the true reward and, if told to, slips as people do (B-Pref, Lee et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefrl.core.data import Queries
from prefrl.core.errors import NonFiniteError, UserError
from prefrl.teachers import slips
from prefrl.teachers.units import TaskUnits, Units


@dataclass
class Oracle:
    """Answers pairs at once: skip test, tie test, choice, mistake, in this order; a tie is never turned round.

    Without slips it prefers the higher true return and calls an exact tie EQUAL. Beyond the generator and the units'
    estimates it remembers nothing; `state` and `restore` carry the latter across a checkpoint.
    """

    rng: np.random.Generator
    beta: float = math.inf  # rationality: log-odds per unit of return; inf: always the better one
    gamma: float = 1.0  # myopia: a step weighs gamma^(steps still to come), so recent ones count most
    mistake: float = 0.0  # share of answers turned round
    skip: float = 0.0  # how readily two poor segments are skipped, see units
    equal: float = 0.0  # how readily two similar segments are called equal, see units
    units: Units = field(default_factory=TaskUnits)

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise UserError(
                f"teacher beta={self.beta} must be above 0; for a perfectly rational one (-1 in B-Pref) give inf"
            )
        for name in ("gamma", "mistake", "skip", "equal"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UserError(f"teacher {name}={getattr(self, name)} must lie in [0, 1]; 0.1 means a tenth")

    def __call__(self, queries: Queries) -> np.ndarray:
        """Preferences (Q,): probability that the first of each pair is better, NaN where skipped."""
        rewards = _pair_rewards(queries)  # (Q, 2, T)
        returns, felt = rewards.sum(-1), slips.felt_returns(rewards, self.gamma)  # (Q, 2) each
        sizes = np.abs(rewards).sum(-1)
        measures = self.units.measures(self.skip, self.equal, returns, felt, rewards.shape[-1])
        # Later steps overwrite earlier ones, so the tests that come first in the paper come last here; and every
        # question draws the same numbers whatever becomes of its neighbours.
        answers = slips.choose(slips.gaps(felt, sizes) / measures.gap, self.beta, self.rng)
        answers = slips.flip(answers, self.mistake, self.rng)
        answers = slips.tie(answers, slips.gaps(returns, sizes), measures.equal)
        return slips.skip(answers, returns, measures.skip)

    def reseed(self, rng: np.random.Generator) -> None:
        """Go on with another stream of random numbers, as at a checkpoint boundary."""
        self.rng = rng

    def state(self) -> dict[str, Any]:
        """What the teacher has estimated so far, as JSON; the generator is the run's to derive anew."""
        return self.units.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.units.restore(state)


def _pair_rewards(queries: Queries) -> np.ndarray:
    """True rewards of pairs, checked, in double precision: (Q, 2, T)"""
    rewards = queries.segments.true_rewards
    if rewards.ndim != 3 or rewards.shape[1] != 2:
        raise UserError(
            f"an oracle compares two segments, got true rewards of shape {rewards.shape}; it must be (Q, 2, T)"
        )
    if not np.isfinite(rewards).all():
        where = np.argwhere(~np.isfinite(rewards))[0].tolist()
        raise NonFiniteError(
            f"true reward {rewards[tuple(where)]} at (question, segment, step) {where}; mend the environment"
        )
    return rewards.astype(np.float64)
