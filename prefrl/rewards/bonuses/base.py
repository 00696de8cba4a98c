"""What a bonus is: something paid beside the learned reward, to make the agent explore."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from prefrl.rewards.base import Reward, Steps


class Bonus:
    """One bonus of a run. A subclass says what it pays; one that remembers something says that to checkpoints, too."""

    def of(self, rollout: Steps, reward: Reward) -> np.ndarray:
        """What each step earns beside its reward, before it is weighted: (n, n_envs)"""
        raise NotImplementedError

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {}

    def state(self) -> dict[str, Any]:
        """The rest of it, as JSON."""
        return {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Take up what `tensors` and `state` gave."""
