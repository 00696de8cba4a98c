"""Greedy k-centre cover: choose points so that every point has a chosen one nearby (a 2-approximation)."""

from __future__ import annotations

import numpy as np

from prefrl.core.data import Segments
from prefrl.core.observations import parts

WIDTH = 2048  # most features of a question; images have a hundred times more and are subsampled evenly
QUESTIONS = 64  # read at a time


def question_features(questions: Segments) -> np.ndarray:
    """Observations of all segments side by side, as in B-Pref's code: batch shape (N, K) -> (N, D), D <= WIDTH"""
    numbers = sum(int(np.prod(part.shape[1:])) for part in parts(questions.observations).values())
    stride = max(1, -(-numbers // WIDTH))
    blocks = [_flat(questions[at : at + QUESTIONS])[:, ::stride] for at in range(0, max(1, len(questions)), QUESTIONS)]
    return np.concatenate(blocks).astype(np.float64)


def _flat(questions: Segments) -> np.ndarray:
    """All numbers of the observations: (N, K) -> (N, D)"""
    observed = parts(questions.observations)
    each = [np.asarray(observed[key]).reshape(len(questions), -1) for key in sorted(observed)]
    return each[0] if len(each) == 1 else np.concatenate(each, axis=1)


def greedy_cover(points: np.ndarray, n: int) -> np.ndarray:
    """Indices of n points (N, D): the first, then each the farthest from those taken before (Gonzalez 1985)."""
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
