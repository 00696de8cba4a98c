"""Which members of an ensemble learn from which answers, and on which they are validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prefrl.core.streams import stream
from prefrl.rewards.fits.base import Labelled


@dataclass(frozen=True)
class Split:
    """The answers of one kind, for each of E members."""

    weights: np.ndarray  # (E, Q) how often a member has drawn the answer
    train: list[np.ndarray]  # per member: the answers that it learns from
    held_out: list[np.ndarray]  # per member: those that it is validated on


def split(labelled: Sequence[Labelled], members: int, seed: int) -> list[Split]:
    """Draw answers for each member: one split a kind.

    Weights are Poisson(1), the limit of drawing with replacement: 1/e of the answers of each member weigh nothing and are
    held out, and a question keeps its weight for life, also when its answer is corrected, so that a warm start never
    trains on what it is validated on. Held-out answers that share steps with a member's training answers, of whatever
    kind, are left out altogether.
    """
    last = max(int(part.query.max()) for part in labelled)
    drawn = stream(seed, "bootstrap").poisson(1.0, (last, members))
    weights = [drawn[part.query - 1].T for part in labelled]
    train = [[np.flatnonzero(own) for own in each] for each in weights]
    return [
        Split(
            each,
            rows,
            [
                _apart(part, np.flatnonzero(own == 0), [(other, train[k][e]) for k, other in enumerate(labelled)])
                for e, own in enumerate(each)
            ],
        )
        for part, each, rows in zip(labelled, weights, train, strict=True)
    ]


def _apart(part: Labelled, held_out: np.ndarray, taught: list[tuple[Labelled, np.ndarray]]) -> np.ndarray:
    """The held-out answers no segment of which overlaps with a segment of the training answers (of each kind, rows)."""
    begins = part.places[held_out]  # (H, K)
    clear = np.ones(begins.shape, bool)
    for other, rows in taught:
        if not len(rows):
            continue
        taken = np.sort(other.places[rows].ravel())
        after = np.searchsorted(taken, begins)
        for at in (after - 1, after):
            ahead = taken[np.clip(at, 0, len(taken) - 1)] - begins
            clear &= np.where(ahead >= 0, ahead >= part.length, -ahead >= other.length)
    return held_out[clear.all(1)]
