"""SB3's MLP actor-critic policy evaluated and differentiated in numpy, several times faster than torch on small layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn

from prefrl.core.numpy_layers import Array, Gradients, Layers, activation_of, is_plain

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class ActionDistribution(Protocol):
    """The distribution of actions, given the last layer's outputs (N, out). Actions are float (N, d)."""

    def sample(self, outputs: Array) -> tuple[Array, Array]:
        """Actions, and their log-probabilities (N,)."""
        ...

    def log_prob(self, outputs: Array, actions: Array) -> Array:
        """(N,)"""
        ...

    def entropy(self) -> float:
        """The mean over the outputs of the last `log_prob`."""
        ...

    def backward(self, of_log_prob: Array, of_entropy: float) -> Array:
        """Gradient of the outputs (N, out), given those of each log-probability (N,) and of the mean entropy."""
        ...


class Gaussian:
    """Independent normal distributions; outputs are the means, the standard deviations do not depend on observations."""

    def __init__(self, log_std: nn.Parameter, gradients: Gradients | None):
        self.log_std = log_std.detach().numpy()
        self.gradient = gradients.of(log_std) if gradients else None

    def sample(self, outputs: Array) -> tuple[Array, Array]:
        noise = np.random.standard_normal(outputs.shape).astype(np.float32)
        return outputs + np.exp(self.log_std) * noise, self._log_density(noise)

    def log_prob(self, outputs: Array, actions: Array) -> Array:
        self.inverse = np.exp(-self.log_std)
        self.deviation = (actions - outputs) * self.inverse  # in standard deviations
        return self._log_density(self.deviation)

    def _log_density(self, deviation: Array) -> Array:
        constant = np.float32(len(self.log_std) * HALF_LOG_2PI) + self.log_std.sum()
        return np.float32(-0.5) * np.einsum("nd,nd->n", deviation, deviation) - constant

    def entropy(self) -> float:
        return float(self.log_std.sum() + len(self.log_std) * (0.5 + HALF_LOG_2PI))

    def backward(self, of_log_prob: Array, of_entropy: float) -> Array:
        assert self.gradient is not None
        weighted = self.deviation * of_log_prob[:, None]
        np.einsum("nd,nd->d", weighted, self.deviation, out=self.gradient)
        self.gradient += np.float32(of_entropy) - of_log_prob.sum()
        weighted *= self.inverse
        return weighted


class Categorical:
    """One choice or several independent ones (MultiDiscrete); outputs are all their logits side by side."""

    def __init__(self, choices: Sequence[int]):
        ends = np.cumsum(choices)
        self.parts = [slice(end - n, end) for n, end in zip(choices, ends, strict=True)]

    def _log_probabilities(self, outputs: Array) -> Array:
        logs = np.empty_like(outputs)
        for part in self.parts:
            shifted = outputs[:, part] - outputs[:, part].max(1, keepdims=True)
            logs[:, part] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return logs

    def sample(self, outputs: Array) -> tuple[Array, Array]:
        """By Gumbel's maximum: argmax(log p - log E) with E exponential."""
        perturbed = outputs - np.log(np.random.standard_exponential(outputs.shape))
        actions = np.stack([perturbed[:, part].argmax(1) for part in self.parts], 1).astype(np.float32)
        return actions, self.log_prob(outputs, actions)

    def log_prob(self, outputs: Array, actions: Array) -> Array:
        self.logs = self._log_probabilities(outputs)
        self.probabilities = np.exp(self.logs)
        self.rows = np.arange(len(outputs))
        self.chosen = [actions[:, k].astype(np.intp) + part.start for k, part in enumerate(self.parts)]
        return np.add.reduce([self.logs[self.rows, chosen] for chosen in self.chosen], 0)

    def entropy(self) -> float:
        return float(-(self.probabilities * self.logs).sum(1).mean())

    def backward(self, of_log_prob: Array, of_entropy: float) -> Array:
        gradient = self.probabilities * -of_log_prob[:, None]
        for chosen in self.chosen:
            gradient[self.rows, chosen] += of_log_prob
        if of_entropy:  # dH/dlogit = -p (log p + H), of each choice
            scale = np.float32(of_entropy / len(self.logs))
            for part in self.parts:
                p, logs = self.probabilities[:, part], self.logs[:, part]
                gradient[:, part] -= scale * p * (logs - (p * logs).sum(1, keepdims=True))
        return gradient


