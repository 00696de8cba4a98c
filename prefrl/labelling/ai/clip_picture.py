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
    grid, size, factor = np.array(layout(*chosen.shape[:3])), np.array(chosen.shape[1:3]), 1
    while factor < size.min() and (grid * (size // factor + GAP) - GAP).max() > widest:
        factor += 1
    tiles = np.pad(shrunk(chosen, factor), ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=GREY)
    picture = tiles.reshape(*grid, *tiles.shape[1:]).swapaxes(1, 2).reshape(*grid * tiles.shape[1:3], 3)
    return picture[:-GAP, :-GAP]  # no gap at the edges


def data_url(picture: np.ndarray) -> str:
    """(h, w, 3) uint8 -> a PNG as a data URL, lossless."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
