"""The inputs of a reward network: observations and executed actions as flat float features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.observations import flattened, mapped

Encode = Callable[[Any], np.ndarray]

MAX_FEATURES = 4096  # beyond this a flat MLP is the wrong network (images)


def encoder(space: spaces.Space, what: str) -> tuple[Encode, int]:
    """A function (N, *shape) -> (N, d) float32 for one space, and d. Box actions are scaled by their bounds to [-1, 1].

    The parts of a Dict are concatenated, in the order of their keys.
    """
    if isinstance(space, spaces.Dict):
        return _concatenated(space, what)
    if isinstance(space, spaces.Discrete):
        return (lambda x: np.eye(int(space.n), dtype=np.float32)[x.reshape(-1) - int(space.start)]), int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hots(space), int(space.nvec.sum())
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        size = int(np.prod(space.shape))
        if size > MAX_FEATURES:
            raise UserError(
                f"the {what} space {space.shape} of {space.dtype} has {size} numbers; the reward MLP takes at most"
                f" {MAX_FEATURES}. Leave this input out with --reward.inputs, or wrap the environment to show less; pictures"
                " are uint8 from 0 to 255, and take --reward.network cnn"
            )
        if what == "action" and isinstance(space, spaces.Box) and space.is_bounded():
            centre, half = (space.high + space.low) / 2, np.maximum((space.high - space.low) / 2, 1e-8)
            return (lambda x: ((x - centre) / half).reshape(len(x), -1).astype(np.float32)), size
        return (lambda x: x.reshape(len(x), -1).astype(np.float32)), size
    raise UserError(
        f"the {what} space {space} cannot be encoded; prefrl takes Box, Discrete, MultiDiscrete, MultiBinary"
    )


def _concatenated(space: spaces.Dict, what: str) -> tuple[Encode, int]:
    each = {key: encoder(space.spaces[key], f"{what} {key!r}") for key in sorted(space.spaces)}
    size = sum(part for _, part in each.values())
    if size > MAX_FEATURES:
        raise UserError(
            f"the {what}'s parts {', '.join(each)} have {size} numbers; the reward MLP takes at most {MAX_FEATURES}."
            " Leave them out with --reward.inputs, or wrap the environment to show less"
        )
    return (lambda x: np.concatenate([encode(x[key]) for key, (encode, _) in each.items()], axis=1)), size


def _one_hots(space: spaces.MultiDiscrete) -> Encode:
    sizes = space.nvec.reshape(-1)
    return lambda x: np.concatenate(
        [np.eye(int(n), dtype=np.float32)[column] for n, column in zip(sizes, x.reshape(len(x), -1).T, strict=True)],
        axis=1,
    )


INPUTS: dict[str, tuple[str, ...]] = {
    "all": ("observation", "change", "action"),
    "transition": ("observation", "change"),
    "observation": ("observation",),
    "both": ("observation", "action"),
    "action": ("action",),
}
"""What a reward may depend on. `change` is the next observation minus this one: what the action did, as a person sees it."""


class Features:
    """Turns steps into feature vectors for the reward network: the parts that `inputs` names."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space, inputs: str = "all"):
        self.parts = pick(INPUTS, inputs, "reward input")
        if "action" in self.parts:
            self._action, action_size = encoder(action_space, "action")
        if self.parts != ("action",):
            self._observation, observation_size = encoder(observation_space, "observation")
        sizes = [action_size if part == "action" else observation_size for part in self.parts]
        self.size = sum(sizes)
        slides = isinstance(action_space, spaces.Box)
        kinds = {"observation": "state", "change": "change", "action": "push" if slides else "choice"}
        self.kinds = np.repeat([kinds[part] for part in self.parts], sizes)  # (size,) by which features are weighted

    block = 1_000_000  # segments per forward pass: all of them

    def of_steps(self, rollout: Any) -> Tensor:
        """Batch shape (n, n_envs) -> (n, n_envs, size)"""
        return self._tensor(rollout.observations, rollout.actions, rollout.next_observations)

    def of_segments(self, segments: Segments) -> Tensor:
        """Batch shape (N,) -> (N, T, size)"""
        observations = mapped(np.asarray, segments.observations)
        before, after = mapped(lambda part: part[:, :-1], observations), mapped(lambda part: part[:, 1:], observations)
        return self._tensor(before, segments.actions, after)

    def numbers(self, features: Tensor) -> Tensor:
        """The features that are standardised: all of them."""
        return features

    def _tensor(self, observations: Any, actions: np.ndarray, following: Any) -> Tensor:
        """Leading axes (A, B) of all three -> (A, B, size)"""
        lead = actions.shape[:2]
        flat = (mapped(lambda part: flattened(part, 2), array) for array in (observations, actions, following))
        return torch.from_numpy(self(*flat)).reshape(*lead, -1)

    def __call__(self, observations: Any, actions: np.ndarray, next_observations: Any) -> np.ndarray:
        """(N, *obs), (N, *act), (N, *obs) -> (N, size) float32"""
        each = {"action": self._action(actions)} if "action" in self.parts else {}
        if self.parts != ("action",):
            each["observation"] = self._observation(observations)
        if "change" in self.parts:
            each["change"] = self._observation(next_observations) - each["observation"]
        return np.concatenate([each[part] for part in self.parts], axis=1)
