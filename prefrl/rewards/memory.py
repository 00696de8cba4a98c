"""The segments of answers that a reward model learns from, as features or as packed frames."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.rewards.encoding import Features
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.fits.base import Inputs
from prefrl.rewards.pictures import Pictures


class Memory(Protocol):
    """The segments of Q answers, in the order of the answers."""

    @property
    def length(self) -> int:
        """Steps in a segment, T."""

    def __len__(self) -> int: ...

    def clear(self) -> None: ...

    def add(self, segments: Segments, window: int) -> None:
        """Remember segments of batch shape (Q, K), and of all of them the latest `window`."""

    def latest(self, most: int) -> Iterator[Tensor]:
        """The latest answers as the ensemble takes them, in blocks: (B, K, T, *features)"""

    def steps(self) -> Tensor | None:
        """All steps (N, d), for standardising features; None where nothing is standardised by what was seen."""

    def prepared(self, ensemble: RewardEnsemble) -> Inputs:
        """The members' standardised inputs, indexed by answer."""


class VectorMemory:
    """Segments as one tensor of features: (Q, K, T, d)"""

    def __init__(self, features: Features):
        self.features, self.held = features, torch.zeros(0)

    @property
    def length(self) -> int:
        return int(self.held.shape[2])

    def __len__(self) -> int:
        return len(self.held)

    def clear(self) -> None:
        self.held = self.held[:0]

    def add(self, segments: Segments, window: int) -> None:
        new = self.features.of_segments(segments.flat()).unflatten(0, segments.true_rewards.shape[:2])
        self.held = (torch.cat([self.held, new]) if len(self.held) else new)[-window:]

    def latest(self, most: int) -> Iterator[Tensor]:
        yield self.held[-most:]

    def steps(self) -> Tensor:
        return self.held.flatten(0, 2)

    def prepared(self, ensemble: RewardEnsemble) -> Tensor:
        device = ensemble.scale.device
        return (self.held.to(device) - ensemble.feature_mean) / ensemble.feature_std


class PictureMemory:
    """Segments as compressed frames, each kept once: 5,500 pairs of 25 steps of Pong take some 50 MB so, and 2.2 GB unpacked."""

    def __init__(self, pictures: Pictures):
        self.pictures = pictures
        self.packed: deque[tuple[bytes, ...]] = deque()
        self.shape: tuple[int, ...] = ()  # of the frames of one segment
        self.length = self.history = 0

    def __len__(self) -> int:
        return len(self.packed)

    def clear(self) -> None:
        self.packed.clear()

    def add(self, segments: Segments, window: int) -> None:
        self.length, self.history = segments.length, segments.history
        for start in range(0, len(segments), self.pictures.block):
            block = np.asarray(segments.observations[start : start + self.pictures.block])
            self.shape = block.shape[2:]
            self.packed += [tuple(zlib.compress(frames.tobytes(), 1) for frames in shown) for shown in block]
        while len(self.packed) > window:
            self.packed.popleft()

    def latest(self, most: int) -> Iterator[Tensor]:
        for start in range(max(0, len(self) - most), len(self), self.pictures.block):
            yield self.read(range(start, min(start + self.pictures.block, len(self))))

    def steps(self) -> None:
        return None

    def prepared(self, ensemble: RewardEnsemble) -> _Scaled:
        return _Scaled(self, ensemble)

    def read(self, rows: Any, device: torch.device | None = None) -> Tensor:
        """(B,) -> (B, K, T, C, H, W) uint8. Frames go to the device, and are stacked there."""
        frames = np.empty((len(rows), len(self.packed[0]), *self.shape), np.uint8)
        for place, row in enumerate(rows):
            for k, packed in enumerate(self.packed[int(row)]):
                frames[place, k] = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self.shape)
        return self.pictures.stacks(torch.from_numpy(frames).to(device or "cpu"), self.history)


class _Scaled:
    def __init__(self, memory: PictureMemory, ensemble: RewardEnsemble):
        self.memory, self.ensemble = memory, ensemble

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.ensemble.scaled(self.memory.read(rows.tolist(), self.ensemble.scale.device))


def memory_for(features: Any) -> Memory:
    """An empty memory for these features."""
    if hasattr(features, "memory"):
        return features.memory()
    return PictureMemory(features) if isinstance(features, Pictures) else VectorMemory(features)
