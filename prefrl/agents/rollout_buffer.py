"""The rollout buffer that learns its rewards once per rollout, just before SB3 computes advantages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from prefrl.core.errors import UserError


class LearnedRewardBuffer(RolloutBuffer):
    """SB3's buffer with the environment's (hidden, zero) reward replaced when it is full."""

    learned_rewards: Callable[[], np.ndarray]  # () -> (n_steps, n_envs) rewards of the rollout that just ended
    bounds = 0.0  # what an action beyond the bounds costs

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: np.ndarray) -> None:
        learned = self.learned_rewards()
        self.rewards += learned  # added: SB3 has put its time-limit bootstrap there already
        if self.bounds and np.ptp(learned) > 0:  # a reward that tells nothing apart leaves no other wish than this
            self.rewards -= self.bounds * beyond_bounds(self.actions, self.action_space)
        super().compute_returns_and_advantage(last_values, dones)


class LearnedRewardDictBuffer(LearnedRewardBuffer, DictRolloutBuffer):
    """The same for observations in a Dict."""


BUFFERS: dict[Any, type[LearnedRewardBuffer]] = {
    RolloutBuffer: LearnedRewardBuffer,
    DictRolloutBuffer: LearnedRewardDictBuffer,
}


def beyond_bounds(actions: np.ndarray, space: spaces.Space) -> np.ndarray:
    """How far sampled actions lie outside a box, squared, in halves of its width: (..., d) -> (...). 0 without bounds.

    An environment clips them, so a Gaussian policy whose mean has run off no longer notices what it does.
    """
    if not isinstance(space, spaces.Box):
        return np.zeros(actions.shape[:-1])
    outside = np.maximum(0.0, np.maximum(space.low - actions, actions - space.high))
    return np.square(2.0 * outside / (space.high - space.low)).sum(-1)


def put_learned_reward(
    model: OnPolicyAlgorithm, learned_rewards: Callable[[], np.ndarray], bounds: float = 0.0
) -> None:
    """Give an SB3 on-policy model (PPO, A2C, your own) the learned reward in place of the environment's.

    bounds: what a sampled action that is half the width of the action space outside it costs; twice as far, four times.
    """
    old: Any = getattr(model, "rollout_buffer", None)
    kind = BUFFERS.get(type(old), type(old))  # of a model that was trained before it is ours already
    if kind not in BUFFERS.values():
        raise UserError(
            f"{type(model).__name__} collects into {type(old).__name__}; prefrl takes SB3's on-policy models with its"
            " RolloutBuffer or DictRolloutBuffer (PPO, A2C). Recurrent policies are not supported yet"
        )
    new = kind(
        old.buffer_size, old.observation_space, old.action_space, old.device, old.gae_lambda, old.gamma, old.n_envs
    )
    new.learned_rewards = learned_rewards
    new.bounds = 0.0 if model.policy.squash_output else bounds  # squashed actions have bounds of their own
    model.rollout_buffer = new
