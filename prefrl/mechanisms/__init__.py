"""Mechanisms: changes to policy learning beyond the learned reward, such as costs, losses and proposed actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from prefrl.config.settings import Config
from prefrl.config.values import with_settings
from prefrl.core.errors import UserError, pick
from prefrl.core.observations import Observations
from prefrl.mechanisms.base import Actor, Mechanism, PaidRollout
from prefrl.mechanisms.bounds import Bounds

MECHANISMS: dict[str, type[Mechanism]] = {"bounds": Bounds}
"""Name -> class. Its docstring's first line is shown by `prefrl list`."""


class Mechanisms(Mechanism):
    """Passes every hook on to each of several mechanisms, in their order."""

    def __init__(self, named: dict[str, Mechanism]):
        super().__init__()
        self.named = named

    def overriding(self, hook: str) -> list[Mechanism]:
        """The mechanisms that override a hook."""
        default = getattr(Mechanism, hook)
        return [m for m in self.named.values() if getattr(type(m), hook) is not default]

    def begin(self, agent: Actor) -> None:
        for mechanism in self.named.values():
            mechanism.begin(agent)

    def pay(self, rollout: PaidRollout, rewards: np.ndarray) -> np.ndarray:
        for mechanism in self.named.values():
            rewards = np.asarray(mechanism.pay(rollout, rewards))
            if rewards.shape != rollout.learned_rewards.shape:
                raise ValueError(
                    f"{type(mechanism).__name__}.pay gave shape {rewards.shape}; expected {rollout.learned_rewards.shape}"
                )
        return rewards

    def loss(self, batch: Any, distribution: Any) -> Tensor | None:
        """The sum of all further losses."""
        terms = [m.loss(batch, distribution) for m in self.overriding("loss")]
        losses = [loss for loss in terms if loss is not None]
        return sum(losses[1:], losses[0]) if losses else None

    def propose(self, policy: nn.Module, observations: Observations) -> Tensor | None:
        """The first proposal."""
        proposals = (m.propose(policy, observations) for m in self.overriding("propose"))
        return next((actions for actions in proposals if actions is not None), None)

    def after(self, rollout: PaidRollout, rewards: np.ndarray) -> None:
        for mechanism in self.named.values():
            mechanism.after(rollout, rewards)

    def tensors(self) -> dict[str, Tensor]:
        return {f"{name}.{key}": values for name, m in self.named.items() for key, values in m.tensors().items()}

    def state(self) -> dict[str, Any]:
        return {name: state for name, m in self.named.items() if (state := m.state())}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        for name, mechanism in self.named.items():
            own = {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}
            if own or name in state:
                mechanism.restore(own, state.get(name, {}))


def check_mechanisms(config: Config) -> None:
    """Raise UserError for a mechanism that does not exist, or for settings that it does not take."""
    for name, settings in config.mechanisms.items():
        with_settings(pick(MECHANISMS, name, "mechanism").Settings(), settings, f"mechanisms.{name}")


def make_mechanisms(config: Config, own: Sequence[Mechanism] = ()) -> Mechanisms:
    """The mechanisms that the settings name, then the user's own."""
    check_mechanisms(config)
    named = {name: made for name, kind in MECHANISMS.items() if (made := kind.make(name, config)) is not None}
    for mechanism in own:
        name = mechanism.name or type(mechanism).__name__
        if name in named:
            raise UserError(f"two mechanisms are called {name!r}; give one another name: class ...: name = '...'")
        named[name] = mechanism
    return Mechanisms(named)
