"""The inputs of a reward network: observations and executed actions as float features, or stacks of frames as bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.observations import PLAIN, Observations, flattened, mapped, parts
from prefrl.rewards.base import Steps

Encode = Callable[[Observations], np.ndarray]

MAX_FEATURES = 4096  # beyond this a flat MLP is the wrong network (images)


def is_image(space: spaces.Space) -> bool:
    """Whether a space is that of pictures for convolutions: bytes from 0 to 255 along three axes."""
    bytes_ = isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
    return bytes_ and bool(np.all(space.low == 0) and np.all(space.high == 255))  # type: ignore[attr-defined]


def pictures_in(space: spaces.Space) -> dict[str, spaces.Space]:
    """Those parts of an observation space that are pictures, by key."""
    return {key: part for key, part in parts(getattr(space, "spaces", space)).items() if is_image(part)}


def encoder(space: spaces.Space, what: str) -> tuple[Encode, int]:
    """A function (N, *shape) -> (N, d) float32 for one space, and d. Box actions are scaled by their bounds to [-1, 1].

    The parts of a Dict are concatenated, in the order of their keys.
    """
    if isinstance(space, spaces.Dict):
        each = {key: encoder(space.spaces[key], f"{what} {key!r}") for key in sorted(space.spaces)}
        size = sum(part for _, part in each.values())
        _require_few(size, f"the {what}'s parts {', '.join(each)} have", "")
        return (lambda x: np.concatenate([encode(x[key]) for key, (encode, _) in each.items()], axis=1)), size
    if isinstance(space, spaces.Discrete):
        return _one_hots([int(space.n)], [int(space.start)])
    if isinstance(space, spaces.MultiDiscrete):
        return _one_hots(space.nvec.ravel().tolist(), space.start.ravel().tolist())
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        size = int(np.prod(space.shape))
        hint = "; pictures are uint8 from 0 to 255, and take --reward.network cnn"
        _require_few(size, f"the {what} space {space.shape} of {space.dtype} has", hint)
        if what == "action" and isinstance(space, spaces.Box) and space.is_bounded():
            centre, half = (space.high + space.low) / 2, np.maximum((space.high - space.low) / 2, 1e-8)
            return (lambda x: ((x - centre) / half).reshape(len(x), -1).astype(np.float32)), size
        return (lambda x: x.reshape(len(x), -1).astype(np.float32)), size
    raise UserError(
        f"the {what} space {space} cannot be encoded; prefrl takes Box, Discrete, MultiDiscrete, MultiBinary"
    )


def _require_few(size: int, subject: str, hint: str) -> None:
    if size > MAX_FEATURES:
        raise UserError(
            f"{subject} {size} numbers; the reward MLP takes at most {MAX_FEATURES}. Leave this input out with"
            f" --reward.inputs, or wrap the environment to show less{hint}"
        )


def _one_hots(sizes: Sequence[int], starts: Sequence[int]) -> tuple[Encode, int]:
    def encode(x: np.ndarray) -> np.ndarray:
        columns = zip(sizes, starts, x.reshape(len(x), -1).T, strict=True)
        return np.concatenate(
            [np.eye(size, dtype=np.float32)[column - start] for size, start, column in columns], axis=1
        )

    return encode, sum(sizes)


INPUTS: dict[str, tuple[str, ...]] = {
    "all": ("observation", "change", "action"),
    "transition": ("observation", "change"),
    "observation": ("observation",),
    "both": ("observation", "action"),
    "action": ("action",),
}
"""What a reward may depend on. `change` is the next observation minus this one: what the action did, as a person sees it."""


class Inputs:
    """Turns steps into the inputs of a reward network: numbers, pictures, or both in one row of bytes."""

    size: int | tuple[int, ...]  # what a network is made for: the number of features, or the shape of a step's input
    feature_kinds = np.zeros(0, str)  # (d,) of the numbers, by which they are weighted
    block = 32  # segments per forward pass
    pictures: Mapping[str, Pictures] = {}  # by part of the observation

    def of_steps(self, rollout: Steps) -> Tensor:
        """Batch shape (n, n_envs) -> (n, n_envs, *features)"""
        before, after = parts(rollout.observations), parts(rollout.next_observations)
        pictures = [picture.of_arrays(before[key], after[key]) for key, picture in self.pictures.items()]
        return self.joined(self.numbers_of_steps(rollout), pictures)

    def of_segments(self, segments: Segments) -> Tensor:
        """Batch shape (N,) -> (N, T, *features)"""
        observed = parts(segments.observations)
        pictures = [
            picture.stacks(torch.from_numpy(np.asarray(observed[key])), segments.history_of(observed[key]))
            for key, picture in self.pictures.items()
        ]
        return self.joined(self.numbers_of_segments(segments), pictures)

    def numbers_of_steps(self, rollout: Steps) -> Tensor:
        """Only the numbers, which are standardised: (n, n_envs) -> (n, n_envs, d)"""
        return torch.zeros(*rollout.actions.shape[:2], 0)

    def numbers_of_segments(self, segments: Segments) -> Tensor:
        """Only the numbers: (N,) -> (N, T, d)"""
        return torch.zeros(*segments.true_rewards.shape, 0)

    def joined(self, numbers: Tensor, pictures: Sequence[Tensor]) -> Tensor:
        """The inputs, of numbers (..., d) and bytes (..., C, H, W) of each picture: (..., *features)"""
        return pictures[0] if pictures else numbers


class Features(Inputs):
    """Turns steps into feature vectors for the reward network: the parts that `inputs` names."""

    block = 1_000_000  # all of them

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
        self.feature_kinds = np.repeat([kinds[part] for part in self.parts], sizes)

    def numbers_of_steps(self, rollout: Steps) -> Tensor:
        return self._tensor(rollout.observations, rollout.actions, rollout.next_observations)

    def numbers_of_segments(self, segments: Segments) -> Tensor:
        observations = mapped(np.asarray, segments.observations)
        before, after = mapped(lambda part: part[:, :-1], observations), mapped(lambda part: part[:, 1:], observations)
        return self._tensor(before, segments.actions, after)

    def _tensor(self, observations: Observations, actions: np.ndarray, following: Observations) -> Tensor:
        """Leading axes (A, B) of all three -> (A, B, size)"""
        lead = actions.shape[:2]
        flat = (mapped(lambda part: flattened(part, 2), array) for array in (observations, actions, following))
        return torch.from_numpy(self(*flat)).reshape(*lead, -1)

    def __call__(self, observations: Observations, actions: np.ndarray, next_observations: Observations) -> np.ndarray:
        """(N, *obs), (N, *act), (N, *obs) -> (N, size) float32"""
        each = {"action": self._action(actions)} if "action" in self.parts else {}
        if self.parts != ("action",):
            each["observation"] = self._observation(observations)
        if "change" in self.parts:
            each["change"] = self._observation(next_observations) - each["observation"]
        return np.concatenate([each[part] for part in self.parts], axis=1)


class Pictures(Inputs):
    """Turns steps into the frame stack after each step, which shows what the action changed.

    With inputs "observation" it is the picture before the step, as in Christiano et al. 2017, appendix A.2.
    """

    size: tuple[int, ...]  # (C, H, W)

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space, inputs: str = "all"):
        chosen = pick(INPUTS, inputs, "reward input")
        if not is_image(observation_space):
            raise UserError(
                f"a convolutional reward network takes uint8 pictures (C, H, W) or (H, W, C) from 0 to 255, and"
                f" observations are {observation_space}; choose --reward.network mlp"
            )
        if "observation" not in chosen:
            raise UserError(f"reward.inputs={inputs!r} leaves out the picture; choose all or observation")
        self.after = "change" in chosen
        shape = tuple(observation_space.shape or ())
        self.channels_last = int(np.argmin(shape)) != 0  # as Stable-Baselines3 decides it
        self.size = (shape[2], *shape[:2]) if self.channels_last else shape
        self.pictures = {PLAIN: self}

    def of_arrays(self, before: np.ndarray, after: np.ndarray) -> Tensor:
        """Pictures before and after steps (..., *obs) -> (..., C, H, W) uint8"""
        return self._channels_first(torch.from_numpy(after if self.after else before))

    def stacks(self, frames: Tensor, history: int) -> Tensor:
        """Frames (..., history + T + 1, *frame) -> each step's input, a view: (..., T, C, H, W)"""
        if not history:
            stacks = self._channels_first(frames)
        else:  # the channels of a frame are followed in memory by those of the next
            frames, time = frames.contiguous(), frames.ndim - 4
            size = list(frames.shape)
            size[time] -= history
            size[time + 1] *= history + 1
            stacks = frames.as_strided(size, frames.stride())
        steps = stacks.shape[-4] - 1
        return stacks.narrow(-4, 1 if self.after else 0, steps)

    def _channels_first(self, pictures: Tensor) -> Tensor:
        return pictures.movedim(-1, -3) if self.channels_last else pictures
