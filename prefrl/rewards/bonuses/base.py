"""The interface of bonuses, which are added to the learned reward to make the agent explore."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from prefrl.rewards.base import Reward, Steps


class Bonus:
    """A bonus. A subclass defines what it pays and, if it has state, what a checkpoint keeps."""

    def of(self, rollout: Steps, reward: Reward) -> np.ndarray:
        """The bonus of each step, before it is weighted: (n, n_envs)"""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps, as JSON."""
        return {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned."""
