"""An answered question as a scene: its words above the clips; below, what was answered and what the model predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from moviepy import VideoClip

from prefrl.kinds import Answer, Kind
from prefrl.reels import panels
from prefrl.reels.writing import Form
from prefrl.rendering.footage import Footage


@dataclass(frozen=True)
class Answered:
    """A question, its answer and what the reward model predicts, all in the order in which the clips were shown."""

    query: int
    kind: Kind
    question: str
    clips: Sequence[Footage]
    labeller: str
    answer: Answer | None
    seconds: float | None
    chances: Sequence[float] | None = None  # of the kind's outcomes; None: no reward was learned yet
    rewards: Sequence[np.ndarray] | None = None  # (T,) of each clip


def scene(told: Answered, wanted: Form) -> VideoClip:
    """One answered question, its clips side by side."""
    row = panels.row(_sides(told, wanted))
    about = [f"question {told.query}", _predicts(told), wanted.slowed]
    parts = [
        panels.text(told.question, row.width, 17, rows=2),
        row,
        panels.text(_says(told), row.width, 17),
        panels.text(" · ".join(filter(None, about)), row.width, 13, rows=2, colour=panels.SOFT),
    ]
    return panels.scene(panels.column(parts), max(map(len, told.clips)) / wanted.fps)


def _sides(told: Answered, wanted: Form) -> list[panels.Panel]:
    """The clips, what was preferred with a coloured edge, each above its learned rewards where they are known."""
    clips, places = told.clips, range(len(told.clips))
    liked = [] if told.answer is None else [told.kind.favoured(told.answer)]
    edges = [panels.ACCENT if place in liked or None in liked else panels.LINE for place in places]
    sides = [panels.picture(clip, wanted.fps, wanted.width, edge) for clip, edge in zip(clips, edges, strict=True)]
    if told.rewards is None:
        return sides
    rewards = [np.asarray(one) for one in told.rewards]
    scale = panels.scale_of(*rewards)
    strips = [
        panels.strip(one, scale, side.width, len(clip), wanted.fps)
        for one, side, clip in zip(rewards, sides, clips, strict=True)
    ]
    return [panels.column(one) for one in zip(sides, strips, strict=True)]


def _says(told: Answered) -> str:
    words = told.kind.words(told.answer)
    after = "" if told.seconds is None else f", after {told.seconds:.1f} s"
    return f"{told.labeller}: {words[:1].lower()}{words[1:]}{after}"


def _predicts(told: Answered) -> str:
    if told.rewards is None:
        return "no reward was learned yet"
    bars = "bars: learned reward of each step"
    if not told.chances:
        return bars
    best = int(np.argmax(told.chances))
    foretold = told.kind.foretold(told.chances, told.answer)
    agrees = "" if foretold is None else ", agrees" if foretold else ", disagrees"
    return f"reward model: {told.kind.outcomes[best]} {told.chances[best]:.0%}{agrees} · {bars}"
