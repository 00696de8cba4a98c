"""What a synthetic teacher does with a pair, one small step at a time: it feels, chooses, errs, ties and skips.

Each step is a function of arrays, so a new teacher is a new sequence of them. Answers are as in `prefrl.core.data`: the
probability that the first segment is better, NaN where skipped. The steps are those of B-Pref (Lee et al. 2021).
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

ROUNDING = 1e-12  # sums of the same rewards in another order differ by about this share of their absolute sum


def felt_returns(true_rewards: np.ndarray, gamma: float) -> np.ndarray:
    """Returns as a myopic teacher feels them, step t of T weighing gamma^(T - t): (..., T) -> (...,)"""
    steps_left = np.arange(true_rewards.shape[-1])[::-1]
    return true_rewards.astype(np.float64) @ gamma**steps_left


def gaps(returns: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """By how much the first is better; exactly 0 where only rounding differs. returns, sizes: (Q, 2) -> (Q,)

    sizes: absolute sums of the same rewards, from which rounding is judged.
    """
    gap = returns[:, 0] - returns[:, 1]
    return np.where(np.abs(gap) <= ROUNDING * sizes.sum(-1), 0.0, gap)


def choose(gap: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
    """The first with probability sigmoid(beta * gap) (Bradley-Terry); beta = inf: the better, or EQUAL. (Q,) -> (Q,)"""
    if np.isinf(beta):
        return 0.5 + 0.5 * np.sign(gap)
    return (rng.random(gap.shape) < expit(beta * gap)).astype(np.float64)


def flip(answers: np.ndarray, mistake: float, rng: np.random.Generator) -> np.ndarray:
    """Turn a random share `mistake` of the answers round; a tie (1/2) or a skip (NaN) stays itself. (Q,) -> (Q,)"""
    return np.where(rng.random(answers.shape) < mistake, 1.0 - answers, answers)


def tie(answers: np.ndarray, gap: np.ndarray, margin: float) -> np.ndarray:
    """EQUAL where the true returns are less than `margin` apart. (Q,), (Q,) -> (Q,)"""
    return np.where(np.abs(gap) < margin, 0.5, answers)


def skip(answers: np.ndarray, returns: np.ndarray, margin: float) -> np.ndarray:
    """SKIP where even the better of the two true returns is below `margin`. (Q,), (Q, 2) -> (Q,)"""
    return np.where(returns.max(-1) < margin, np.nan, answers)
