"""Video of answered questions, clips side by side: answer, labeller, response time and the reward model's prediction."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from moviepy import VideoClip
from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.kinds import Answer, Kind, kind_of
from prefrl.reels import panels
from prefrl.reels.writing import VideoFormat, output_path, video_format, write_scenes
from prefrl.rendering.redraw import Unfaithful
from prefrl.rendering.sheets import Footage
from prefrl.runs.asked_segments import AskedSegments, Prediction
from prefrl.store.lookup import place_of, shown
from prefrl.store.store import LabelStore

Row = dict[str, Any]
"""An answer as a row of the store's history."""


def pairs(
    folder: Path | str, out: Path | str | None = None, *, queries: Sequence[int] = (), last: int = 12,
    fps: float | None = None, width: int | None = None, **own: object,
) -> Path:  # fmt: skip
    """Write a video of answered questions: those numbered in `queries`, else the `last` ones. own: env=... and so on"""
    path = output_path(folder, out, "pairs")
    with closing(AskedSegments(folder, own)) as source:
        drawn = _drawn(source, _chosen(source.store, queries, last), strict=bool(queries))
        predictions = source.predictions([row["query_id"] for row, _ in drawn])
        output = video_format(path, max((clips[0] for _, clips in drawn), key=len), fps, width)
        wording = source.config.teacher.question
        scenes = [_scene(row, clips, wording, predictions.get(row["query_id"]), output) for row, clips in drawn]
        return write_scenes(scenes, output)


def _chosen(store: LabelStore, queries: Sequence[int], last: int) -> list[Row]:
    """The standing answers to these questions, or the last ones."""
    rows = list(store.history())
    superseded = {row["supersedes"] for row in rows}
    standing = {row["query_id"]: row for row in rows if row["kind"] == "answer" and row["seq"] not in superseded}
    if missing := [query for query in queries if query not in standing]:
        raise UserError(
            f"question {missing[0]} has no answer that stands; there are {len(standing)} answered ones"
            + (f", from {min(standing)} to {max(standing)}" if standing else "")
        )
    if not standing:
        raise UserError("nothing has been answered yet; answer some questions first: prefrl label RUN")
    return [standing[query] for query in queries] or sorted(standing.values(), key=lambda row: row["seq"])[-last:]


def _drawn(source: AskedSegments, chosen: Sequence[Row], strict: bool) -> list[tuple[Row, list[Footage]]]:
    """Answers with their clips in the order in which they were shown. Without strict, those that cannot be drawn are left out."""
    drawn, fault = [], None
    for row in tqdm(chosen, "drawing", unit="question", leave=False, delay=1):
        place = place_of(row)
        try:
            drawn.append((row, [source.footage(place, segment) for segment in _order(row)]))
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {place.query} cannot be drawn: {unfaithful}")
            if strict:
                raise fault from unfaithful
    if fault and not drawn:
        raise fault
    if fault:
        warnings.warn(f"{len(chosen) - len(drawn)} of {len(chosen)} questions are left out; {fault}", stacklevel=3)
    return drawn


def _order(row: Row) -> list[int]:
    """The stored segment that was displayed at each place."""
    return shown(row["details"], row["asked_kind"])["order"]


def _scene(
    row: Row, clips: list[Footage], wording: str, prediction: Prediction | None, output: VideoFormat
) -> VideoClip:
    """One answered question: its wording above the clips; below, the answer and the reward model's prediction."""
    kind, order = kind_of(row["asked_kind"]), _order(row)
    answer = kind.as_displayed(row["answer"], order)
    favoured = [] if answer is None else [kind.favoured(answer)]
    edges = [panels.ACCENT if place in favoured or None in favoured else panels.LINE for place in range(len(clips))]
    sides = [panels.picture(clip, output.fps, output.width, edge) for clip, edge in zip(clips, edges, strict=True)]
    predicted = "no reward was learned yet"
    if prediction is not None:
        predicted = _prediction_line(kind, kind.displayed(prediction.chances, order), answer)
        rewards = [prediction.rewards[segment] for segment in order]
        scale = panels.scale_of(*rewards)
        sides = [
            panels.column([side, panels.strip(each, scale, side.width, len(clip), output.fps)])
            for side, each, clip in zip(sides, rewards, clips, strict=True)
        ]
    shown_clips = panels.row(sides)
    facts = [f"question {row['query_id']}", predicted, output.slowed]
    parts = [
        panels.text(wording or kind.question, shown_clips.width, 17, rows=2),
        shown_clips,
        panels.text(_answer_line(row, kind.words(answer)), shown_clips.width, 17),
        panels.text(" · ".join(filter(None, facts)), shown_clips.width, 13, rows=2, colour=panels.SOFT),
    ]
    return panels.scene(panels.column(parts), max(map(len, clips)) / output.fps)


def _answer_line(row: Row, words: str) -> str:
    after = "" if row["response_seconds"] is None else f", after {row['response_seconds']:.1f} s"
    return f"{row['labeller']}: {words[:1].lower()}{words[1:]}{after}"


def _prediction_line(kind: Kind, chances: Sequence[float], answer: Answer | None) -> str:
    bars = "bars: learned reward of each step"
    if not chances:
        return bars
    best = int(np.argmax(chances))
    correct = kind.predicted_right(chances, answer)
    agrees = "" if correct is None else ", agrees" if correct else ", disagrees"
    return f"reward model: {kind.outcomes[best]} {chances[best]:.0%}{agrees} · {bars}"
