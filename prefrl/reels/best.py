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
from prefrl.store.lookup import Place, by_kind, places


@dataclass(frozen=True)
class Valued:
    """A segment and the reward that the model predicts for it."""

    place: Place
    segment: int  # which of its question's, from 0
    env: int
    start: int  # its first step
    learned: np.ndarray  # (T,) rewards
    true_return: float

    @property
    def predicted(self) -> float:
        """Predicted return, in log-odds."""
        return float(self.learned.sum())

    def overlaps(self, other: Valued) -> bool:
        return self.env == other.env and abs(self.start - other.start) < len(self.learned)


def best(
    folder: Path | str, out: Path | str | None = None, *, count: int = 5, fps: float | None = None,
    width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a reel of so many segments that the reward model likes best, each beside one that it likes least."""
    path = target(folder, out, "best")
    with opened(folder, own) as source:
        valued = sorted(_valued(source), key=lambda one: one.predicted)
        if len(valued) < 2:
            raise UserError(f"no reward was learned in {folder} yet; wait for its first fit, or answer more questions")
        with tqdm(total=2 * count, desc="drawing", unit="clip", leave=False, file=sys.stderr, delay=1) as bar:
            liked = _filmed(source, valued[: len(valued) // 2 - 1 : -1], count, bar)
            disliked = _filmed(source, valued[: len(valued) // 2], count, bar)
    ends = list(zip(liked, disliked, strict=False))
    wanted = form(path, max((film for end in ends for _, film in end), key=len), fps, width)
    scale = panels.scale_of(*(one.learned for end in ends for one, _ in end))
    return write_reel([_scene(rank, end, scale, wanted) for rank, end in enumerate(ends, 1)], wanted)


def _valued(source: Source) -> list[Valued]:
    """All segments that there is a prediction for."""
    found: list[Valued] = []
    batches = [
        ids[start : start + BATCH]
        for ids in by_kind(source.store, source.store.asked_queries()).values()
        for start in range(0, len(ids), BATCH)
    ]
    for ids in tqdm(batches, "predicting", leave=False, file=sys.stderr, delay=1):
        where = places(source.store, ids)
        thoughts = source.thoughts(ids)
        known = [id for id in ids if id in thoughts]
        if not known:
            continue
        segments = source.store.queries(known).segments
        found += [
            Valued(
                where[id], k, int(segments.env_index[at, k]), int(segments.start_step[at, k]),
                thoughts[id].rewards[k], float(segments.true_returns[at, k]),
            )
            for at, id in enumerate(known) for k in range(where[id].segments)
        ]  # fmt: skip
    return found


def _filmed(source: Source, ranked: Sequence[Valued], count: int, bar: Any) -> list[tuple[Valued, Footage]]:
    """The first of these that can be drawn and that show different moments."""
    found: list[tuple[Valued, Footage]] = []
    fault: Unfaithful | None = None
    for one in ranked:
        if len(found) == count:
            break
        if any(one.overlaps(other) for other, _ in found):
            continue
        try:
            found.append((one, source.footage(one.place, one.segment)))
            bar.update()
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {one.place.query} cannot be drawn: {unfaithful}")
    if not found and fault:
        raise fault
    return found


def _scene(rank: int, ends: Sequence[tuple[Valued, Footage]], scale: tuple[float, float], wanted: Form) -> VideoClip:
    words = (f"liked best: {rank}", f"liked least: {rank}")
    both = [_panel(word, one, film, scale, wanted) for word, (one, film) in zip(words, ends, strict=True)]
    return panels.scene(panels.row(both), max(len(film) for _, film in ends) / wanted.fps)


def _panel(words: str, one: Valued, film: Footage, scale: tuple[float, float], wanted: Form) -> panels.Panel:
    clip = panels.picture(film, wanted.fps, wanted.width)
    about = f"question {one.place.query}, clip {one.segment + 1}"
    return panels.column([
        panels.text(words, clip.width, 17),
        clip,
        panels.strip(one.learned, scale, clip.width, len(film), wanted.fps),
        panels.text(f"predicted return {one.predicted:.3g}, true return {one.true_return:.4g}", clip.width, rows=2),
        panels.text(" · ".join(filter(None, [about, wanted.slowed])), clip.width, 12, colour=panels.SOFT),
    ])  # fmt: skip