class NumpyPolicy:
    """An SB3 MLP policy in numpy, on the policy's own parameters: forward as SB3 does, and gradients by hand.

    Rebuild it after the policy's parameters were replaced by other tensors; values copied into them are seen at once.
    """

    def __init__(self, policy: ActorCriticPolicy, learns: bool = True):
        """learns: makes the gradients, which torch's parameters share as their `.grad`"""
        self.policy = policy
        gradients = Gradients(policy) if learns else None
        activation = activation_of(policy.activation_fn())
        assert activation is not None
        self.actor, self.critic = (
            Layers(linears := _linears(hidden, last), [activation] * (len(linears) - 1), gradients)
            for hidden, last in (
                (policy.mlp_extractor.policy_net, cast(nn.Linear, policy.action_net)),
                (policy.mlp_extractor.value_net, policy.value_net),
            )
        )
        space, self.distribution = policy.action_space, cast(ActionDistribution, None)
        if isinstance(space, spaces.Box):
            self.distribution = Gaussian(policy.log_std, gradients)
        else:
            choices = space.nvec if isinstance(space, spaces.MultiDiscrete) else cast(spaces.Discrete, space).n
            self.distribution = Categorical(np.ravel(choices).tolist())
        self.action_type = np.float32 if isinstance(space, spaces.Box) else np.int64
        if gradients:
            self.gradients = gradients
            gradients.share()

    @staticmethod
    def fits(policy: object) -> bool:
        """Whether the policy is one of SB3's MLP policies on vectors that this class knows, on the CPU."""
        if type(policy) is not ActorCriticPolicy or policy.device.type != "cpu":
            return False
        known = (DiagGaussianDistribution, CategoricalDistribution, MultiCategoricalDistribution)
        space = policy.observation_space
        return (
            type(policy.action_dist) in known
            and policy.activation_fn in (nn.Tanh, nn.ReLU)
            and all(map(is_plain, (policy.mlp_extractor, policy.action_net, policy.value_net)))
            and policy.features_extractor_class is FlattenExtractor
            and isinstance(space, spaces.Box)
            and not (policy.normalize_images and is_image_space(space))
            and not (isinstance(policy.action_space, spaces.MultiDiscrete) and policy.action_space.nvec.ndim > 1)
            and all(each.dtype is torch.float32 and each.requires_grad for each in policy.parameters())
        )

    def features(self, observations: torch.Tensor) -> Array:
        """(N, *shape) -> (N, features)"""
        x = observations.numpy()
        return x.reshape(len(x), -1).astype(np.float32, copy=False)

    def act(self, obs: torch.Tensor, deterministic: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sampled actions (N, *act), values (N, 1) and log-probabilities (N,), as ActorCriticPolicy.forward in a rollout."""
        assert not deterministic, "rollouts sample"
        x = self.features(obs)
        actions, chances = self.distribution.sample(self.actor(x))
        shaped = actions.reshape(len(x), *self.policy.action_space.shape).astype(self.action_type, copy=False)  # type: ignore[misc]
        return torch.from_numpy(shaped), torch.from_numpy(self.critic(x)), torch.from_numpy(chances)

    def value(self, obs: PyTorchObs) -> torch.Tensor:
        """(N, 1), as ActorCriticPolicy.predict_values."""
        return torch.from_numpy(self.critic(self.features(cast(torch.Tensor, obs))))


def _linears(hidden: nn.Module, last: nn.Linear) -> list[nn.Linear]:
    return [*(module for module in hidden if isinstance(module, nn.Linear)), last]  # type: ignore[attr-defined]
