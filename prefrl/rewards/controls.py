"""Controls in place of the reward model: the true reward, a constant, and an untrained network."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from prefrl.core.data import Feedback, Segments
from prefrl.rewards.base import FitReport, Steps
from prefrl.rewards.model import RewardModel


class TrueReward:
    """The environment's own reward: the ceiling. Scaled to the spread of a learned reward, unless `raw`.

    The spread is that of the first rollout. Without this the ceiling would be a comparison of reward scales: PPO's value
    loss and gradient clipping see them. A constant is not subtracted, for it matters where episodes can end early.
    """

    version = 0
    cpu_seconds = 0.0

    def __init__(self, spread: float = 1.0, raw: bool = False):
        self.spread = spread
        self.factor = 1.0 if raw else 0.0  # 0: not known before the first rollout

    def rewards(self, rollout: Steps) -> np.ndarray:
        """(n, n_envs)"""
        if not self.factor:
            self.factor = self.spread / (float(rollout.true_rewards.std()) or 1.0)
        return rollout.true_rewards if self.factor == 1 else rollout.true_rewards * np.float32(self.factor)

    def member_rewards(self, segments: Segments) -> None:
        """A control asks no questions, predicts nothing and learns nothing."""

    def hear(self, feedback: Feedback) -> None:
        """Ignore answers."""

    def due(self) -> bool:
        return False

    def fit(self, step: int) -> FitReport:
        raise AssertionError("a control heard nothing")

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: nothing, here."""
        return {}

    def state(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
        self.factor = state["factor"]


class ConstantReward(TrueReward):
    """The same reward for every step: a control for what episode ends alone teach."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def rewards(self, rollout: Steps) -> np.ndarray:
        return np.full(rollout.true_rewards.shape, self.value, np.float32)


class RandomReward(TrueReward):
    """An untrained reward model, standardised over the first rollout: a control without learning."""

    def __init__(self, model: RewardModel):
        super().__init__()
        self.model = model

    def rewards(self, rollout: Steps) -> np.ndarray:
        if not self.model.ensemble.scale:
            self.model.standardise_over(rollout)
        return self.model.rewards(rollout)

    def tensors(self) -> dict[str, Tensor]:
        return self.model.tensors()

    def state(self) -> dict[str, Any]:
        return self.model.state()

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.model.restore(tensors, state)
