"""Controls in place of the reward model: the true reward, a constant, and an untrained network."""

from __future__ import annotations

from typing import Any

import numpy as np

from prefrl.core.data import Feedback, Segments
from prefrl.core.tensors import Tensors
from prefrl.rewards.base import FitReport, Steps
from prefrl.rewards.model import RewardModel
from prefrl.rewards.sequences import of_rollout

UNTRAINED = 1e-7  # spread; rewards of untrained networks for pictures spread by 1e-4, more than rounding


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
        raise AssertionError("a control received no answers")

    def tensors(self) -> Tensors:
        return {}

    def state(self) -> dict[str, object]:
        return {"factor": self.factor}

    def restore(self, tensors: Tensors, state: dict[str, Any]) -> None:
        self.factor = state["factor"]


class ConstantReward(TrueReward):
    """The same reward for every step: a control for what episode ends alone teach."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def rewards(self, rollout: Steps) -> np.ndarray:
        return np.full(rollout.true_rewards.shape, self.value, np.float32)


class RandomReward(RewardModel):
    """An untrained reward model, standardised over the first rollout: a control without learning."""

    def rewards(self, rollout: Steps) -> np.ndarray:
        if not self.ensemble.scale:
            features, begins = self.inputs.of_steps(rollout), None
            if len(self.inputs.feature_kinds):
                self.set_input_scale(self.ensemble.numbers(features.flatten(0, 1)))
            if self.ensemble.sequential:
                features, begins = of_rollout(self.inputs.of_steps, rollout)
            each = self.ensemble.per_member(features, begins).flatten(1)
            self.ensemble.standardise(each, self.settings.scale, UNTRAINED)
        return super().rewards(rollout)
