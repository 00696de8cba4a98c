"""The picture of a clip for a vision model: evenly spaced frames, tiled in reading order."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from prefrl.rendering.sheets import shrunk

GAP = 4  # pixels of grey between frames
GREY = 128


def evenly(count: int, most: int) -> list[int]:
    """Up to `most` of `count` frames, evenly spaced, with the first and the last."""
    if most == 1:
        return [0]
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def layout(count: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns for this many frames without an empty tile, as near to a square as possible."""
    shapes = [(count // columns, columns) for columns in range(1, count + 1) if count % columns == 0]
    return min(shapes, key=lambda shape: (max(shape[0] * height, shape[1] * width), -shape[1]))


def strip(frames: np.ndarray, most: int, widest: int) -> np.ndarray:
    """frames (N, H, W, 3) uint8 -> a picture (h, w, 3) of up to `most` of them, no side above `widest` pixels.

    The pixels are those of the frames; too large a picture has every one the mean of 2 x 2, 3 x 3, ... of them.
    """
    chosen = frames[evenly(len(frames), most)]
    rows, columns = layout(*chosen.shape[:3])
    factor = next(
        by for by in range(1, 10_000) if max(_size(chosen, rows, columns, by)) <= widest or by >= min(chosen.shape[1:3])
    )
    tiles = shrunk(chosen, factor)
    height, width = tiles.shape[1:3]
    picture = np.full((*_size(chosen, rows, columns, factor), 3), GREY, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * (height + GAP), (place % columns) * (width + GAP)
        picture[top : top + height, left : left + width] = tile
    return picture


def _size(frames: np.ndarray, rows: int, columns: int, factor: int) -> tuple[int, int]:
    height, width = frames.shape[1] // factor, frames.shape[2] // factor
    return rows * (height + GAP) - GAP, columns * (width + GAP) - GAP


def data_url(picture: np.ndarray) -> str:
    """(h, w, 3) uint8 -> a PNG as a data URL, lossless."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
