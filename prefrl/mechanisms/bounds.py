"""Actions sampled beyond the bounds of the action space cost reward: the environment clips them, so nothing else would."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from prefrl.config.settings import Config
from prefrl.mechanisms.base import Actor, Mechanism, PaidRollout


class Bounds(Mechanism):
    """An action half the action space's width beyond its bounds costs `agent.bounds`; twice as far, four times."""

    def __init__(self, cost: float):
        super().__init__()
        self.cost = cost

    @classmethod
    def make(cls, name: str, config: Config) -> Bounds | None:
        plain = config.reward.source == "true" and config.reward.raw  # as SB3 pays it
        cost = getattr(config.agent, "bounds", 0.0)
        return cls(cost) if cost and not plain else None

    def begin(self, agent: Actor) -> None:
        self.space = agent.action_space
        if getattr(agent.policy, "squash_output", False):  # squashed actions have bounds of their own
            self.cost = 0.0

    def pay(self, rollout: PaidRollout, rewards: np.ndarray) -> np.ndarray:
        if not self.cost or not np.ptp(rollout.learned_rewards) > 0:
            return rewards  # with constant rewards, this cost would be all that the policy learns from
        return rewards - self.cost * beyond_bounds(rollout.sampled_actions, self.space)


def beyond_bounds(actions: np.ndarray, space: spaces.Space) -> np.ndarray:
    """How far sampled actions lie outside a box, squared, in halves of its width: (..., d) -> (...). 0 without bounds.

    An environment clips them, so a Gaussian policy whose mean has run off no longer notices what it does.
    """
    if not isinstance(space, spaces.Box):
        return np.zeros(actions.shape[:-1])
    outside = np.maximum(0.0, np.maximum(space.low - actions, actions - space.high))
    return np.square(2.0 * outside / (space.high - space.low)).sum(-1)
