"""Candidate questions: draw random groups of segments, and choose among them by a query strategy."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Literal, NamedTuple

import numpy as np

from prefrl.core.data import Segments
from prefrl.core.errors import NonFiniteError, NotEnoughSegments, UserError, pick
from prefrl.core.observations import parts
from prefrl.queries.strategies import STRATEGIES, Score, Strategy

WIDTH = 2048  # most features of a question; images have a hundred times more and are subsampled evenly
QUESTIONS = 64  # read at a time


class Chosen(NamedTuple):
    """The candidates that a strategy chose to ask about."""

    picked: np.ndarray  # (n,) indices of candidates, distinct; the best first
    scores: np.ndarray  # (n,) NaN where the strategy has no score
    strategy: str  # the one that was used: uniform as long as there is no reward model to score with


def group(n_segments: int, n_groups: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Random groups of distinct segments, each in random order: (n_groups, size) indices

    No segment is used twice if there are enough for that; no two groups hold the same segments in any case.
    """
    possible = comb(n_segments, size)
    if n_groups > possible:
        raise NotEnoughSegments(
            f"{n_groups} questions need {n_groups} different groups of {size}, but {n_segments} segments make only"
            f" {possible}; lower the number of questions, or record longer before asking"
        )
    if size * n_groups <= n_segments:
        return rng.permutation(n_segments)[: size * n_groups].reshape(n_groups, size)
    return rng.permuted(_overlapping(n_segments, n_groups, size, rng), axis=1)


