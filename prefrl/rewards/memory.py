"""The segments of answers that a reward model learns from: features, and packed frames of pictures."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from prefrl.core.data import Segments
from prefrl.core.frames import Frames
from prefrl.core.observations import parts
from prefrl.rewards.encoding import Inputs, Pictures
from prefrl.rewards.ensemble import RewardEnsemble


class PackedFrames:
    """Compressed frames of segments, each kept once: 5,500 pairs of 25 steps of Pong take 50 MB so, 2.2 GB unpacked."""

    def __init__(self, pictures: Pictures, window: int):
        self.pictures = pictures
        self.packed: deque[tuple[bytes, ...]] = deque(maxlen=window)
        self.shape: tuple[int, ...] = ()  # of the frames of one segment
        self.history = 0

    def add(self, frames: np.ndarray | Frames, history: int) -> None:
        """Remember the frames of segments: (Q, K, history + T + 1, *frame)"""
        self.history = history
        for start in range(0, len(frames), self.pictures.block):
            block = np.asarray(frames[start : start + self.pictures.block])
            self.shape = block.shape[2:]
            self.packed += [tuple(zlib.compress(segment.tobytes(), 1) for segment in shown) for shown in block]

    def read(self, rows: Sequence[int], device: torch.device | str) -> Tensor:
        """(B,) -> (B, K, T, C, H, W) uint8. Frames go to the device, and are stacked there."""
        frames = np.empty((len(rows), len(self.packed[0]), *self.shape), np.uint8)
        for place, row in enumerate(rows):
            for k, packed in enumerate(self.packed[row]):
                frames[place, k] = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self.shape)
        return self.pictures.stacks(torch.from_numpy(frames).to(device), self.history)


class AnswerMemory:
    """The segments of the latest `window` answers, in the order of the answers. Q of them, about K segments each."""

    def __init__(self, inputs: Inputs, window: int):
        self.inputs, self.window = inputs, window
        self.numbers = torch.zeros(0)  # (Q, K, T, d)
        self.frames = {key: PackedFrames(pictures, window) for key, pictures in inputs.pictures.items()}

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, segments: Segments) -> None:
        """Remember segments of batch shape (Q, K)."""
        new = self.inputs.numbers_of_segments(segments.flat()).unflatten(0, segments.true_rewards.shape[:2])
        self.numbers = (torch.cat([self.numbers, new]) if len(self) else new)[-self.window :]
        observed = parts(segments.observations)
        for key, frames in self.frames.items():
            frames.add(observed[key], segments.history_of(observed[key]))

    def read(self, rows: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """The networks' inputs for some answers: (B,) -> (B, K, T, *features)"""
        pictures = [frames.read(rows, device) for frames in self.frames.values()]
        return self.inputs.joined(self.numbers[list(rows)].to(device), pictures)

    def latest(self, most: int) -> Iterator[Tensor]:
        """The networks' inputs for the latest answers, in blocks: (B, K, T, *features)"""
        rows, block = range(max(0, len(self) - most), len(self)), self.inputs.block
        for start in range(0, len(rows), block):
            yield self.read(rows[start : start + block])

    def prepared(self, ensemble: RewardEnsemble) -> Callable[[Tensor], Tensor]:
        """The members' standardised inputs by rows of answers: (B,) -> (B, K, T, *features)"""
        device = ensemble.scale.device
        if self.frames:  # pictures are unpacked when they are needed
            return lambda rows: ensemble.scaled(self.read(rows.tolist(), device))
        return ensemble.scaled(self.numbers.to(device)).__getitem__
