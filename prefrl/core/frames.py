"""Lazy frames: pictures of segments that are read only when they are used, from a ring buffer, files or packed memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Read = Callable[[np.ndarray], np.ndarray]
"""(M,) places -> (M, *each) uint8"""


class Frames:
    """A lazy array (*batch, *each) of uint8, indexed along its batch axes like one.

    `np.asarray` reads it all. Frames of a ring buffer have to be read before its next step.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, read: Read, places: np.ndarray, each: tuple[int, ...]):
        """places: batch shape; each: the shape of a single entry"""
        self.read, self.places, self.each = read, np.asarray(places), tuple(each)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.places.shape, *self.each)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the array once it is read."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        """Lazy frames of fewer places; for a single place its array."""
        places = self.places[index]
        return Frames(self.read, places, self.each) if np.ndim(places) else self.read(np.array([places]))[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.read(self.places.ravel()).reshape(self.shape)
        return array if dtype is None else array.astype(dtype, copy=False)

    def flat(self) -> Frames:
        """The same with one batch axis."""
        return Frames(self.read, self.places.ravel(), self.each)


def join(parts: Sequence[Frames]) -> Frames:
    """Frames from several sources, one after the other along the first axis."""
    source = np.concatenate([np.full(part.places.size, k) for k, part in enumerate(parts)])
    place = np.concatenate([part.places.ravel() for part in parts])
    each = parts[0].each

    def read(wanted: np.ndarray) -> np.ndarray:
        frames = np.empty((len(wanted), *each), np.uint8)
        for k in np.unique(source[wanted]):
            rows = np.flatnonzero(source[wanted] == k)
            frames[rows] = parts[k].read(place[wanted[rows]])
        return frames

    shapes = [part.places.shape for part in parts]
    numbers = np.arange(len(place)).reshape(sum(shape[0] for shape in shapes), *shapes[0][1:])
    return Frames(read, numbers, each)


def stacked(frames: np.ndarray, history: int, time_axis: int) -> np.ndarray:
    """Frames as stacks of the last `history` + 1, the newest last: (..., history + T, c, H, W) -> (..., T, (history + 1) * c, H, W)

    A view: nothing is copied.
    """
    if not history:
        return frames
    frames = np.ascontiguousarray(frames)
    shape, strides = list(frames.shape), frames.strides
    shape[time_axis] -= history
    shape[time_axis + 1] *= history + 1  # a frame's channels are followed by those of the next frame
    return np.lib.stride_tricks.as_strided(frames, shape, strides, writeable=False)
