"""Interfaces between the reward model, its parts and the preference loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.tensors import Tensors


class Steps(Protocol):
    """Steps of a rollout, batch shape (n, n_envs)."""

    observations: np.ndarray
    actions: np.ndarray
    next_observations: np.ndarray
    true_rewards: np.ndarray
    begins: np.ndarray  # whether an episode begins with the step; read where reward networks look at sequences
    earlier: Steps | None  # the steps just before these, where `reward.context` asks for some


class Reward(Protocol):
    """The source of the agent's reward: a reward model, or a control in its place."""

    version: int  # fits so far

    def rewards(self, rollout: Steps) -> np.ndarray:
        """(n, n_envs)"""

    def member_rewards(self, segments: Segments) -> Tensor | None:
        """Each member's prediction for segments (N,): (E, N, T). None before the first fit."""


class Bonus:
    """A bonus on the learned reward, to make the agent explore.

    A subclass defines what it pays and, if it has state, what a checkpoint keeps.
    """

    def of(self, rollout: Steps, reward: Reward) -> np.ndarray | None:
        """The bonus of each step, before it is weighted: (n, n_envs); None: nothing, as here"""
        return None

    def tensors(self) -> Tensors:
        """What a checkpoint keeps."""
        return {}

    def state(self) -> dict[str, object]:
        """The rest of what a checkpoint keeps, as JSON."""
        return {}

    def restore(self, tensors: Tensors, state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""


@dataclass(frozen=True)
class FitReport:
    """The result of a fit. Metrics are on answers that no member in the average has trained on."""

    answers: int
    decisive: int  # answers that favour an outcome
    epochs: int
    updates: int
    train_loss: float
    held_out_loss: float
    l2: float
    seconds: float  # CPU
    metrics: dict[str, float]
    note: str = ""  # why the reward did not change; empty if it did
