"""Bonuses that are paid beside the learned reward, by name, and the sum of both."""

from collections.abc import Callable

import numpy as np

from prefrl.config.settings import RewardConfig
from prefrl.rewards.base import Bonus, Reward, Steps

BONUSES: dict[str, tuple[Callable[[RewardConfig], Bonus], str]] = {
    "none": (lambda settings: Bonus(), "the learned reward alone"),
}
"""Name -> how it is made, and a line for `prefrl list`. One of your own: BONUSES["mine"] = (Mine, "what it is")."""


class PaidReward:
    """The reward that the agent gets: of a reward model, or a control in its place, plus the bonus in the settings."""

    def __init__(self, reward: Reward, settings: RewardConfig):
        self.reward, self.weight = reward, settings.bonus_weight
        self.bonus = BONUSES[settings.bonus][0](settings)

    def rewards(self, rollout: Steps) -> np.ndarray:
        """The learned reward and, weighted, the bonus: (n, n_envs)"""
        learned = self.reward.rewards(rollout)
        bonus = self.bonus.of(rollout, self.reward) if self.weight else None
        return learned if bonus is None else learned + np.float32(self.weight) * bonus


__all__ = ["BONUSES", "Bonus", "PaidReward"]
