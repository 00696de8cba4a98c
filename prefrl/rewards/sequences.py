"""Reward networks that look at sequences: (N, T, *features), begins (N, T) -> rewards (N, T).

A module that has the attribute `sequential = True` keeps this contract: a step's reward may depend on the steps before it.
All other modules map single steps, (N, *features), to rewards (N,) or (N, 1).
`begins` is true at steps whose past is not to be looked at: where an episode, or a segment, or what is remembered begins.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prefrl.rewards.base import Steps


def looks_at_sequences(network: nn.Module) -> bool:
    """Whether a network takes sequences; else it takes single steps."""
    return getattr(network, "sequential", False) is True  # some have a part of this name


def first_steps(sequences: Tensor) -> Tensor:
    """`begins` that is true only at the first step of each sequence (N, T, ...): (N, T)"""
    begins = torch.zeros(sequences.shape[:2], dtype=torch.bool, device=sequences.device)
    begins[:, 0] = True
    return begins


def of_rollout(encode: Callable[[Steps], Tensor], rollout: Steps) -> tuple[Tensor, Tensor]:
    """The steps of each environment as a sequence, with the older ones before them: (n_envs, t + n, *features), begins

    encode: steps (n, n_envs) -> (n, n_envs, *features)
    """
    parts = [rollout] if rollout.earlier is None else [rollout.earlier, rollout]
    features = torch.cat([encode(part) for part in parts]).transpose(0, 1)
    begins = torch.cat([torch.from_numpy(part.begins) for part in parts]).T.clone()
    begins[:, 0] = True
    return features, begins
