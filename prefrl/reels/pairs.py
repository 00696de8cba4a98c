"""Answered pairs side by side: what was asked, what was said by whom after how long, and what the reward model thinks."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.kinds.views import choice, model_view
from prefrl.reels.scenes import Told, scene
from prefrl.reels.writing import form, target, write_reel
from prefrl.rendering.footage import Footage
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs.footage import Source, Thought, opened
from prefrl.store.lookup import Place, shown
from prefrl.store.store import LabelStore


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
        parts = [
            scene(row["query_id"], question, clips, _told(row, thoughts.get(row["query_id"])), wanted)
            for row, clips in filmed
        ]
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


def _told(row: dict[str, Any], thought: Thought | None) -> Told:
    mirrored = shown(row["details"])["mirrored"]
    said = choice(row["preference"], mirrored)
    model = None
    if thought is not None:
        found = {"probability": thought.probability, "rewards": thought.rewards, "model_version": thought.version}
        model = model_view(found, said, mirrored)
    return Told(row["labeller"], said, row["response_seconds"], model)