def _overlapping(n_segments: int, n_groups: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Different groups that may share segments, in any order: (n_groups, size)"""
    possible = comb(n_segments, size)
    if size == 2:  # number each pair as a segment and its neighbour 1, 2, ... n // 2 places on
        number = rng.choice(possible, n_groups, replace=False)
        first = number % n_segments
        return np.stack([first, (first + number // n_segments + 1) % n_segments], axis=1)
    if possible <= 2 * n_groups:
        return np.array(list(combinations(range(n_segments), size)))[rng.choice(possible, n_groups, replace=False)]
    drawn: set[tuple[int, ...]] = set()
    while len(drawn) < n_groups:  # at least every second draw is a new one
        drawn.add(tuple(sorted(rng.choice(n_segments, size, replace=False).tolist())))
    return np.array(sorted(drawn))


def choose(
    candidates: Segments,
    predicted: np.ndarray | None,
    n: int,
    strategy: str | Score,
    rng: np.random.Generator,
    groups: np.ndarray | None = None,
) -> Chosen:
    """Choose n of the candidates (batch shape (N, K)), by a strategy's name or a score function of your own.

    predicted: what the strategy reads of each member, (E, N, A) chances or (E, N, K) returns; None before the first fit
    or where a kind has no outcomes, when strategies that need it give way to uniform.
    Equal scores are broken at random.
    groups: (N, K) which segments make up each candidate; if given, no segment is in two questions, and fewer than n
    questions may be left.
    """
    total = len(candidates)
    if n > total:
        raise UserError(
            f"asked to choose {n} of {total} candidates; lower the number of questions or draw more candidates"
        )
    name, chosen = _resolve(strategy)
    if chosen.score and predicted is None:
        name, chosen = "uniform", STRATEGIES["uniform"]
    scores = _scores(name, chosen, predicted, total)
    shuffled = rng.permutation(total)
    ranked = shuffled[np.argsort(-scores[shuffled], kind="stable")]  # NaN throughout: the shuffled order stays
    if chosen.covers and n > 0:
        pool = ranked if chosen.score is None else ranked[: max(n, total // 2)]
        ranked = _cover(candidates, pool, n if groups is None else len(pool))
    picked = ranked[:n] if groups is None else ranked[_each_segment_once(groups[ranked], n)]
    return Chosen(picked, scores[picked], name)


def reads(strategy: str | Score) -> Literal["chances", "returns"] | None:
    """What a strategy scores candidates by; None: it has no score."""
    resolved = _resolve(strategy)[1]
    return resolved.reads if resolved.score else None


def _each_segment_once(groups: np.ndarray, wanted: int) -> np.ndarray:
    """Places of the first `wanted` groups, best first, of which no two share a segment: (C, K) -> (n,)"""
    used: set[int] = set()
    kept: list[int] = []
    for place, segments in enumerate(groups.tolist()):
        if len(kept) == wanted:
            break
        if used.isdisjoint(segments):
            used.update(segments)
            kept.append(place)
    return np.array(kept, int)


def _resolve(strategy: str | Score) -> tuple[str, Strategy]:
    if callable(strategy):
        name = getattr(strategy, "__name__", type(strategy).__name__)
        return name, Strategy("given by the user", strategy, reads="returns")
    return strategy, pick(STRATEGIES, strategy, "query strategy")


def _scores(name: str, strategy: Strategy, predicted: np.ndarray | None, total: int) -> np.ndarray:
    """The strategy's scores of all candidates, checked; NaN if it has none: (E, N, A or K) -> (N,)"""
    if strategy.score is None or predicted is None:
        return np.full(total, np.nan)
    if predicted.ndim != 3 or predicted.shape[1] != total:
        raise UserError(
            f"the members' {strategy.reads} have shape {predicted.shape}; {total} candidates need (E, {total}, ...)"
        )
    if len(predicted) < strategy.members:
        raise UserError(
            f"strategy {name!r} compares ensemble members and needs {strategy.members}, got {len(predicted)};"
            " enlarge the ensemble, or choose uniform"
        )
    scores = np.asarray(strategy.score(predicted), dtype=np.float64)
    if scores.shape != (total,):
        raise UserError(
            f"strategy {name!r} gave scores of shape {scores.shape}; it must give one per candidate, ({total},)"
        )
    if np.isnan(scores).any():
        share = f"{int(np.isnan(scores).sum())} of {total}"
        raise NonFiniteError(f"strategy {name!r} scored {share} candidates NaN; look at the reward model's returns")
    return scores


def _cover(candidates: Segments, pool: np.ndarray, n: int) -> np.ndarray:
    """n of the pool (candidate indices), far apart. B-Pref pools half of 10 n candidates.

    Unlike there, every observed number is first scaled to unit spread, or the one in the largest units decides alone.
    """
    points = question_features(candidates)[pool]
    spread = points.std(0)
    return pool[greedy_cover(points / np.where(spread > 0, spread, 1.0), n)]


def question_features(questions: Segments) -> np.ndarray:
    """Observations of all segments side by side, as in B-Pref's code: batch shape (N, K) -> (N, D), D <= WIDTH"""
    numbers = sum(int(np.prod(part.shape[1:])) for part in parts(questions.observations).values())
    stride = max(1, -(-numbers // WIDTH))
    blocks = []
    for at in range(0, max(1, len(questions)), QUESTIONS):
        _, observed = zip(*sorted(parts(questions[at : at + QUESTIONS].observations).items()), strict=True)
        numbers_of = [np.asarray(part).reshape(len(part), -1) for part in observed]
        blocks.append(np.concatenate(numbers_of, axis=1)[:, ::stride])
    return np.concatenate(blocks).astype(np.float64)


def greedy_cover(points: np.ndarray, n: int) -> np.ndarray:
    """Greedy k-centre cover: n points such that every point has a chosen one nearby, a 2-approximation (Gonzalez 1985).

    points: (N, D). Returns indices: the first point, then each the farthest from those taken before.
    """
    # squared lengths, for |a - b|^2 = |a|^2 + |b|^2 - 2 a b without forming differences: (N,)
    lengths = np.einsum("nd,nd->n", points, points)
    nearest = np.full(len(points), np.inf)  # (N,) squared distance to the nearest point taken so far
    picked = np.empty(n, dtype=np.int64)
    for turn in range(n):  # each pick depends on the one before
        picked[turn] = best = int(np.argmax(nearest))
        along = np.einsum("nd,d->n", points, points[best])  # as fast as @, which may wait for busy cores
        nearest = np.minimum(nearest, lengths + lengths[best] - 2.0 * along)
        nearest[picked[: turn + 1]] = -1.0  # never again, even where copies leave every distance at 0
    return picked
