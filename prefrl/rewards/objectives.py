"""What reward networks are fitted to: the loss of an answer, given the returns that they predict for its two segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from prefrl.kinds import _old as pair

Loss = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def of_preferences(predicted: Tensor, preferences: Tensor, _returns: Tensor, error: float) -> Tensor:
    """Cross-entropy of the answers, in nats: (B, 2), (B,) -> (B,)"""
    return pair.loss(predicted[:, 0] - predicted[:, 1], preferences, error)


def of_returns(predicted: Tensor, _preferences: Tensor, returns: Tensor, _error: float) -> Tensor:
    """Squared distance from the true returns, as if the teacher had told them: (B, 2), (B, 2) -> (B,)"""
    return (predicted - returns).square().mean(-1)


@dataclass(frozen=True)
class Objective:
    """A loss, and a line for `prefrl list`. It gets predicted returns, preferences, true returns and the error rate."""

    about: str
    loss: Loss


OBJECTIVES: dict[str, Objective] = {
    "preferences": Objective("which segment is better", of_preferences),
    "returns": Objective(
        "the segments' true returns, by regression: the ablation `target` of Christiano et al. 2017", of_returns
    ),
}
