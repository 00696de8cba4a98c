"""The interface of fitters, which `bootstrap` and every other way of fitting implements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from prefrl.kinds import Kind


class Inputs(Protocol):
    """Segments as members of the ensemble take them."""

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Rows (B,) -> (B, K, T, *features)"""


@dataclass(frozen=True)
class Labelled:
    """Q answers of one kind, ready to learn from."""

    kind: Kind
    inputs: Inputs
    answer: dict[str, Tensor]  # by field (Q, ...)
    returns: Tensor  # (Q, K) true returns of the segments, over all kinds' answers of zero mean and unit spread
    query: np.ndarray  # (Q,) numbers of the questions: a correction shares it with what it corrects
    places: np.ndarray  # (Q, K) first steps of the segments, the environments far apart on one line
    length: int  # steps in a segment, T
    fresh: int  # index of the first that no fit has seen yet


@dataclass(frozen=True)
class TrainingData:
    """The training data of a fit."""

    labelled: list[Labelled]  # one a kind, none empty, in the order of the kinds' names
    fits: int  # before this one
    unlabelled: Callable[[int, np.random.Generator], Tensor]  # (N at most, rng) -> unlabelled (N, T, *features)


@dataclass(frozen=True)
class Fitted:
    """The result of a fit; losses are means over members and answers (of pairs in nats)."""

    epochs: int
    updates: int  # each by an answer and a member
    train_loss: float
    held_out_loss: float
    l2: float = float("nan")
    held_out: list[list[np.ndarray]] = field(default_factory=list)  # [kind][member] answers that it did not learn from


class Fit(Protocol):
    """Fits an ensemble. Made once for a run, from the ensemble, the settings and the run's seed; see FITS."""

    def fit(self, data: TrainingData, rng: np.random.Generator) -> Fitted:
        """Change the members' weights so that the answers become more likely."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps beside the ensemble: optimisers and networks of its own. No name begins with `ensemble.`"""

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps, as JSON."""

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
