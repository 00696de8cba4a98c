"""A rollout: consecutive steps of all environments, as agents learn from them and reward models rate them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import itemgetter

import numpy as np

from prefrl.core.observations import Observations, mapped


@dataclass(frozen=True)
class Rollout:
    """The last n steps of all environments: batch shape (n, n_envs)."""

    observations: Observations  # (n, n_envs, *obs), or a dict of such arrays
    actions: np.ndarray  # (n, n_envs, *act) as executed
    next_observations: Observations  # of the same shapes: the true successor, also at an episode's end
    true_rewards: np.ndarray  # (n, n_envs)
    finished: np.ndarray  # (n, n_envs) whether a whole episode ended with the step, one that was not cut short
    begins: np.ndarray  # (n, n_envs) whether an episode, or the buffer, begins with the step
    earlier: Rollout | None = None  # the steps just before these, for networks of sequences

    def __getitem__(self, steps: slice) -> Rollout:
        arrays = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "earlier"}
        return Rollout(**{name: mapped(itemgetter(steps), array) for name, array in arrays.items()})
