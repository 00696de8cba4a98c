"""The frames of one clip, packed without loss, so that a reel of many clips fits into memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from prefrl.rendering.sheets import frames_of, sheet, shrinkage, shrunk

CHUNK = 8  # frames that are packed together: unpacking one unpacks them all
UNPACKED = 4  # sheets held unpacked, of all clips together; two clips are seen at a time


class Footage:
    """The frames of a clip by number, unpacked when they are read."""

    def __init__(self, sheets: list[tuple[bytes, int, int]], size: tuple[int, int], fps: float):
        """sheets: WebP, number of frames, and how many in a row; all but the last hold as many. size: of a frame"""
        self.sheets, self.size, self.fps = sheets, size, fps
        self.each = sheets[0][1]

    @classmethod
    def of(cls, frames: np.ndarray, fps: float) -> Footage:
        """Pack frames (N, H, W, 3) uint8."""
        small = shrunk(frames, shrinkage(CHUNK, *frames.shape[1:3]))
        chunks = [small[start : start + CHUNK] for start in range(0, len(small), CHUNK)]
        packed = [(*sheet(chunk), len(chunk)) for chunk in chunks]
        sheets = [(content, count, columns) for content, columns, count in packed]
        return cls(sheets, (small.shape[2], small.shape[1]), fps)

    def __len__(self) -> int:
        return self.each * (len(self.sheets) - 1) + self.sheets[-1][1]

    def __getitem__(self, place: int) -> np.ndarray:
        """One frame (H, W, 3)"""
        return _unpacked(*self.sheets[place // self.each])[place % self.each]


@lru_cache(UNPACKED)
def _unpacked(content: bytes, count: int, columns: int) -> np.ndarray:
    return frames_of(content, count, columns)
