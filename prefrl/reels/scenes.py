"""The scene of an answered question: its wording above the clips; below, the answer and the reward model's prediction."""

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
    chances: Sequence[float] | None = None  # probabilities of the kind's outcomes; None: no reward was learned yet
    rewards: Sequence[np.ndarray] | None = None  # (T,) of each clip


def scene(answered: Answered, output: Form) -> VideoClip:
    """Compose the scene of one answered question, clips side by side."""
    row = panels.row(_sides(answered, output))
    facts = [f"question {answered.query}", _prediction_line(answered), output.slowed]
    parts = [
        panels.text(answered.question, row.width, 17, rows=2),
        row,
        panels.text(_answer_line(answered), row.width, 17),
        panels.text(" · ".join(filter(None, facts)), row.width, 13, rows=2, colour=panels.SOFT),
    ]
    return panels.scene(panels.column(parts), max(map(len, answered.clips)) / output.fps)


def _sides(answered: Answered, output: Form) -> list[panels.Panel]:
    """The clips, preferred ones with a coloured edge, each above its learned rewards if there are any."""
    clips, places = answered.clips, range(len(answered.clips))
    preferred = [] if answered.answer is None else [answered.kind.favoured(answered.answer)]
    edges = [panels.ACCENT if place in preferred or None in preferred else panels.LINE for place in places]
    sides = [panels.picture(clip, output.fps, output.width, edge) for clip, edge in zip(clips, edges, strict=True)]
    if answered.rewards is None:
        return sides
    rewards = [np.asarray(each) for each in answered.rewards]
    scale = panels.scale_of(*rewards)
    strips = [
        panels.strip(each, scale, side.width, len(clip), output.fps)
        for each, side, clip in zip(rewards, sides, clips, strict=True)
    ]
    return [panels.column(each) for each in zip(sides, strips, strict=True)]


def _answer_line(answered: Answered) -> str:
    words = answered.kind.words(answered.answer)
    after = "" if answered.seconds is None else f", after {answered.seconds:.1f} s"
    return f"{answered.labeller}: {words[:1].lower()}{words[1:]}{after}"


def _prediction_line(answered: Answered) -> str:
    if answered.rewards is None:
        return "no reward was learned yet"
    bars = "bars: learned reward of each step"
    if not answered.chances:
        return bars
    best = int(np.argmax(answered.chances))
    correct = answered.kind.predicted_right(answered.chances, answered.answer)
    agrees = "" if correct is None else ", agrees" if correct else ", disagrees"
    return f"reward model: {answered.kind.outcomes[best]} {answered.chances[best]:.0%}{agrees} · {bars}"
