"""Video of the segments with the highest predicted returns beside those with the lowest, of all that were asked about."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from moviepy import VideoClip
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.reels import panels
from prefrl.reels.writing import VideoFormat, output_path, video_format, write_scenes
from prefrl.rendering.redraw import Unfaithful
from prefrl.rendering.sheets import Footage
from prefrl.runs.asked_segments import BATCH, AskedSegments
from prefrl.store.lookup import Place, by_kind, places


@dataclass(frozen=True)
class Valued:
    """A segment and the reward that the model predicts for it."""

    place: Place
    segment: int  # its number in the question, from 0
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
    width: int | None = None, **own: object,
) -> Path:  # fmt: skip
    """Write a video of the `count` segments with the highest predicted returns, each beside one of the lowest."""
    path = output_path(folder, out, "best")
    with closing(AskedSegments(folder, own)) as source:
        valued = sorted(_valued(source), key=lambda segment: segment.predicted)
        if len(valued) < 2:
            raise UserError(f"no reward was learned in {folder} yet; wait for its first fit, or answer more questions")
        with tqdm(total=2 * count, desc="drawing", unit="clip", leave=False, delay=1) as bar:
            highest = _drawn(source, valued[: len(valued) // 2 - 1 : -1], count, bar)
            lowest = _drawn(source, valued[: len(valued) // 2], count, bar)
    ends = list(zip(highest, lowest, strict=False))
    output = video_format(path, max((film for end in ends for _, film in end), key=len), fps, width)
    scale = panels.scale_of(*(segment.learned for end in ends for segment, _ in end))
    return write_scenes([_scene(rank, end, scale, output) for rank, end in enumerate(ends, 1)], output)


def _valued(source: AskedSegments) -> list[Valued]:
    """All segments of asked questions that have a prediction."""
    valued: list[Valued] = []
    batches = [
        ids[start : start + BATCH]
        for ids in by_kind(source.store, source.store.asked_queries()).values()
        for start in range(0, len(ids), BATCH)
    ]
    for batch in tqdm(batches, "predicting", leave=False, delay=1):
        predictions = source.predictions(batch)
        ids = [id for id in batch if id in predictions]
        if not ids:
            continue
        place_of, segments = places(source.store, ids), source.store.queries(ids).segments
        valued += [
            Valued(
                place_of[id], k, int(segments.env_index[row, k]), int(segments.start_step[row, k]),
                predictions[id].rewards[k], float(segments.true_returns[row, k]),
            )
            for row, id in enumerate(ids) for k in range(place_of[id].segments)
        ]  # fmt: skip
    return valued


def _drawn(source: AskedSegments, ranked: Sequence[Valued], count: int, bar: tqdm) -> list[tuple[Valued, Footage]]:
    """The first `count` segments that can be drawn, no two of them overlapping."""
    drawn: list[tuple[Valued, Footage]] = []
    fault: Unfaithful | None = None
    for valued in ranked:
        if len(drawn) == count:
            break
        if any(valued.overlaps(other) for other, _ in drawn):
            continue
        try:
            drawn.append((valued, source.footage(valued.place, valued.segment)))
            bar.update()
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {valued.place.query} cannot be drawn: {unfaithful}")
    if not drawn and fault:
        raise fault
    return drawn


def _scene(
    rank: int, ends: Sequence[tuple[Valued, Footage]], scale: tuple[float, float], output: VideoFormat
) -> VideoClip:
    columns = []
    for words, (valued, film) in zip((f"liked best: {rank}", f"liked least: {rank}"), ends, strict=True):
        clip = panels.picture(film, output.fps, output.width)
        returns = f"predicted return {valued.predicted:.3g}, true return {valued.true_return:.4g}"
        caption = f"question {valued.place.query}, clip {valued.segment + 1}"
        columns.append(panels.column([
            panels.text(words, clip.width, 17),
            clip,
            panels.strip(valued.learned, scale, clip.width, len(film), output.fps),
            panels.text(returns, clip.width, rows=2),
            panels.text(" · ".join(filter(None, [caption, output.slowed])), clip.width, 12, colour=panels.SOFT),
        ]))  # fmt: skip
    return panels.scene(panels.row(columns), max(len(film) for _, film in ends) / output.fps)
