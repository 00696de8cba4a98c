"""Answered pairs side by side: what was asked, what was said by whom after how long, and what the reward model thinks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moviepy import VideoClip
from tqdm import tqdm

from prefrl.errors import UserError
from prefrl.feedback.store import LabelStore
from prefrl.labelling.records import Place, shown
from prefrl.labelling.replay import Unfaithful
from prefrl.reels import panels
from prefrl.reels.footage import Footage
from prefrl.reels.source import Source, Thought, opened
from prefrl.reels.writing import Form, form, target, write_reel

SAID = {"left": "left is better", "right": "right is better", "equal": "both are equally good", "skip": "cannot tell"}


def pairs(
    folder: Path | str, out: Path | str | None = None, *, queries: Sequence[int] = (), last: int = 12,
    fps: float | None = None, width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a video of answered pairs: of these questions, or of those answered last. own: env=... and so on"""
    path = target(folder, out, "pairs")
    with opened(folder, own) as source:
        chosen = _chosen(source.store, queries, last)
        filmed = _filmed(source, chosen, strict=bool(queries))
        thoughts = source.thoughts([row["query_id"] for row, _ in filmed])
        wanted = form(path, max((clips[0] for _, clips in filmed), key=len), fps, width)
        question = source.config.teacher.question or "Which clip is better?"
        parts = [scene(question, row, clips, thoughts.get(row["query_id"]), wanted) for row, clips in filmed]
        return write_reel(parts, wanted)


def _chosen(store: LabelStore, queries: Sequence[int], last: int) -> list[dict[str, Any]]:
    """The standing answers to these questions, or the last ones, as rows of the store's history."""
    rows = list(store.history())
    gone = {row["supersedes"] for row in rows}
    standing = {row["query_id"]: row for row in rows if row["kind"] == "answer" and row["seq"] not in gone}
    if missing := [query for query in queries if query not in standing]:
        raise UserError(
            f"question {missing[0]} has no answer that stands; there are {len(standing)} answered ones"
            + (f", from {min(standing)} to {max(standing)}" if standing else "")
        )
    if not standing:
        raise UserError("nothing has been answered yet; label some pairs first: prefrl label RUN")
    return [standing[query] for query in queries] or sorted(standing.values(), key=lambda row: row["seq"])[-last:]


def _filmed(
    source: Source, chosen: Sequence[dict[str, Any]], strict: bool
) -> list[tuple[dict[str, Any], list[Footage]]]:
    """Answers with their clips as they were shown, left and right. Those that cannot be drawn are left out, if not strict."""
    found, fault = [], None
    for row in tqdm(chosen, "drawing", unit="pair", leave=False, file=sys.stderr, delay=1):
        place = Place(row["query_id"], row["segments_file"], row["row"])
        sides = (1, 0) if shown(row["details"])["mirrored"] else (0, 1)
        try:
            found.append((row, [source.footage(place, side) for side in sides]))
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {place.query} cannot be drawn: {unfaithful}")
            if strict:
                raise fault from unfaithful
    if fault and not found:
        raise fault
    if fault:
        warnings.warn(f"{len(chosen) - len(found)} of {len(chosen)} pairs are left out; {fault}", stacklevel=3)
    return found


def scene(
    question: str, row: dict[str, Any], clips: Sequence[Footage], thought: Thought | None, wanted: Form
) -> VideoClip:
    """One answered pair."""
    mirrored = shown(row["details"])["mirrored"]
    choice = _choice(row["preference"], mirrored)
    edges = [panels.ACCENT if choice in (side, "equal") else panels.LINE for side in ("left", "right")]
    sides = [panels.picture(clip, wanted.fps, wanted.width, edge) for clip, edge in zip(clips, edges, strict=True)]
    if thought is not None:
        rewards = thought.rewards[::-1] if mirrored else thought.rewards
        scale = panels.scale_of(rewards)
        strips = [
            panels.strip(one, scale, side.width, len(clip), wanted.fps)
            for one, side, clip in zip(rewards, sides, clips, strict=True)
        ]
        sides = [panels.column(both) for both in zip(sides, strips, strict=True)]
    both = panels.row(sides)
    about = [f"question {row['query_id']}", _thinks(thought, choice, mirrored), wanted.slowed]
    whole = panels.column([
        panels.text(question, both.width, 17, rows=2),
        both,
        panels.text(_told(row, choice), both.width, 17),
        panels.text(" · ".join(filter(None, about)), both.width, 13, rows=2, colour=panels.SOFT),
    ])  # fmt: skip
    return panels.scene(whole, max(map(len, clips)) / wanted.fps)


def _choice(preference: float | None, mirrored: bool) -> str:
    if preference is None:
        return "skip"
    return "equal" if preference == 0.5 else "left" if (preference > 0.5) != mirrored else "right"


def _told(row: dict[str, Any], choice: str) -> str:
    after = "" if row["response_seconds"] is None else f", after {row['response_seconds']:.1f} s"
    return f"{row['labeller']}: {SAID[choice]}{after}"


def _thinks(thought: Thought | None, choice: str, mirrored: bool) -> str:
    if thought is None:
        return "no reward was learned yet"
    left = 1 - thought.probability if mirrored else thought.probability
    better = "left" if left >= 0.5 else "right"
    agrees = "" if choice not in ("left", "right") else ", agrees" if better == choice else ", disagrees"
    return f"reward model: {better} {max(left, 1 - left):.0%}{agrees} · bars: learned reward of each step"
