"""A mechanism: something done to the policy beside paying it the learned reward. One file each, and one line in MECHANISMS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from gymnasium import spaces
from torch import Tensor, nn

from prefrl.config.settings import Config
from prefrl.config.values import with_settings


class Actor(Protocol):
    """The side of an agent that mechanisms see."""

    @property
    def action_space(self) -> spaces.Space: ...

    @property
    def observation_space(self) -> spaces.Space: ...

    @property
    def step(self) -> int: ...

    @property
    def policy(self) -> nn.Module: ...


class Rollout(Protocol):
    """What the agent did since its last update, batch shape (n, n_envs)."""

    @property
    def observations(self) -> np.ndarray: ...
    @property
    def actions(self) -> np.ndarray: ...  # as the environments executed them
    @property
    def next_observations(self) -> np.ndarray: ...
    @property
    def finished(self) -> np.ndarray: ...  # whether a whole episode ended with the step
    @property
    def sampled_actions(
        self,
    ) -> np.ndarray: ...  # as the policy gave them: a Gaussian policy's may lie beyond the bounds
    @property
    def learned_rewards(self) -> np.ndarray: ...  # of the reward model


class Mechanism:
    """Does nothing. A mechanism overrides the hooks that it needs; what it does not override costs nothing.

    Randomness comes from torch's global generator, which agents seed anew at each checkpoint.
    """

    @dataclass
    class Settings:
        """What `mechanisms: {NAME: {...}}` may say."""

    name: ClassVar[str] = ""  # in checkpoints, of mechanisms that are brought along as objects; empty: the class's

    def __init__(self, settings: Any = None):
        self.settings = settings

    @classmethod
    def make(cls, name: str, config: Config) -> Mechanism | None:
        """From the settings of a run; None where they do not ask for it."""
        given = config.mechanisms.get(name)
        return None if given is None else cls(with_settings(cls.Settings(), given, f"mechanisms.{name}"))

    def begin(self, agent: Actor) -> None:
        """The agent has just been made; a checkpoint is restored after this."""

    def pay(self, rollout: Rollout, rewards: np.ndarray) -> np.ndarray:
        """The rewards (n, n_envs) that the agent improves on. Given: learned ones, and bootstraps at time limits."""
        return rewards

    def loss(self, batch: Any, distribution: Any) -> Tensor | None:
        """A further loss of a minibatch in the policy's update: SB3's samples, and its distribution of actions there."""
        return None

    def propose(self, policy: nn.Module, observations: Any) -> Tensor | None:
        """Actions (N, *act) in place of the policy's own, while it acts and in `predict`; None leaves them as they are."""
        return None

    def after(self, rollout: Rollout, rewards: np.ndarray) -> None:
        """The policy was improved on this rollout, with these rewards (n, n_envs)."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def state(self) -> dict[str, Any]:
        """The rest of it, as JSON."""
        return {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take up what `tensors` and `state` gave."""
