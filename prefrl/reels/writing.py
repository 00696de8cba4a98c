"""A composed reel becomes a file in which each of its frames is present exactly once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from moviepy import VideoClip, concatenate_videoclips
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.reels.panels import PAGE
from prefrl.rendering.footage import Footage
from prefrl.rendering.video import codec_of, write_frames

SECONDS = 2.0  # a clip takes at least so long: shorter ones are slowed down
GIF = ".gif"
MOST_GIF = 2**30  # bytes of frames that ffmpeg holds, four for each pixel, while it looks for the best colours
FASTEST_GIF = 50.0  # frames per second; browsers show faster ones at ten
GIF_WIDTH = 320  # pixels across each clip in a GIF, unless told otherwise


@dataclass(frozen=True)
class Form:
    """How a reel is to be written."""

    path: Path
    fps: float
    width: int | None  # across each clip; None: as drawn
    slowed: str  # what to say of its speed


def target(folder: Path | str, out: Path | str | None, name: str) -> Path:
    """Where to write, checked before anything is drawn for it."""
    path = Path(out or Path(folder) / f"{name}.mp4")
    codec_of(path, 1)
    return path


def form(path: Path, longest: Footage, fps: float | None, width: int | None) -> Form:
    """By default so slow that a clip can be followed, and so small that a README can hold it if it is a GIF."""
    rate = fps or min(longest.fps, len(longest) / SECONDS)
    if path.suffix == GIF:
        if fps and fps > FASTEST_GIF:
            raise UserError(f"browsers play a GIF at up to {FASTEST_GIF:g} frames per second, not {fps:g}; write .mp4")
        rate = min(rate, FASTEST_GIF)
        width = width or min(GIF_WIDTH, longest.size[0])
    share = rate / longest.fps
    return Form(path, rate, width, "" if abs(share - 1) < 0.05 else f"{share:.2g} × speed")


def write_reel(parts: Sequence[VideoClip], wanted: Form) -> Path:
    """Write clips one after the other, each a whole number of frames long."""
    path, fps = wanted.path, wanted.fps
    alike = len({tuple(part.size) for part in parts}) == 1
    page = np.array(PAGE, np.uint8)
    reel = concatenate_videoclips(list(parts), method="chain" if alike else "compose", bg_color=page)
    count = sum(round(part.duration * fps) for part in parts)
    if path.suffix == GIF:
        _require_short(count, reel.size)
    moments = tqdm(range(count), f"writing {path.name}", unit="frame", leave=False, file=sys.stderr, delay=1)
    frames = (reel.get_frame((place + 0.5) / fps) for place in moments)  # in its middle, no rounding can miss a frame
    return write_frames(frames, path, fps)


def _require_short(count: int, size: tuple[int, int]) -> None:
    held = 4 * count * size[0] * size[1]
    if held > MOST_GIF:
        raise UserError(
            f"a GIF of {count} frames of {size[0]} x {size[1]} pixels takes {held / 2**30:.1f} GiB to make; write .mp4,"
            " or choose fewer clips or a smaller --width"
        )
