"""Add a loss to SB3's policy update, which has no hook for one. Works with any on-policy model, PPO or A2C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import Tensor


def add_loss(model: OnPolicyAlgorithm, loss: Callable[[Any, Any], Tensor | None]) -> None:
    """Add a loss of (minibatch, distribution of actions) to each update. A loss of None changes nothing.

    SB3 clears the gradients just before its own backward pass adds to them, then clips their sum. So the gradient of a
    further loss goes in right after they were cleared: it is the gradient of the sum of the losses.
    """
    optimiser = model.policy.optimizer
    clear = type(optimiser).zero_grad

    def zero_grad(set_to_none: bool = True) -> None:
        clear(optimiser, set_to_none)
        batch = getattr(model.rollout_buffer, "batch", None)
        if batch is None:
            return
        further = loss(batch, model.policy.get_distribution(batch.observations))
        if further is not None:
            further.backward()
            model.logger.record("train/further_loss", further.item())

    optimiser.zero_grad = zero_grad  # type: ignore[method-assign]
