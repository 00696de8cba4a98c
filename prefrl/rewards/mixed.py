"""Rewards for a Dict of observations with pictures in it: the inputs of networks, a memory, an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from prefrl.core.data import Segments
from prefrl.core.errors import pick
from prefrl.core.observations import parts
from prefrl.rewards.encoding import INPUTS, Features
from prefrl.rewards.ensemble import WHITE, RewardEnsemble
from prefrl.rewards.memory import PictureMemory, VectorMemory
from prefrl.rewards.mixed_network import Layout
from prefrl.rewards.pictures import Pictures, pictures_in


class Mixed:
    """Turns steps into rows of bytes: numbers as `Features` makes them, and pictures as `Pictures` does."""

    block = Pictures.block

    def __init__(self, observation_space: spaces.Dict, action_space: spaces.Space, inputs: str = "all"):
        images = pictures_in(observation_space)
        self.keys = [key for key in observation_space.spaces if key not in images]  # of the other parts
        others = spaces.Dict({key: observation_space.spaces[key] for key in self.keys})
        wanted = inputs if self.keys else "action" if "action" in pick(INPUTS, inputs, "reward input") else ""
        self.vectors = Features(others, action_space, wanted) if wanted else None
        self.pictures = {key: Pictures(images[key], action_space, inputs) for key in sorted(images)}
        self.kinds = self.vectors.kinds if self.vectors else np.zeros(0, str)
        self.size = Layout(len(self.kinds), [picture.shape for picture in self.pictures.values()])

    @property
    def ensemble(self) -> type[MixedEnsemble]:
        """The kind of ensemble that takes such rows."""
        return MixedEnsemble

    def memory(self) -> MixedMemory:
        """An empty memory of answers."""
        return MixedMemory(self)

    def of_steps(self, rollout: Any) -> Tensor:
        """Batch shape (n, n_envs) -> (n, n_envs, 1, width) uint8"""
        before, after = parts(rollout.observations), parts(rollout.next_observations)
        pictures = [
            picture.of_steps(SimpleNamespace(observations=before[key], next_observations=after[key]))
            for key, picture in self.pictures.items()
        ]
        lead = rollout.actions.shape[:2]
        numbers = self.vectors.of_steps(rollout) if self.vectors else torch.zeros(*lead, 0)
        return self.size.pack(numbers, pictures)

    def of_segments(self, segments: Segments) -> Tensor:
        """Batch shape (N,) -> (N, T, 1, width) uint8"""
        pictures = [picture.of_segments(part_of(segments, key)) for key, picture in self.pictures.items()]
        return self.size.pack(self.numbers_of_segments(segments), pictures)

    def numbers_of_segments(self, segments: Segments) -> Tensor:
        """Batch shape (N,) -> (N, T, d)"""
        if not self.vectors:
            return torch.zeros(*segments.true_rewards.shape, 0)
        observed = parts(segments.observations)
        others = {key: observed[key] for key in self.keys}
        return self.vectors.of_segments(replace(segments, observations=others))

    def numbers(self, rows: Tensor) -> Tensor:
        """What is standardised of steps: (N, 1, width) uint8 -> (N, d)"""
        return self.size.unpack(rows)[0]


class MixedMemory(VectorMemory):
    """Numbers as one tensor, (Q, K, T, d), and the frames of each picture packed."""

    def __init__(self, mixed: Mixed):
        self.mixed, self.held = mixed, torch.zeros(0)
        self.pictures = {key: PictureMemory(picture) for key, picture in mixed.pictures.items()}

    def clear(self) -> None:
        super().clear()
        for memory in self.pictures.values():
            memory.clear()

    def add(self, segments: Segments, window: int) -> None:
        numbers = self.mixed.numbers_of_segments(segments.flat())
        new = numbers.reshape(*segments.true_rewards.shape, numbers.shape[-1])
        self.held = (torch.cat([self.held, new]) if len(self.held) else new)[-window:]
        for key, memory in self.pictures.items():
            memory.add(part_of(segments, key), window)

    def latest(self, most: int) -> Iterator[Tensor]:
        for start in range(max(0, len(self) - most), len(self), self.mixed.block):
            yield self.read(list(range(start, min(start + self.mixed.block, len(self)))))

    def prepared(self, ensemble: RewardEnsemble) -> Any:
        return _Scaled(self, ensemble)

    def read(self, rows: list[int], device: torch.device | None = None) -> Tensor:
        """(B,) -> (B, K, T, 1, width) uint8"""
        pictures = [memory.read(rows, device) for memory in self.pictures.values()]
        return self.mixed.size.pack(self.held[rows].to(device or "cpu"), pictures)


class _Scaled:
    def __init__(self, memory: MixedMemory, ensemble: RewardEnsemble):
        self.memory, self.ensemble = memory, ensemble

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.ensemble.scaled(self.memory.read(rows.tolist(), self.ensemble.scale.device))


class MixedEnsemble(RewardEnsemble):
    """Members see a step as one row of floats: its standardised numbers, then its pixels from 0 to 1."""

    def __init__(self, layout: Layout, network: Callable[[Any], nn.Module], members: int = 3):
        super().__init__(layout, network, members)
        self.layout = layout
        self.register_buffer("feature_mean", torch.zeros(layout.numbers))
        self.register_buffer("feature_std", torch.ones(layout.numbers))

    def scaled(self, features: Tensor) -> Tensor:
        """Rows of bytes as members take them: (..., 1, width) -> (..., 1, d + P)"""
        numbers, pixels = self.layout.unpack(features)
        numbers = (numbers - self.feature_mean) / self.feature_std
        return torch.cat([numbers, pixels.float().div_(WHITE)], -1).unsqueeze(-2)


def part_of(segments: Segments, key: str) -> Segments:
    """The segments with one part of their observations."""
    return replace(segments, observations=parts(segments.observations)[key])
