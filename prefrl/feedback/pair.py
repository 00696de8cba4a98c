"""Preferences between two segments: the likelihood of an answer given predicted returns."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def probability(gap: Tensor, error: float = 0.1) -> Tensor:
    """P(the first is preferred) given `gap` = return of the first minus return of the second, any shape.

    Bradley-Terry, with a share `error` of answers that are coin flips (Christiano et al. 2017, 2.2.3 and eq. 1).
    """
    return (1 - error) * torch.sigmoid(gap) + error / 2


def loss(gap: Tensor, preference: Tensor, error: float = 0.1) -> Tensor:
    """Cross-entropy of answers in [0, 1] (probability that the first is better; .5 is a tie): same shape as `gap`."""
    if error == 0:  # the logarithm of a sigmoid stays finite at any gap, that of a rounded probability does not
        return -preference * functional.logsigmoid(gap) - (1 - preference) * functional.logsigmoid(-gap)
    chosen = probability(gap, error)
    return -preference * chosen.log() - (1 - preference) * (1 - chosen).log()
