"""Frames in lossless WebP: a clip's all in rows of one picture (a sheet), of which a browser shows exactly these pixels."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from prefrl.core.errors import UserError

MAX_WIDTH = 4096  # pixels: what every browser's canvas takes
MAX_HEIGHT = 16383  # what WebP takes
MAX_PIXELS = 16 * 2**20  # of all frames together; a browser unpacks a sheet to four bytes for each
PALETTE = 256  # with more colours WebP's better compression takes six times as long
CHUNK = 8  # frames of a `Footage` that are packed together: unpacking one unpacks them all
UNPACKED = 4  # sheets held unpacked, of all clips together; two clips are seen at a time


def sheet(frames: np.ndarray) -> tuple[bytes, int]:
    """frames (N, H, W, 3) uint8 -> a WebP of them, row by row, and how many there are in a row."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"a sheet needs uint8 frames of shape (N, H, W, 3), got {frames.dtype} {frames.shape}")
    count, height, width, _ = frames.shape
    columns = min(count, MAX_WIDTH // width)
    if columns < 1 or (rows := -(-count // columns)) * height > MAX_HEIGHT:
        raise UserError(
            f"{count} frames of {width} x {height} pixels do not fit on a sheet; ask about shorter segments"
        )
    tiles = np.zeros((rows * columns, height, width, 3), np.uint8)
    tiles[:count] = frames
    picture = tiles.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    file = io.BytesIO()
    flat = max(_colours(frames[0]), _colours(frames[-1])) <= PALETTE
    quality, method = (20, 1) if flat else (0, 0)
    Image.fromarray(picture).save(file, "WEBP", lossless=True, quality=quality, method=method)
    return file.getvalue(), columns


def shrinkage(count: int, height: int, width: int) -> int:
    """The factor (1, 2, 4, ...) to scale frames down by, for `count` of them to fit on a sheet."""
    factor = 1
    while count * (height // factor) * (width // factor) > MAX_PIXELS:
        factor *= 2
    return factor


def shrunk(frames: np.ndarray, factor: int) -> np.ndarray:
    """Scale frames down: every pixel is the mean of factor x factor, incomplete ones at the edges are cropped. frames: (..., H, W, 3)"""
    if factor == 1:
        return frames
    height, width = frames.shape[-3] // factor, frames.shape[-2] // factor
    whole = frames[..., : height * factor, : width * factor, :]
    tiles = whole.reshape(*frames.shape[:-3], height, factor, width, factor, 3)
    return tiles.mean((-4, -2)).round().astype(np.uint8)


def frames_of(content: bytes, count: int, columns: int) -> np.ndarray:
    """The frames on a sheet: (N, H, W, 3) uint8"""
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
        picture = np.asarray(image.convert("RGB"))
    rows = -(-count // columns)
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    return picture.reshape(rows, height, columns, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)[:count]


def _colours(frame: np.ndarray) -> int:
    """The number of colours in a quarter of the frame's pixels."""
    pixels = frame[::2, ::2].reshape(-1, 3).astype(np.uint32)
    return len(np.unique(pixels @ np.array([65536, 256, 1], np.uint32)))


class Footage:
    """The frames of a clip by number, packed without loss so that many clips fit into memory, and unpacked when read."""

    def __init__(self, sheets: list[tuple[bytes, int, int]], size: tuple[int, int], fps: float):
        """sheets: WebP, number of frames, and how many in a row; all but the last hold as many. size: of a frame"""
        self.sheets, self.size, self.fps = sheets, size, fps
        self.each = sheets[0][1]

    @classmethod
    def of(cls, frames: np.ndarray, fps: float) -> Footage:
        """Pack frames (N, H, W, 3) uint8."""
        small = shrunk(frames, shrinkage(CHUNK, *frames.shape[1:3]))
        sheets = []
        for start in range(0, len(small), CHUNK):
            chunk = small[start : start + CHUNK]
            content, columns = sheet(chunk)
            sheets.append((content, len(chunk), columns))
        return cls(sheets, (small.shape[2], small.shape[1]), fps)

    def __len__(self) -> int:
        return self.each * (len(self.sheets) - 1) + self.sheets[-1][1]

    def __getitem__(self, number: int) -> np.ndarray:
        """One frame (H, W, 3)"""
        return _unpacked(*self.sheets[number // self.each])[number % self.each]


_unpacked = lru_cache(UNPACKED)(frames_of)
