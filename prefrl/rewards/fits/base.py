"""The interface of fitters, which `bootstrap` and every other way of fitting implements, and their losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from prefrl.core.tensors import Tensors
from prefrl.kinds import Kind

Loss = Callable[[Kind, Tensor, dict[str, Tensor], Tensor, float], Tensor]
"""Of the kind, predicted rewards (B, K, T), answers by field (B, ...), true returns (B, K) and the error rate: (B,)"""


def of_answers(kind: Kind, rewards: Tensor, answer: dict[str, Tensor], _returns: Tensor, error: float) -> Tensor:
    """Negative log-likelihood of the answers: (B, K, T), by field (B, ...) -> (B,)"""
    return kind.loss(rewards, answer, error)


def of_returns(_kind: Kind, rewards: Tensor, _answer: dict[str, Tensor], returns: Tensor, _error: float) -> Tensor:
    """Squared distance from the true returns, as if the teacher had given them: (B, K, T), (B, K) -> (B,)"""
    return (rewards.sum(-1) - returns).square().mean(-1)


OBJECTIVES: dict[str, tuple[Loss, str]] = {
    "preferences": (of_answers, "what was answered, whatever its kind: which of two segments is better"),
    "returns": (
        of_returns,
        "the segments' true returns, by regression: the ablation `target` of Christiano et al. 2017",
    ),
}
"""Name -> the loss, and a line for `prefrl list`."""


@dataclass(frozen=True)
class Labelled:
    """Q answers of one kind, ready to learn from."""

    kind: Kind
    inputs: Callable[[Tensor], Tensor]  # segments as members take them: rows (B,) -> (B, K, T, *features)
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

    def tensors(self) -> Tensors:
        """What a checkpoint keeps beside the ensemble: optimisers and networks of its own. No name begins with `ensemble.`"""

    def state(self) -> dict[str, object]:
        """The rest of what a checkpoint keeps, as JSON."""

    def restore(self, tensors: Tensors, state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
