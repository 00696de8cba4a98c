"""Hooks that Stable-Baselines3's on-policy models lack: for learned rewards, a further loss, and proposed actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from prefrl.core.errors import UserError
from prefrl.core.observations import Observations

Rewards = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(sampled actions (n, n_envs, *act), SB3's bootstraps at time limits (n, n_envs)) -> rewards (n, n_envs)"""


def put_learned_reward(model: OnPolicyAlgorithm, learned: Rewards) -> None:
    """Give an SB3 on-policy model (PPO, A2C, your own) the learned reward in place of the environment's (hidden, zero).

    It is asked for once per rollout, when the buffer is full: just before SB3 computes advantages.
    """
    buffer = getattr(model, "rollout_buffer", None)
    if buffer is None or type(buffer) not in (RolloutBuffer, DictRolloutBuffer):
        raise UserError(
            f"{type(model).__name__} collects into {type(buffer).__name__}; prefrl takes SB3's on-policy models with a"
            " plain RolloutBuffer (PPO, A2C). Recurrent policies are not supported yet"
        )
    plain = type(buffer).compute_returns_and_advantage

    def compute_returns_and_advantage(last_values: torch.Tensor, dones: np.ndarray) -> None:
        buffer.rewards[:] = learned(buffer.actions, buffer.rewards)
        plain(buffer, last_values, dones)

    buffer.compute_returns_and_advantage = compute_returns_and_advantage


def add_loss(model: OnPolicyAlgorithm, loss: Callable[[Any, Any], Tensor | None]) -> None:
    """Add a loss of (SB3's minibatch, distribution of actions) to each update. A loss of None changes nothing.

    SB3 clears the gradients just before its own backward pass adds to them, then clips their sum. So the gradient of a
    further loss goes in right after they were cleared: it is the gradient of the sum of the losses.
    """
    buffer, optimiser = model.rollout_buffer, model.policy.optimizer
    sample, clear = type(buffer)._get_samples, type(optimiser).zero_grad
    batch: Any = None  # the minibatch of the current update

    def get_samples(*args: Any, **kwargs: Any) -> Any:
        nonlocal batch
        batch = sample(buffer, *args, **kwargs)
        return batch

    def zero_grad(set_to_none: bool = True) -> None:
        clear(optimiser, set_to_none)
        if batch is None:
            return
        further = loss(batch, model.policy.get_distribution(batch.observations))
        if further is not None:
            further.backward()
            model.logger.record("train/further_loss", further.item())

    buffer._get_samples = get_samples  # type: ignore[method-assign]
    optimiser.zero_grad = zero_grad  # type: ignore[method-assign]


def let_propose(policy: ActorCriticPolicy, propose: Callable[[ActorCriticPolicy, Observations], Tensor | None]) -> None:
    """Let an SB3 policy take proposed actions (N, *act); where `propose` gives None, it takes its own.

    The update sees proposals as the policy's own: with the log-probability that they have under it.
    """
    plain: Any = type(policy)

    class Proposing(plain):
        def forward(self, obs: Observations, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
            actions, values, log_probability = super().forward(obs, deterministic)
            proposed = propose(self, obs)
            if proposed is None:
                return actions, values, log_probability
            return proposed, values, self.get_distribution(obs).log_prob(proposed)

        def _predict(self, observation: Observations, deterministic: bool = False) -> Tensor:
            proposed = propose(self, observation)
            return super()._predict(observation, deterministic) if proposed is None else proposed

    Proposing.__name__ = plain.__name__
    policy.__class__ = Proposing
