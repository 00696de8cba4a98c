"""What reward networks are fitted to: the loss of an answer, given the rewards that they predict for its segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from prefrl.kinds import Kind

Loss = Callable[[Kind, Tensor, dict[str, Tensor], Tensor, float], Tensor]


def of_answers(kind: Kind, rewards: Tensor, answer: dict[str, Tensor], _returns: Tensor, error: float) -> Tensor:
    """Negative log-likelihood of the answers: (B, K, T), by field (B, ...) -> (B,)"""
    return kind.loss(rewards, answer, error)


def of_returns(_kind: Kind, rewards: Tensor, _answer: dict[str, Tensor], returns: Tensor, _error: float) -> Tensor:
    """Squared distance from the true returns, as if the teacher had given them: (B, K, T), (B, K) -> (B,)"""
    return (rewards.sum(-1) - returns).square().mean(-1)


@dataclass(frozen=True)
class Objective:
    """A loss, and a line for `prefrl list`. It gets the kind, predicted rewards, answers, true returns and the error rate."""

    about: str
    loss: Loss


OBJECTIVES: dict[str, Objective] = {
    "preferences": Objective("what was answered, whatever its kind: which of two segments is better", of_answers),
    "returns": Objective(
        "the segments' true returns, by regression: the ablation `target` of Christiano et al. 2017", of_returns
    ),
}
