"""What the reward model likes best, and beside it what it likes least, of all segments that questions were about."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from moviepy import VideoClip
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.reels import panels
from prefrl.reels.writing import Form, form, target, write_reel
from prefrl.rendering.footage import Footage
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs.footage import BATCH, Source, opened
from prefrl.store.lookup import Place, places


@dataclass(frozen=True)
class Judged:
    """A segment and what it is worth."""

    place: Place
    side: int
    env: int
    start: int  # its first step
    learned: np.ndarray  # (T,) rewards
    true_return: float

    @property
    def predicted(self) -> float:
        """Predicted return, in log-odds."""
        return float(self.learned.sum())

    def overlaps(self, other: Judged) -> bool:
        return self.env == other.env and abs(self.start - other.start) < len(self.learned)


def best(
    folder: Path | str, out: Path | str | None = None, *, count: int = 5, fps: float | None = None,
    width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a reel of so many segments that the reward model likes best, each beside one that it likes least."""
    path = target(folder, out, "best")
    with opened(folder, own) as source:
        judged = sorted(_judged(source), key=lambda one: one.predicted)
        if len(judged) < 2:
            raise UserError(f"no reward was learned in {folder} yet; wait for its first fit, or label more pairs")
        with tqdm(total=2 * count, desc="drawing", unit="clip", leave=False, file=sys.stderr, delay=1) as bar:
            liked = _filmed(source, judged[: len(judged) // 2 - 1 : -1], count, bar)
            disliked = _filmed(source, judged[: len(judged) // 2], count, bar)
    ends = list(zip(liked, disliked, strict=False))
    wanted = form(path, max((film for end in ends for _, film in end), key=len), fps, width)
    scale = panels.scale_of(*(one.learned for end in ends for one, _ in end))
    return write_reel([_scene(rank, end, scale, wanted) for rank, end in enumerate(ends, 1)], wanted)


def _judged(source: Source) -> list[Judged]:
    """All segments that there is a prediction for."""
    found: list[Judged] = []
    asked = source.store.asked_queries()
    for first in tqdm(range(0, len(asked), BATCH), "judging", leave=False, file=sys.stderr, delay=1):
        ids = asked[first : first + BATCH]
        where, thoughts = places(source.store, ids), source.thoughts(ids)
        known = [id for id in ids if id in where and id in thoughts]
        if not known:
            continue
        segments = source.store.queries(known).segments
        found += [
            Judged(
                where[id], side, int(segments.env_index[at, side]), int(segments.start_step[at, side]),
                thoughts[id].rewards[side], float(segments.true_returns[at, side]),
            )
            for at, id in enumerate(known) for side in (0, 1)
        ]  # fmt: skip
    return found


def _filmed(source: Source, ranked: Sequence[Judged], count: int, bar: Any) -> list[tuple[Judged, Footage]]:
    """The first of these that can be drawn and that show different moments."""
    found: list[tuple[Judged, Footage]] = []
    fault: Unfaithful | None = None
    for one in ranked:
        if len(found) == count:
            break
        if any(one.overlaps(other) for other, _ in found):
            continue
        try:
            found.append((one, source.footage(one.place, one.side)))
            bar.update()
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {one.place.query} cannot be drawn: {unfaithful}")
    if not found and fault:
        raise fault
    return found


def _scene(rank: int, ends: Sequence[tuple[Judged, Footage]], scale: tuple[float, float], wanted: Form) -> VideoClip:
    words = (f"liked best: {rank}", f"liked least: {rank}")
    both = [_panel(word, one, film, scale, wanted) for word, (one, film) in zip(words, ends, strict=True)]
    return panels.scene(panels.row(both), max(len(film) for _, film in ends) / wanted.fps)


def _panel(words: str, one: Judged, film: Footage, scale: tuple[float, float], wanted: Form) -> panels.Panel:
    clip = panels.picture(film, wanted.fps, wanted.width)
    about = f"question {one.place.query}, {('first', 'second')[one.side]} clip"
    return panels.column([
        panels.text(words, clip.width, 17),
        clip,
        panels.strip(one.learned, scale, clip.width, len(film), wanted.fps),
        panels.text(f"predicted return {one.predicted:.3g}, true return {one.true_return:.4g}", clip.width, rows=2),
        panels.text(" · ".join(filter(None, [about, wanted.slowed])), clip.width, 12, colour=panels.SOFT),
    ])  # fmt: skip
