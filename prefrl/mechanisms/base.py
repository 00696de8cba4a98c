"""The interface of mechanisms, which change policy learning beyond the learned reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from gymnasium import spaces
from torch import Tensor, nn

from prefrl.config.settings import Config
from prefrl.config.values import with_settings
from prefrl.core.observations import Observations
from prefrl.core.rollout import Rollout


class Actor(Protocol):
    """The part of an agent's interface that mechanisms use."""

    @property
    def action_space(self) -> spaces.Space: ...

    @property
    def step(self) -> int: ...

    @property
    def policy(self) -> nn.Module: ...


@dataclass(frozen=True, kw_only=True)
class PaidRollout(Rollout):
    """The agent's steps since its last update, with learned rewards. Mechanisms leave the true rewards alone."""

    sampled_actions: np.ndarray  # (n, n_envs, *act) as the policy gave them: a Gaussian policy's may exceed the bounds
    learned_rewards: np.ndarray  # (n, n_envs) of the reward model


class Mechanism:
    """Base class whose hooks do nothing. A mechanism overrides those that it needs; the others cost nothing.

    Randomness comes from torch's global generator, which agents seed anew at each checkpoint.
    """

    @dataclass
    class Settings:
        """What `mechanisms: {NAME: {...}}` may say."""

    name: ClassVar[str] = ""  # in checkpoints, of mechanisms that are given as objects; empty: the class's name

    def __init__(self, settings: Any = None):
        self.settings = settings

    @classmethod
    def make(cls, name: str, config: Config) -> Mechanism | None:
        """Make the mechanism from a run's settings; None where they do not name it."""
        settings = config.mechanisms.get(name)
        return None if settings is None else cls(with_settings(cls.Settings(), settings, f"mechanisms.{name}"))

    def begin(self, agent: Actor) -> None:
        """The agent has just been made; a checkpoint is restored after this."""

    def pay(self, rollout: PaidRollout, rewards: np.ndarray) -> np.ndarray:
        """The rewards (n, n_envs) that the agent improves on. Given: learned ones, and bootstraps at time limits."""
        return rewards

    def loss(self, batch: Any, distribution: Any) -> Tensor | None:
        """A further loss of a minibatch in the policy's update: SB3's samples, and its distribution of actions there."""
        return None

    def propose(self, policy: nn.Module, observations: Observations) -> Tensor | None:
        """Actions (N, *act) in place of the policy's own, while it acts and in `predict`; None leaves them as they are."""
        return None

    def after(self, rollout: PaidRollout, rewards: np.ndarray) -> None:
        """The policy was improved on this rollout, with these rewards (n, n_envs)."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps, as JSON."""
        return {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
