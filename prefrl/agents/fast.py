"""PPO and A2C of Stable-Baselines3 with rollouts and gradients in numpy where the policy is an MLP on vectors.

The models stay SB3's: policy, buffers, callbacks, schedules, optimiser, logged names, `save` and `load`. Only how the policy
is evaluated in rollouts and how the losses are differentiated is replaced; weights differ from SB3's by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import RolloutBufferSamples
from stable_baselines3.common.utils import explained_variance

from prefrl.agents.numpy_policy import NumpyPolicy
from prefrl.core.numpy_adam import NumpyAdam
from prefrl.core.numpy_layers import Array


class Fast(OnPolicyAlgorithm):
    """An SB3 on-policy model that evaluates its policy in numpy. Mixed into PPO and A2C."""

    @property
    def is_fast(self) -> bool:
        """Whether policy and buffer are such that numpy is used; SB3's own code runs otherwise."""
        return not self.use_sde and isinstance(self.rollout_buffer, RolloutBuffer) and NumpyPolicy.fits(self.policy)

    def collect_rollouts(self, *args: Any, **kwargs: Any) -> bool:
        if not self.is_fast:
            return super().collect_rollouts(*args, **kwargs)
        with _evaluated_by(NumpyPolicy(self.policy, learns=False)):
            return super().collect_rollouts(*args, **kwargs)

    def _minibatches(self, network: NumpyPolicy, size: int | None) -> Iterator[Minibatch]:
        for samples in self.rollout_buffer.get(size):
            yield Minibatch(network, samples, self.normalize_advantage)  # type: ignore[attr-defined]

    def _differentiate(self, batch: Minibatch, of_log_prob: Array, of_values: Array) -> None:
        """The policy's gradients, given the loss's gradients of log-probabilities (N,) and values (N,)."""
        network, gradients, optimiser = batch.network, batch.network.gradients, self.policy.optimizer
        further = None
        if "zero_grad" in vars(optimiser):  # a mechanism's further loss is differentiated there, by torch
            optimiser.zero_grad(set_to_none=False)
            further = gradients.flat.copy()
        network.actor.backward(network.distribution.backward(of_log_prob, -self.ent_coef))
        network.critic.backward((np.float32(self.vf_coef) * of_values)[:, None])
        if further is not None:
            gradients.flat += further
        gradients.clip(self.max_grad_norm)

    def _log(self, **values: Any) -> None:
        variance = explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten())
        self.logger.record("train/explained_variance", variance)
        for name, value in values.items():
            self.logger.record(f"train/{name}", value)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", torch.exp(self.policy.log_std).mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")


class Minibatch:
    """Samples of a rollout buffer, and the network's log-probabilities and values of them."""

    def __init__(self, network: NumpyPolicy, samples: RolloutBufferSamples, normalise: bool):
        self.network = network
        x = network.features(samples.observations)
        self.log_prob = network.distribution.log_prob(network.actor(x), samples.actions.numpy())
        self.values = network.critic(x)[:, 0]
        self.advantages = samples.advantages.numpy()
        if normalise and len(self.advantages) > 1:
            spread = self.advantages.std(ddof=1) + 1e-8
            self.advantages = (self.advantages - self.advantages.mean()) / spread
        self.old_log_prob, self.old_values = samples.old_log_prob.numpy(), samples.old_values.numpy()
        self.returns, self.n = samples.returns.numpy(), len(x)

    def value_loss(self, clip: float | None = None) -> tuple[float, Array]:
        """Mean squared error to the returns, and its gradient of the values (N,). clip: of the change of a value"""
        predicted, inside = self.values, None
        if clip is not None:
            change = self.values - self.old_values
            predicted, inside = self.old_values + np.clip(change, -clip, clip), np.abs(change) <= clip
        error = predicted - self.returns
        gradient = error * np.float32(2.0 / self.n)
        return float(error @ error) / self.n, gradient if inside is None else gradient * inside

    def surrogate(self, clip: float) -> tuple[float, Array, Array]:
        """PPO's clipped loss, its gradient of the log-probabilities (N,), and the ratios of probabilities (N,)."""
        ratio = np.exp(self.log_prob - self.old_log_prob)
        free = self.advantages * ratio
        bounded = self.advantages * np.clip(ratio, 1 - clip, 1 + clip)
        gradient = free * (free <= bounded) * np.float32(-1.0 / self.n)  # where they are equal, so are their gradients
        return -float(np.minimum(free, bounded).mean()), gradient, ratio


