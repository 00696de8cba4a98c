"""The reward that the agent gets: that of a reward model or control, plus a bonus."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from prefrl.config.settings import RewardConfig
from prefrl.rewards.base import Reward, Steps
from prefrl.rewards.bonuses import BONUSES


class PaidReward:
    """A reward model, or a control in its place, and the bonus that `reward.bonus` names."""

    def __init__(self, reward: Reward, settings: RewardConfig):
        self.reward, self.weight = reward, settings.bonus_weight
        self.bonus = BONUSES[settings.bonus][0](settings)

    def rewards(self, rollout: Steps) -> np.ndarray:
        """The learned reward and, weighted, the bonus: (n, n_envs)"""
        learned = self.reward.rewards(rollout)
        if self.bonus is None or not self.weight:
            return learned
        return learned + np.float32(self.weight) * self.bonus.of(rollout, self.reward)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps of the bonus."""
        return self.bonus.tensors() if self.bonus else {}

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps, as JSON."""
        return self.bonus.state() if self.bonus else {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
        if self.bonus:
            self.bonus.restore(tensors, state)
