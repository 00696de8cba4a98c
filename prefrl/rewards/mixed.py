"""Rewards of Dict observations with pictures: the networks' inputs, and the ensemble that takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from gymnasium import spaces
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.errors import pick
from prefrl.core.observations import parts
from prefrl.rewards.base import Steps
from prefrl.rewards.encoding import INPUTS, Features, Inputs, Pictures, pictures_in
from prefrl.rewards.ensemble import WHITE, MakeNetwork, RewardEnsemble

FLOAT = 4  # bytes of a number


class Layout(tuple):
    """How a step lies in a row of bytes, (1, width): its numbers as float32 first, then its pictures, pixel by pixel."""

    numbers: int
    pictures: tuple[tuple[int, ...], ...]  # the shape of each, (C, H, W)

    def __new__(cls, numbers: int, pictures: Sequence[tuple[int, ...]]) -> Layout:
        made = super().__new__(cls, (1, FLOAT * numbers + sum(map(prod, pictures))))
        made.numbers, made.pictures = numbers, tuple(pictures)
        return made

    def pack(self, numbers: Tensor, pictures: Sequence[Tensor]) -> Tensor:
        """(..., d) float32 and a (..., C, H, W) uint8 of each picture -> (..., 1, width) uint8"""
        lead = numbers.shape[:-1]
        each = [numbers.contiguous().view(torch.uint8), *(picture.reshape(*lead, -1) for picture in pictures)]
        return torch.cat(each, -1).unsqueeze(-2)

    def unpack(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 1, width) uint8 -> numbers (..., d) float32, and the pixels of all pictures (..., P) uint8"""
        flat, end = rows.squeeze(-2), FLOAT * self.numbers
        numbers = flat[..., :end].clone(memory_format=torch.contiguous_format).view(torch.float32)
        return numbers, flat[..., end:]


class Mixed(Inputs):
    """Turns steps into rows of bytes: numbers as `Features` makes them, and pictures as `Pictures` does."""

    size: Layout

    def __init__(self, observation_space: spaces.Dict, action_space: spaces.Space, inputs: str = "all"):
        images = pictures_in(observation_space)
        self.keys = [key for key in observation_space.spaces if key not in images]  # of the other parts
        others = spaces.Dict({key: observation_space.spaces[key] for key in self.keys})
        vector_inputs = inputs if self.keys else "action" if "action" in pick(INPUTS, inputs, "reward input") else ""
        self.vectors = Features(others, action_space, vector_inputs) if vector_inputs else Inputs()
        self.pictures = {key: Pictures(images[key], action_space, inputs) for key in sorted(images)}
        self.feature_kinds = self.vectors.feature_kinds
        self.size = Layout(len(self.feature_kinds), [picture.size for picture in self.pictures.values()])

    def numbers_of_steps(self, rollout: Steps) -> Tensor:
        return self.vectors.numbers_of_steps(rollout)

    def numbers_of_segments(self, segments: Segments) -> Tensor:
        observed = parts(segments.observations)
        others = replace(segments, observations={key: observed[key] for key in self.keys})
        return self.vectors.numbers_of_segments(others)

    def joined(self, numbers: Tensor, pictures: Sequence[Tensor]) -> Tensor:
        return self.size.pack(numbers, pictures)


class MixedEnsemble(RewardEnsemble):
    """Members see a step as one row of floats: its standardised numbers, then its pixels from 0 to 1."""

    def __init__(self, layout: Layout, network: MakeNetwork, members: int = 3):
        super().__init__(layout, network, members)
        self.layout = layout
        self.register_buffer("feature_mean", torch.zeros(layout.numbers))
        self.register_buffer("feature_std", torch.ones(layout.numbers))

    def numbers(self, features: Tensor) -> Tensor:
        return self.layout.unpack(features)[0]

    def scaled(self, features: Tensor) -> Tensor:
        """Rows of bytes as members take them: (..., 1, width) -> (..., 1, d + P)"""
        numbers, pixels = self.layout.unpack(features)
        numbers = (numbers - self.feature_mean) / self.feature_std
        return torch.cat([numbers, pixels.float().div_(WHITE)], -1).unsqueeze(-2)
