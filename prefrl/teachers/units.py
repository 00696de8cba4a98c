"""Units of a teacher's rationality and margins: those of the task, or B-Pref's absolute ones.

Published (Lee et al. 2021): beta multiplies raw returns, and margins are a share of the average return of a segment,
eps * R_avg * H / T. beta = 1 then flips 1 % of the answers on Pendulum and nearly half on CartPole. And the margins
suppose rewards that are never negative: with R_avg < 0, as on Pendulum, the tie margin is negative (nothing ties) and
the skip margin sits far above the typical segment, so that nearly every question is skipped. B-Pref's code never
skips then. Task units shift and scale with the reward, so none of this can happen.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

RecentReturn = Callable[[], tuple[float, float]]
"""Mean return of the last 10 training episodes (NaN before the first ends) and the steps in an episode."""


class Measures(NamedTuple):
    """Scale and thresholds for the returns of one batch of questions."""

    gap: float  # the difference of myopic returns that counts as 1 for beta
    skip: float  # skipped where all returns are below
    equal: float  # tied where the returns are closer


class Units:
    """Turns a teacher's settings into measures for the batch at hand."""

    def measures(self, skip: float, equal: float, returns: np.ndarray, myopic: np.ndarray, length: int) -> Measures:
        """Returns and myopic returns: (Q, K)"""
        raise NotImplementedError

    def state(self) -> dict[str, object]:
        """The estimates, as JSON."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""


@dataclass
class Spread:
    """Running mean and standard deviation of numbers that come in batches (Chan, Golub and LeVeque 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared distances from the mean

    def add(self, values: np.ndarray) -> None:
        """Add numbers, an array of any shape."""
        if values.size == 0:
            return
        shift, total = float(values.mean()) - self.mean, self.count + values.size
        self.squares += float(values.var()) * values.size + shift**2 * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total

    @property
    def size(self) -> float:
        """Sample standard deviation; 0 for fewer than two numbers, or where only rounding differs."""
        size = math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0
        return size if size > 1e-9 * abs(self.mean) else 0.0


@dataclass
class TaskUnits(Units):
    """Units of the spread of segment returns, so that the same numbers mean the same on every environment.

    The spread is the standard deviation of the returns of all segments in all questions seen so far, those at hand
    included, and of nothing else. Myopic returns have a spread of their own, so beta keeps its meaning.
    beta: log-odds of the right answer when two segments lie one spread apart.
    skip, equal: shares of questions. The margins lie so many spreads out that these shares of random pairs would be
    skipped or tied were returns normally distributed; as the true distribution differs, so does the measured share.
    """

    returns: Spread = field(default_factory=Spread)
    myopic: Spread = field(default_factory=Spread)

    def measures(self, skip: float, equal: float, returns: np.ndarray, myopic: np.ndarray, length: int) -> Measures:
        from scipy.special import ndtri  # not at the top: the label server needs no scipy

        self.returns.add(returns)
        self.myopic.add(myopic)
        spread = self.returns.size
        if spread == 0.0:  # all segments alike: there is nothing to measure with, and they tie as they are
            return Measures(gap=self.myopic.size or 1.0, skip=-math.inf, equal=0.0)
        # P(all K < z) = Phi(z)^K, and a gap of two has sqrt(2) times the spread of one
        poor = self.returns.mean + spread * float(ndtri(skip ** (1 / returns.shape[-1])))
        close = spread * math.sqrt(2.0) * float(ndtri((1.0 + equal) / 2.0))
        return Measures(gap=self.myopic.size or 1.0, skip=poor, equal=close)

    def state(self) -> dict[str, object]:
        return {"returns": asdict(self.returns), "felt": asdict(self.myopic)}

    def restore(self, state: dict[str, Any]) -> None:
        self.returns, self.myopic = Spread(**state["returns"]), Spread(**state["felt"])


@dataclass
class BPrefUnits(Units):
    """As published: beta on raw returns, margin = eps * R_avg * H / T. eps = 0 is off, whatever the sign of R_avg."""

    recent_return: RecentReturn | None

    def measures(self, skip: float, equal: float, returns: np.ndarray, myopic: np.ndarray, length: int) -> Measures:
        poor = self.margin(skip, length) if skip else -math.inf
        return Measures(gap=1.0, skip=poor, equal=self.margin(equal, length) if equal else 0.0)

    def margin(self, eps: float, length: int) -> float:
        """The published threshold for segments of `length` steps; NaN (never reached) before the first episode ends."""
        assert self.recent_return is not None  # make_teacher asks for it
        average, steps = self.recent_return()
        if average < 0:
            warnings.warn(
                "the recent return is negative, for which B-Pref's margins are not meant: nothing ties, and 'bpref' skips"
                " nearly every question, 'bpref-code' none; use units='task'",
                stacklevel=2,
            )
        return eps * average * length / steps


@dataclass
class BPrefCodeUnits(BPrefUnits):
    """As in B-Pref's released code, which from the second session on applies eps twice (.01 where .1 was asked).

    train_PEBBLE.py multiplies by eps, and so does the setter in reward_model.py that it calls. Its Skip and Equal
    teachers are thus all but perfect after the first session. The code skips only where the margin is positive.
    """

    sessions: int = 0  # batches of questions answered so far

    def measures(self, skip: float, equal: float, returns: np.ndarray, myopic: np.ndarray, length: int) -> Measures:
        power = 1 if self.sessions == 0 else 2
        poor, close = (self.margin(eps**power, length) if eps else 0.0 for eps in (skip, equal))
        self.sessions += 1
        return Measures(gap=1.0, skip=poor if poor > 0 else -math.inf, equal=close)

    def state(self) -> dict[str, object]:
        return {"sessions": self.sessions}

    def restore(self, state: dict[str, Any]) -> None:
        self.sessions = int(state["sessions"])


UNITS: dict[str, Callable[[RecentReturn | None], Units]] = {
    "task": lambda recent_return: TaskUnits(),
    "bpref": BPrefUnits,
    "bpref-code": BPrefCodeUnits,
}
