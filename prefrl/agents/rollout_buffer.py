"""SB3's rollout buffers with learned rewards: asked for once per rollout, just before SB3 computes advantages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.core.errors import UserError

Rewards = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(sampled actions (n, n_envs, *act), SB3's bootstraps at time limits (n, n_envs)) -> rewards (n, n_envs)"""


class LearnedRewards:
    """Replaces the environment's (hidden, zero) reward when the buffer is full. Mixed into a buffer of SB3's."""

    learned: Rewards
    batch: Any = None  # the minibatch of SB3's current update

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        self.rewards[:] = self.learned(self.actions, self.rewards)  # type: ignore[attr-defined, has-type]
        super().compute_returns_and_advantage(last_values, dones)  # type: ignore[misc]

    def _get_samples(self, *args: Any, **kwargs: Any) -> Any:
        self.batch = super()._get_samples(*args, **kwargs)  # type: ignore[misc]
        return self.batch


class LearnedRewardBuffer(LearnedRewards, RolloutBuffer):
    """For observations in one array."""


class LearnedRewardDictBuffer(LearnedRewards, DictRolloutBuffer):
    """For observations in a dictionary of arrays."""


BUFFERS: dict[type, type[LearnedRewardBuffer] | type[LearnedRewardDictBuffer]] = {
    RolloutBuffer: LearnedRewardBuffer,
    LearnedRewardBuffer: LearnedRewardBuffer,
    DictRolloutBuffer: LearnedRewardDictBuffer,
    LearnedRewardDictBuffer: LearnedRewardDictBuffer,
}
"""A buffer of SB3's -> ours in its place."""


def put_learned_reward(model: OnPolicyAlgorithm, learned: Rewards) -> None:
    """Give an SB3 on-policy model (PPO, A2C, your own) the learned reward in place of the environment's."""
    old = getattr(model, "rollout_buffer", None)
    if old is None or type(old) not in BUFFERS:
        raise UserError(
            f"{type(model).__name__} collects into {type(old).__name__}; prefrl takes SB3's on-policy models with a plain"
            " RolloutBuffer (PPO, A2C). Recurrent policies are not supported yet"
        )
    new = BUFFERS[type(old)](
        old.buffer_size, old.observation_space, old.action_space, old.device, old.gae_lambda, old.gamma, old.n_envs
    )
    new.learned = learned
    model.rollout_buffer = new
