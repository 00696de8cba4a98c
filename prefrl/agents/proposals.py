"""Let a mechanism propose actions in place of the policy's, in rollouts and in `predict`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

Propose = Callable[[ActorCriticPolicy, Any], Tensor | None]


def let_propose(policy: ActorCriticPolicy, propose: Propose) -> None:
    """Let an SB3 policy take proposed actions (N, *act); where `propose` gives None, it takes its own.

    The update sees proposals as the policy's own: with the log-probability that they have under it.
    """
    plain: Any = type(policy)

    class Proposing(plain):
        def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
            actions, values, log_probability = super().forward(obs, deterministic)
            proposed = propose(self, obs)
            if proposed is None:
                return actions, values, log_probability
            return proposed, values, self.get_distribution(obs).log_prob(proposed)

        def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
            proposed = propose(self, observation)
            return super()._predict(observation, deterministic) if proposed is None else proposed

    Proposing.__name__ = plain.__name__
    policy.__class__ = Proposing
