"""The rollout buffer that learns its rewards once per rollout, just before SB3 computes advantages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.errors import UserError


class LearnedRewardBuffer(RolloutBuffer):
    """SB3's buffer with the environment's (hidden, zero) reward replaced when it is full."""

    learned_rewards: Callable[[], np.ndarray]  # () -> (n_steps, n_envs) rewards of the rollout that just ended

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        self.rewards += self.learned_rewards()  # added: SB3 has put its time-limit bootstrap there already
        super().compute_returns_and_advantage(last_values, dones)


def put_learned_reward(model: OnPolicyAlgorithm, learned_rewards: Callable[[], np.ndarray]) -> None:
    """Give an SB3 on-policy model (PPO, A2C, your own) the learned reward in place of the environment's."""
    old = getattr(model, "rollout_buffer", None)
    if old is None or type(old) not in (RolloutBuffer, LearnedRewardBuffer):
        raise UserError(
            f"{type(model).__name__} collects into {type(old).__name__}; prefrl takes SB3's on-policy models with a plain"
            " RolloutBuffer (PPO, A2C). Dict observations and recurrent policies are not supported yet"
        )
    new = LearnedRewardBuffer(
        old.buffer_size, old.observation_space, old.action_space, old.device, old.gae_lambda, old.gamma, old.n_envs
    )
    new.learned_rewards = learned_rewards
    model.rollout_buffer = new
