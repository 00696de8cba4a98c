"""Pictures of segments that stay where they are until somebody looks: in a ring of memory, in files, or packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

Read = Callable[[np.ndarray], np.ndarray]
"""(M,) places -> (M, *each) uint8"""


class Frames:
    """Stands where an array (*batch, *each) of uint8 would, and is indexed along its batch axes like one.

    `np.asarray` reads it all. Frames of a ring have to be read before the ring goes on.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, read: Read, places: np.ndarray, each: tuple[int, ...]):
        """places: batch shape; each: the shape of one"""
        self.read, self.places, self.each = read, np.asarray(places), tuple(each)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.places.shape, *self.each)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What an array would take."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        """Frames of fewer places; of a single one, its array."""
        places = self.places[index]
        return Frames(self.read, places, self.each) if np.ndim(places) else self.read(np.array([places]))[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self.read(self.places.ravel()).reshape(self.shape)
        return found if dtype is None else found.astype(dtype, copy=False)

    def flat(self) -> Frames:
        """The same with one batch axis."""
        return Frames(self.read, self.places.ravel(), self.each)

    def blocks(self, most: int) -> Iterator[np.ndarray]:
        """So many at a time along the first axis, read."""
        for start in range(0, len(self), most):
            yield np.asarray(self[start : start + most])


def join(parts: Sequence[Frames]) -> Frames:
    """Frames from several sources, one after the other along the first axis."""
    source = np.concatenate([np.full(part.places.size, k) for k, part in enumerate(parts)])
    place = np.concatenate([part.places.ravel() for part in parts])
    each = parts[0].each

    def read(wanted: np.ndarray) -> np.ndarray:
        found = np.empty((len(wanted), *each), np.uint8)
        for k in np.unique(source[wanted]):
            here = np.flatnonzero(source[wanted] == k)
            found[here] = parts[k].read(place[wanted[here]])
        return found

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