class FastPPO(Fast, PPO):
    """PPO whose MLP policy is evaluated and differentiated in numpy. PPO.load opens what it saves."""

    def train(self) -> None:
        if not self.is_fast:
            return super().train()
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        clip_vf = self.clip_range_vf and self.clip_range_vf(self._current_progress_remaining)  # type: ignore[operator]
        network = NumpyPolicy(self.policy)
        adam = NumpyAdam(self.policy.optimizer, network.gradients) if NumpyAdam.fits(self.policy.optimizer) else None
        step = adam.step if adam else self.policy.optimizer.step
        rows: list[tuple[float, ...]] = []
        try:
            for epoch in range(self.n_epochs):
                first = len(rows)
                rows += self._epoch(network, step, clip, clip_vf)
                self._n_updates += 1
                if self.target_kl is not None and rows[-1][4] > 1.5 * self.target_kl:
                    if self.verbose >= 1:
                        print(f"Early stopping at step {epoch} due to reaching max kl: {rows[-1][4]:.2f}")
                    break
        finally:
            if adam:
                adam.close()
        policy, value, entropy, clipped, _ = np.mean(rows, 0)
        last = rows[-1]
        self._log(
            entropy_loss=entropy, policy_gradient_loss=policy, value_loss=value, clip_fraction=clipped,
            approx_kl=np.mean([row[4] for row in rows[first:]]),
            loss=last[0] + self.ent_coef * last[2] + self.vf_coef * last[1], clip_range=clip,
        )  # fmt: skip
        if self.clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_vf)

    def _epoch(
        self, network: NumpyPolicy, step: Callable[[], Any], clip: float, clip_vf: float | None
    ) -> Iterator[tuple[float, ...]]:
        """One pass over the rollout. Per minibatch: losses of policy, value and entropy, share clipped, KL divergence."""
        for batch in self._minibatches(network, self.batch_size):
            policy_loss, of_log_prob, ratio = batch.surrogate(clip)
            value_loss, of_values = batch.value_loss(clip_vf)
            kl = float(((ratio - 1) - (batch.log_prob - batch.old_log_prob)).mean())
            clipped = float((np.abs(ratio - 1) > clip).mean())
            yield policy_loss, value_loss, -network.distribution.entropy(), clipped, kl
            if self.target_kl is not None and kl > 1.5 * self.target_kl:
                return
            self._differentiate(batch, of_log_prob, of_values)
            step()


class FastA2C(Fast, A2C):
    """A2C whose MLP policy is evaluated and differentiated in numpy. A2C.load opens what it saves."""

    def train(self) -> None:
        if not self.is_fast:
            return super().train()
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        [batch] = self._minibatches(NumpyPolicy(self.policy), None)
        value_loss, of_values = batch.value_loss()
        entropy = batch.network.distribution.entropy()
        self._differentiate(batch, batch.advantages * np.float32(-1.0 / batch.n), of_values)
        self.policy.optimizer.step()
        self._n_updates += 1
        policy_loss = -float((batch.advantages * batch.log_prob).mean())
        self._log(entropy_loss=-entropy, policy_loss=policy_loss, value_loss=value_loss)


@contextmanager
def _evaluated_by(network: NumpyPolicy) -> Iterator[None]:
    """Within, the policy's rollout actions and values are computed by numpy."""
    policy = network.policy
    policy.forward = network.act  # type: ignore[method-assign]
    policy.predict_values = network.value  # type: ignore[method-assign]
    try:
        yield
    finally:
        del policy.forward, policy.predict_values
