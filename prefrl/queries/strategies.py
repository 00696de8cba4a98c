"""How much a question would teach: strategies score candidate pairs by what the reward models disagree about.

A score is a function of the members' returns, shape (E, N, 2) for E ensemble members and N pairs, and gives (N,):
the higher, the sooner asked. Any such function can be handed in instead of a name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import entr, expit

Score = Callable[[np.ndarray], np.ndarray]


def first_better(returns: np.ndarray) -> np.ndarray:
    """Each member's probability that the first is better (Bradley-Terry): (E, N, 2) -> (E, N)"""
    return expit(returns[..., 0] - returns[..., 1])


def binary_entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy in nats of a yes with this probability; 0 at 0 and 1."""
    return entr(probability) + entr(1.0 - probability)


def disagreement(returns: np.ndarray) -> np.ndarray:
    """Standard deviation of the members' predictions (Christiano et al. 2017, 2.2.4): (E, N, 2) -> (N,)"""
    return first_better(returns).std(0)


def entropy(returns: np.ndarray) -> np.ndarray:
    """Entropy of the ensemble's mean prediction: (E, N, 2) -> (N,)"""
    return binary_entropy(first_better(returns).mean(0))


def bpref_entropy(returns: np.ndarray) -> np.ndarray:
    """Mean of the members' own entropies, as B-Pref's code has it (Lee et al. 2021): (E, N, 2) -> (N,)

    Largest where all members agree on 1/2, that is on pairs too close to call: it can teach less than random pairs.
    """
    return binary_entropy(first_better(returns)).mean(0)


def bald(returns: np.ndarray) -> np.ndarray:
    """Mutual information of answer and member, H(mean P) - mean H(P) (Houlsby et al. 2011): (E, N, 2) -> (N,)"""
    return entropy(returns) - bpref_entropy(returns)


def volume(returns: np.ndarray) -> np.ndarray:
    """Expected share of hypotheses an answer removes, 1 - sum_a (mean P_a)^2 (Sadigh et al. 2017): (E, N, 2) -> (N,)

    Largest for a mean prediction of 1/2, so trivially for two identical segments; for pairs it ranks as
    `entropy` does. APReL returns sum_a (mean P_a)^2 and maximises it: it asks what it knows best.
    """
    mean = first_better(returns).mean(0)
    return 2.0 * mean * (1.0 - mean)


@dataclass(frozen=True)
class Strategy:
    """What to ask: by score if there is one, at random if not; spread over the candidates if `covers`."""

    about: str
    score: Score | None = None
    covers: bool = False  # pick by greedy k-centre cover, among the better half if there is a score
    members: int = 1  # ensemble members that the score needs


STRATEGIES: dict[str, Strategy] = {
    "uniform": Strategy("random pairs"),
    "disagreement": Strategy("members' predictions differ most (Christiano 2017)", disagreement, members=2),
    "entropy": Strategy("the ensemble's mean prediction is most undecided", entropy),
    "bpref_entropy": Strategy("the members are most undecided themselves, as in B-Pref's code", bpref_entropy),
    "bald": Strategy("the answer tells most about which member is right", bald, members=2),
    "volume": Strategy("the answer rules out most, whatever it is", volume),
    "kcenter": Strategy("pairs unlike each other", covers=True),
    "disagreement_kcenter": Strategy(
        "unlike pairs from the half with most disagreement", disagreement, True, members=2
    ),
    "entropy_kcenter": Strategy("unlike pairs from the half with most entropy", entropy, True),
    "bpref_entropy_kcenter": Strategy("unlike pairs from the half with most bpref_entropy", bpref_entropy, True),
}
