"""What a reel is put together from: a clip in a frame, a line of text, a strip of rewards with a cursor that moves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from moviepy import ColorClip, CompositeVideoClip, ImageClip, TextClip, VideoClip, clips_array, vfx
from PIL import ImageFont

from prefrl.reels.footage import Footage

PAGE, TEXT, SOFT, LINE = (255, 255, 255), (26, 33, 48), (86, 96, 116), (219, 224, 232)  # the label page's colours
RAISED, ACCENT, ABOVE, BELOW = (243, 244, 247), (58, 91, 217), (23, 114, 74), (176, 58, 43)
FONT = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))  # with more letters than Pillow's own
LEAST = 300  # pixels across: smaller pictures are enlarged, pixel by pixel
EDGE, MARGIN, GAP = 4, 6, 8  # pixels: round a clip, round that, beside a text
STRIP, CURSOR = 36, 3  # pixels: a strip's height, a cursor's width


def picture(footage: Footage, fps: float, width: int | None = None, edge: tuple[int, int, int] = LINE) -> VideoClip:
    """A clip, each of its frames for 1 / fps seconds, with a coloured edge. width: of the clip, by default as drawn"""
    last = len(footage) - 1
    drawn = VideoClip(lambda t: footage[min(int(t * fps), last)], duration=len(footage) / fps)
    if width is not None:
        drawn = drawn.resized(width=width)
    elif drawn.w < LEAST:
        times = -(-LEAST // drawn.w)
        drawn = drawn.image_transform(lambda frame: frame.repeat(times, 0).repeat(times, 1))
        drawn.size = (drawn.w * times, drawn.h * times)
    edged = drawn.with_effects([vfx.Margin(EDGE, color=edge)])
    return edged.with_effects([vfx.Margin(MARGIN, color=PAGE)])


def text(words: str, width: int, size: int = 15, rows: int = 1, colour: tuple[int, int, int] = TEXT) -> ImageClip:
    """Some words in a place of their own, broken into at most so many rows."""
    lines = broken(words, width - 2 * GAP, size, rows)
    return TextClip(
        FONT, "\n".join(lines) or " ", font_size=size, size=(width - 2 * GAP, round(rows * 1.5 * size)), color=colour,
        bg_color=PAGE, horizontal_align="left", margin=(GAP, 2), transparent=False,
    )  # fmt: skip


def broken(words: str, width: int, size: int, rows: int) -> list[str]:
    """The words in rows no wider than this; what does not fit ends in dots. moviepy breaks only the first row rightly."""
    wide = ImageFont.truetype(FONT, size).getlength
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if wide(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    lines = [line for line in lines if line]
    if len(lines) > rows:
        lines[rows - 1 :] = [lines[rows - 1] + "…"]
    return [_shortened(line, width, wide) for line in lines]


def _shortened(line: str, width: int, wide) -> str:
    while wide(line) > width and len(line) > 1:
        line = line.rstrip("…")[:-1] + "…"
    return line


def strip(rewards: np.ndarray, bounds: tuple[float, float], width: int, frames: int, fps: float) -> VideoClip:
    """Rewards (T,) as bars, and a cursor between the last step before each frame and the first after it."""
    duration, last, way = frames / fps, max(1, frames - 1), width - 2 * MARGIN - CURSOR
    drawn = np.pad(bars(rewards, bounds, width - 2 * MARGIN), ((0, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)

    def place(t: float) -> tuple[int, int]:
        return MARGIN + round(way * min(int(t * fps), last) / last), 0

    cursor = ColorClip((CURSOR, STRIP), ACCENT).with_position(place)
    return CompositeVideoClip([ImageClip(drawn), cursor], bg_color=PAGE).with_duration(duration)


def bars(rewards: np.ndarray, bounds: tuple[float, float], width: int) -> np.ndarray:
    """Rewards (T,), up from zero where they are above it and down where below: (STRIP, width, 3) uint8"""
    low, high = bounds
    values = np.nan_to_num(np.asarray(rewards, float))[np.arange(width) * len(rewards) // width]  # (width,)
    level = high - (np.arange(STRIP)[:, None] + 0.5) / STRIP * (high - low)  # (STRIP, 1) what each row stands for
    drawn = np.full((STRIP, width, 3), RAISED, np.uint8)
    drawn[np.abs(level[:, 0]).argmin()] = LINE
    drawn[(level > 0) & (level < values)] = ABOVE
    drawn[(level < 0) & (level > values)] = BELOW
    if width >= 4 * len(rewards):
        drawn[:, np.arange(width) * len(rewards) % width < len(rewards)] = RAISED  # between two steps
    return drawn


def bounds(*rewards: np.ndarray) -> tuple[float, float]:
    """A scale for strips that are to be compared, with zero on it."""
    found = np.concatenate([np.nan_to_num(np.ravel(one)) for one in rewards])
    low, high = float(min(0, found.min(initial=0))), float(max(0, found.max(initial=0)))
    return (low, high) if high > low else (-1.0, 1.0)


def column(parts: Sequence[VideoClip]) -> VideoClip:
    """One below the other, as long as the longest."""
    return _placed([[part] for part in parts])


def row(parts: Sequence[VideoClip]) -> VideoClip:
    """Side by side."""
    return _placed([list(parts)])


def _placed(parts: list[list[VideoClip]]) -> VideoClip:
    duration = max(part.duration or 0 for line in parts for part in line)
    still = [[part.with_duration(duration) if part.duration is None else part for part in line] for line in parts]
    return clips_array(still, bg_color=PAGE).with_duration(duration)
