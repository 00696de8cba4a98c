"""The inputs of a convolutional reward network: stacks of frames, as bytes until a network scales them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.errors import UserError, pick
from prefrl.core.observations import parts
from prefrl.rewards.encoding import INPUTS


def is_image(space: spaces.Space) -> bool:
    """Whether a space is that of pictures for convolutions: bytes from 0 to 255 along three axes."""
    bytes_ = isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3
    return bytes_ and bool(np.all(space.low == 0) and np.all(space.high == 255))  # type: ignore[attr-defined]


def pictures_in(space: spaces.Space) -> dict[str, spaces.Space]:
    """Those parts of an observation space that are pictures, by key."""
    return {key: part for key, part in parts(getattr(space, "spaces", space)).items() if is_image(part)}


class Pictures:
    """Turns steps into the frame stack after each step, which shows what the action changed.

    With inputs "observation" it is the picture before the step, as in Christiano et al. 2017, appendix A.2.
    """

    block = 32  # segments per forward pass
    kinds = np.zeros(0, str)  # pictures are not standardised feature by feature

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
        self.shape = (shape[2], *shape[:2]) if self.channels_last else shape
        self.size = self.shape  # what a network is made for

    def of_steps(self, rollout: Any) -> Tensor:
        """Batch shape (n, n_envs) -> (n, n_envs, C, H, W) uint8"""
        return self._channels_first(torch.from_numpy(rollout.next_observations if self.after else rollout.observations))

    def of_segments(self, segments: Segments) -> Tensor:
        """Batch shape (N,) -> (N, T, C, H, W) uint8"""
        return self.stacks(torch.from_numpy(np.asarray(segments.observations)), segments.history)

    def numbers(self, features: Tensor) -> Tensor:
        """The features that would be standardised."""
        return features

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
