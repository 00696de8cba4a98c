"""From segments to questions: draw candidate pairs, then choose the ones worth a teacher's time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from prefrl.core.data import Segments
from prefrl.core.errors import NonFiniteError, NotEnoughSegments, UserError, pick
from prefrl.queries.kcenter import greedy_cover, pair_features
from prefrl.queries.strategies import STRATEGIES, Score, Strategy


class Choice(NamedTuple):
    """Which candidates to ask about."""

    picked: np.ndarray  # (n,) indices of candidates, distinct; the best first
    scores: np.ndarray  # (n,) NaN where the strategy has no score
    strategy: str  # the one that was used: uniform as long as there is no reward model to score with


def pair_up(n_segments: int, n_pairs: int, rng: np.random.Generator) -> np.ndarray:
    """Random pairs of distinct segments, each in random order: (n_pairs, 2) indices

    No segment is used twice if there are enough for that; no two pairs are the same in any case.
    """
    possible = n_segments * (n_segments - 1) // 2
    if n_pairs > possible:
        raise NotEnoughSegments(
            f"{n_pairs} questions need {n_pairs} different pairs, but {n_segments} segments make only {possible};"
            " lower the number of questions, or record longer before asking"
        )
    if 2 * n_pairs <= n_segments:
        return rng.permutation(n_segments)[: 2 * n_pairs].reshape(n_pairs, 2)
    number = rng.choice(possible, n_pairs, replace=False)
    first = number % n_segments  # each unordered pair is once a segment and its neighbour 1, 2, ... n // 2 places on
    pairs = np.stack([first, (first + number // n_segments + 1) % n_segments], axis=1)
    return rng.permuted(pairs, axis=1)


def choose(
    candidates: Segments,
    member_returns: np.ndarray | None,
    n: int,
    strategy: str | Score,
    rng: np.random.Generator,
    asked: Segments | None = None,
    pairs: np.ndarray | None = None,
) -> Choice:
    """The n candidate pairs (batch shape (N, 2)) to ask about, by a strategy's name or a score function of your own.

    member_returns: (E, N, 2), or None before the first fit, when strategies that need it give way to uniform.
    asked: batch shape (C, 2), pairs that a covering strategy should keep away from. Equal scores are broken at random.
    pairs: (N, 2) which segments make up each candidate; if given, no segment is in two questions, and fewer than n
    questions may be left.
    """
    total = len(candidates)
    if n > total:
        raise UserError(
            f"asked to choose {n} of {total} candidate pairs; lower the number of questions or draw more pairs"
        )
    name, chosen = _resolve(strategy)
    if chosen.score and member_returns is None:
        name, chosen = "uniform", STRATEGIES["uniform"]
    scores = _scores(name, chosen, member_returns, total)
    shuffled = rng.permutation(total)
    ranked = shuffled[np.argsort(-scores[shuffled], kind="stable")]  # NaN throughout: the shuffled order stays
    if chosen.covers and n > 0:
        pool = ranked if chosen.score is None else ranked[: max(n, total // 2)]
        ranked = _cover(candidates, pool, n if pairs is None else len(pool), asked)
    picked = ranked[:n] if pairs is None else ranked[_each_segment_once(pairs[ranked], n)]
    return Choice(picked, scores[picked], name)


def needs_returns(strategy: str | Score) -> bool:
    """Whether a strategy scores candidates by the members' returns."""
    return _resolve(strategy)[1].score is not None


def _each_segment_once(pairs: np.ndarray, wanted: int) -> np.ndarray:
    """Places of the first `wanted` pairs, best first, of which no two share a segment: (C, 2) -> (n,)"""
    used: set[int] = set()
    kept: list[int] = []
    for place, (first, second) in enumerate(pairs.tolist()):
        if len(kept) == wanted:
            break
        if first not in used and second not in used:
            used |= {first, second}
            kept.append(place)
    return np.array(kept, int)


def _resolve(strategy: str | Score) -> tuple[str, Strategy]:
    if callable(strategy):
        name = getattr(strategy, "__name__", type(strategy).__name__)
        return name, Strategy("given by the user", strategy)
    return strategy, pick(STRATEGIES, strategy, "query strategy")


def _scores(name: str, strategy: Strategy, member_returns: np.ndarray | None, total: int) -> np.ndarray:
    """The strategy's scores of all candidates, checked; NaN if it has none: (E, N, 2) -> (N,)"""
    if strategy.score is None or member_returns is None:
        return np.full(total, np.nan)
    if member_returns.ndim != 3 or member_returns.shape[1:] != (total, 2):
        raise UserError(
            f"member returns have shape {member_returns.shape}; {total} candidate pairs need (E, {total}, 2)"
        )
    if len(member_returns) < strategy.members:
        raise UserError(
            f"strategy {name!r} compares ensemble members and needs {strategy.members}, got {len(member_returns)};"
            " enlarge the ensemble, or choose uniform"
        )
    scores = np.asarray(strategy.score(member_returns), dtype=np.float64)
    if scores.shape != (total,):
        raise UserError(f"strategy {name!r} gave scores of shape {scores.shape}; it must give one per pair, ({total},)")
    if np.isnan(scores).any():
        share = f"{int(np.isnan(scores).sum())} of {total}"
        raise NonFiniteError(f"strategy {name!r} scored {share} pairs NaN; look at the reward model's returns")
    return scores


def _cover(candidates: Segments, pool: np.ndarray, n: int, asked: Segments | None) -> np.ndarray:
    """n of the pool (candidate indices), far apart and far from those asked. B-Pref pools half of 10 n candidates.

    Unlike there, every observed number is first scaled to unit spread, or the one in the largest units decides alone.
    """
    points = pair_features(candidates)[pool]
    spread = points.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    centres = pair_features(asked) / scale if asked is not None and len(asked) else None
    return pool[greedy_cover(points / scale, n, centres)]
