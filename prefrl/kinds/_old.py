"""To be deleted: probability and loss of pairs as the reward model used them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def probability(gap: Tensor, error: float = 0.1) -> Tensor:
    """P(the first is preferred)."""
    return (1 - error) * gap.sigmoid() + error / 2


def loss(gap: Tensor, preference: Tensor, error: float = 0.1) -> Tensor:
    """Cross-entropy."""
    if error == 0:
        return -preference * functional.logsigmoid(gap) - (1 - preference) * functional.logsigmoid(-gap)
    chosen = probability(gap, error)
    return -preference * chosen.log() - (1 - preference) * (1 - chosen).log()
