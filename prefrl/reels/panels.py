"""Panels that scenes are composed of: a clip with an edge, text, rewards as bars with a moving cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from moviepy import ColorClip, CompositeVideoClip, TextClip, VideoClip
from PIL import ImageFont

from prefrl.rendering.sheets import Footage

PAGE, TEXT, SOFT, LINE = (255, 255, 255), (26, 33, 48), (86, 96, 116), (219, 224, 232)  # the label page's colours
RAISED, ACCENT, ABOVE, BELOW = (243, 244, 247), (58, 91, 217), (23, 114, 74), (176, 58, 43)
FONT = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))  # with more letters than Pillow's own
LEAST = 300  # pixels across: smaller pictures are enlarged, pixel by pixel
EDGE, MARGIN = 4, 6  # pixels: widths of a clip's edge and of the margin around it
STRIP, CURSOR = 36, 3  # pixels: a strip's height, a cursor's width


@dataclass(frozen=True)
class Panel:
    """Clips at their places: the upper left corners, in pixels."""

    clips: tuple[tuple[VideoClip, int, int], ...]
    width: int
    height: int


def column(panels: Sequence[Panel]) -> Panel:
    """Stack panels from top to bottom."""
    tops = np.cumsum([0, *(panel.height for panel in panels)]).tolist()
    moved = (_moved(panel, 0, top) for panel, top in zip(panels, tops[:-1], strict=True))
    return Panel(sum(moved, ()), max(panel.width for panel in panels), tops[-1])


def row(panels: Sequence[Panel]) -> Panel:
    """Place panels side by side."""
    lefts = np.cumsum([0, *(panel.width for panel in panels)]).tolist()
    moved = (_moved(panel, left, 0) for panel, left in zip(panels, lefts[:-1], strict=True))
    return Panel(sum(moved, ()), lefts[-1], max(panel.height for panel in panels))


def _moved(panel: Panel, right: int, down: int) -> tuple[tuple[VideoClip, int, int], ...]:
    return tuple((clip, x + right, y + down) for clip, x, y in panel.clips)


def scene(panel: Panel, duration: float) -> VideoClip:
    """The panel on a page, in one layer: each further one would copy every picture again. duration: seconds"""
    placed = [clip.with_position((x, y)) for clip, x, y in panel.clips]
    page = _plain((panel.width, panel.height), PAGE)
    return CompositeVideoClip([page, *placed], use_bgclip=True).with_duration(duration)


@cache
def _plain(size: tuple[int, int], colour: tuple[int, int, int]) -> ColorClip:
    return ColorClip(size, np.array(colour, np.uint8))  # a tuple of integers would take eight bytes for each


def picture(footage: Footage, fps: float, width: int | None = None, edge: tuple[int, int, int] = LINE) -> Panel:
    """A clip with a coloured edge, each of its frames for 1 / fps seconds. width: of the clip, by default as drawn"""
    last, times = len(footage) - 1, -(-LEAST // footage.size[0]) if width is None else 1

    def at(t: float) -> np.ndarray:
        frame = footage[min(int(t * fps), last)]
        return frame if times == 1 else frame.repeat(times, 0).repeat(times, 1)

    clip = VideoClip(duration=len(footage) / fps)  # given a function, it would call it, and unpack a sheet for its size
    clip.frame_function, clip.size = at, (footage.size[0] * times, footage.size[1] * times)
    if width is not None:
        clip = clip.resized(width=width)
    across, down = clip.w + 2 * EDGE, clip.h + 2 * EDGE
    inner = MARGIN + EDGE
    clips = (_plain((across, down), edge), MARGIN, MARGIN), (clip, inner, inner)
    return Panel(clips, across + 2 * MARGIN, down + 2 * MARGIN)


def text(words: str, width: int, size: int = 15, rows: int = 1, colour: tuple[int, int, int] = TEXT) -> Panel:
    """A box of text, broken into at most `rows` rows."""
    inner, height = width - 2 * MARGIN, round(1.5 * size * rows)
    clip = TextClip(
        FONT, "\n".join(broken(words, inner, size, rows)) or " ", font_size=size, size=(inner, height), color=colour,
        bg_color=PAGE, horizontal_align="left", transparent=False,
    )  # fmt: skip
    return Panel(((clip, MARGIN, MARGIN // 2),), width, height + MARGIN)


def broken(words: str, width: int, size: int, rows: int) -> list[str]:
    """Break text into rows of at most `width` pixels, the last one shortened to fit. moviepy breaks only the first row rightly."""
    font = ImageFont.truetype(FONT, size)
    lines: list[str] = []
    for word in words.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > rows:
        lines[rows - 1 :] = [" ".join(lines[rows - 1 :])]
    return [_shortened(line, width, font) for line in lines]


def _shortened(line: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


def strip(rewards: np.ndarray, scale: tuple[float, float], width: int, frames: int, fps: float) -> Panel:
    """Rewards (T,) as bars, and a cursor between the steps before and after the shown frame."""
    drawn, last = bars(rewards, scale, width - 2 * MARGIN), max(1, frames - 1)

    def at(t: float) -> np.ndarray:
        left = round((drawn.shape[1] - CURSOR) * min(int(t * fps), last) / last)
        image = drawn.copy()
        image[:, left : left + CURSOR] = ACCENT
        return image

    return Panel(((VideoClip(at, duration=frames / fps), MARGIN, 0),), width, STRIP + MARGIN)


def bars(rewards: np.ndarray, scale: tuple[float, float], width: int) -> np.ndarray:
    """Rewards (T,) as bars up or down from zero: (STRIP, width, 3) uint8"""
    low, high = scale
    steps = np.arange(width) * len(rewards) // width  # (width,)
    values = np.nan_to_num(np.asarray(rewards, float))[steps]
    level = high - (np.arange(STRIP)[:, None] + 0.5) / STRIP * (high - low)  # (STRIP, 1) reward at each row
    drawn = np.full((STRIP, width, 3), RAISED, np.uint8)
    drawn[np.abs(level[:, 0]).argmin()] = LINE
    drawn[(level > 0) & (level < values)] = ABOVE
    drawn[(level < 0) & (level > values)] = BELOW
    if width >= 4 * len(rewards):
        drawn[:, 1:][:, np.diff(steps) > 0] = RAISED  # a gap between two steps
    return drawn


def scale_of(*rewards: np.ndarray) -> tuple[float, float]:
    """The common (low, high) of strips that are compared; it includes zero."""
    values = np.nan_to_num(np.concatenate([np.zeros(1), *map(np.ravel, rewards)]))
    return (float(values.min()), float(values.max())) if values.any() else (-1.0, 1.0)
