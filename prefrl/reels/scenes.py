"""A pair as a scene: the question above both clips and, once it has been answered, what was said and thought below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from moviepy import VideoClip

from prefrl.reels import panels
from prefrl.reels.writing import Form
from prefrl.rendering.footage import Footage

SAID = {"left": "left is better", "right": "right is better", "equal": "both are equally good", "skip": "cannot tell"}


@dataclass(frozen=True)
class Told:
    """What a person said about a pair, and what the reward model thinks of it. Left and right are as they were shown."""

    labeller: str
    choice: str
    seconds: float | None
    model: dict[str, Any] | None  # as labelling.views.model_view has it


def scene(query: int, question: str, clips: Sequence[Footage], told: Told | None, wanted: Form) -> VideoClip:
    """One pair, left clip and right clip. told: None before it is answered; then nothing below gives an answer away"""
    sides = _sides(clips, told, wanted)
    both = panels.row(sides)
    about = [f"question {query}", _thinks(told) if told else "", wanted.slowed]
    parts = [
        panels.text(question, both.width, 17, rows=2),
        both,
        panels.text(_said(told), both.width, 17) if told else None,
        panels.text(" · ".join(filter(None, about)), both.width, 13, rows=2, colour=panels.SOFT),
    ]
    return panels.scene(panels.column([part for part in parts if part]), max(map(len, clips)) / wanted.fps)


def _sides(clips: Sequence[Footage], told: Told | None, wanted: Form) -> list[panels.Panel]:
    """The clips, what was chosen with a coloured edge, each above its learned rewards where they are known."""
    choice = told.choice if told else ""
    edges = [panels.ACCENT if choice in (side, "equal") else panels.LINE for side in ("left", "right")]
    sides = [panels.picture(clip, wanted.fps, wanted.width, edge) for clip, edge in zip(clips, edges, strict=True)]
    if not told or not told.model:
        return sides
    rewards = [np.asarray(one) for one in told.model["rewards"]]
    scale = panels.scale_of(*rewards)
    strips = [
        panels.strip(one, scale, side.width, len(clip), wanted.fps)
        for one, side, clip in zip(rewards, sides, clips, strict=True)
    ]
    return [panels.column(pair) for pair in zip(sides, strips, strict=True)]


def _said(told: Told) -> str:
    after = "" if told.seconds is None else f", after {told.seconds:.1f} s"
    return f"{told.labeller}: {SAID[told.choice]}{after}"


def _thinks(told: Told) -> str:
    if told.model is None:
        return "no reward was learned yet"
    left = told.model["probability"]
    better = "left" if left >= 0.5 else "right"
    agrees = "" if told.choice not in ("left", "right") else ", agrees" if better == told.choice else ", disagrees"
    return f"reward model: {better} {max(left, 1 - left):.0%}{agrees} · bars: learned reward of each step"
