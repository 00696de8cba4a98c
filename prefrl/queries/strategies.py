"""Query strategies: score candidate questions by the ensemble's predictions (disagreement, entropy, ...).

A built-in score is a function of the chances that E ensemble members give the A outcomes of each of N candidates,
shape (E, N, A), and returns (N,): the higher, the sooner asked. A function handed in instead of a name gets the
members' returns of the K segments, shape (E, N, K).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]


def mean_chances(chances: np.ndarray) -> np.ndarray:
    """The ensemble's prediction; the last outcome has what the others leave: (E, N, A) -> (N, A)"""
    rest = chances[..., :-1].mean(0)
    return np.concatenate([rest, np.maximum(1 - rest.sum(-1, keepdims=True), 0)], -1)


def entropy_of(chances: np.ndarray) -> np.ndarray:
    """Entropy in nats of an answer with these chances; 0 where it is certain: (..., A) -> (...)"""
    from scipy.special import entr  # not at the top: a quarter of a second, which most strategies need not

    return entr(chances).sum(-1)


def disagreement(chances: np.ndarray) -> np.ndarray:
    """Standard deviation of the members' predictions, root mean square over outcomes (Christiano et al. 2017, 2.2.4).

    (E, N, A) -> (N,)
    """
    free = chances[..., :1] if chances.shape[-1] == 2 else chances  # of two outcomes either says it all
    return np.sqrt(free.var(0).mean(-1))


def entropy(chances: np.ndarray) -> np.ndarray:
    """Entropy of the ensemble's mean prediction: (E, N, A) -> (N,)"""
    return entropy_of(mean_chances(chances))


def bpref_entropy(chances: np.ndarray) -> np.ndarray:
    """Mean of the members' own entropies, as B-Pref's code has it (Lee et al. 2021): (E, N, A) -> (N,)

    Largest where all members find all outcomes alike, that is on questions too close to call: it can teach less than
    random ones.
    """
    return entropy_of(chances).mean(0)


def bald(chances: np.ndarray) -> np.ndarray:
    """Mutual information of answer and member, H(mean P) - mean H(P) (Houlsby et al. 2011): (E, N, A) -> (N,)"""
    return entropy(chances) - bpref_entropy(chances)


def volume(chances: np.ndarray) -> np.ndarray:
    """Expected share of hypotheses an answer removes, 1 - sum_a (mean P_a)^2 (Sadigh et al. 2017): (E, N, A) -> (N,)

    Largest where the mean prediction finds all outcomes alike, so trivially for identical segments; for pairs it ranks
    as `entropy` does. APReL returns sum_a (mean P_a)^2 and maximises it: it asks what it knows best.
    """
    mean = mean_chances(chances)
    others = np.cumsum(mean, -1)[..., :-1]  # 1 - sum of squares is twice the sum over all pairs of outcomes
    return 2.0 * (others * mean[..., 1:]).sum(-1)


@dataclass(frozen=True)
class Strategy:
    """What to ask: by score if there is one, at random if not; spread over the candidates if `covers`."""

    about: str
    score: Score | None = None
    covers: bool = False  # pick by greedy k-centre cover, among the better half if there is a score
    members: int = 1  # ensemble members that the score needs
    reads: Literal["chances", "returns"] = "chances"  # what the score is given


STRATEGIES: dict[str, Strategy] = {
    "uniform": Strategy("random questions"),
    "disagreement": Strategy("members' predictions differ most (Christiano 2017)", disagreement, members=2),
    "entropy": Strategy("the ensemble's mean prediction is most undecided", entropy),
    "bpref_entropy": Strategy("the members are most undecided themselves, as in B-Pref's code", bpref_entropy),
    "bald": Strategy("the answer tells most about which member is right", bald, members=2),
    "volume": Strategy("the answer rules out most, whatever it is", volume),
    "kcenter": Strategy("questions unlike each other", covers=True),
    "disagreement_kcenter": Strategy(
        "unlike questions from the half with most disagreement", disagreement, True, members=2
    ),
    "entropy_kcenter": Strategy("unlike questions from the half with most entropy", entropy, True),
    "bpref_entropy_kcenter": Strategy("unlike questions from the half with most bpref_entropy", bpref_entropy, True),
}
