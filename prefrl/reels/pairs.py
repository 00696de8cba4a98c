"""Video of answered questions, clips side by side: answer, labeller, response time and the reward model's prediction."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from prefrl.core.errors import UserError
from prefrl.kinds import kind_of
from prefrl.reels.scenes import Answered, scene
from prefrl.reels.writing import form, target, write_reel
from prefrl.rendering.footage import Footage
from prefrl.rendering.redraw import Unfaithful
from prefrl.runs.asked_segments import AskedSegments, Prediction
from prefrl.store.lookup import place_of, shown
from prefrl.store.store import LabelStore


def pairs(
    folder: Path | str, out: Path | str | None = None, *, queries: Sequence[int] = (), last: int = 12,
    fps: float | None = None, width: int | None = None, **own: Any,
) -> Path:  # fmt: skip
    """Write a video of answered questions: those numbered in `queries`, else the `last` ones. own: env=... and so on"""
    path = target(folder, out, "pairs")
    with closing(AskedSegments(folder, own)) as source:
        chosen = _chosen(source.store, queries, last)
        filmed = _filmed(source, chosen, strict=bool(queries))
        predictions = source.predictions([row["query_id"] for row, _ in filmed])
        output = form(path, max((clips[0] for _, clips in filmed), key=len), fps, width)
        wording = source.config.teacher.question
        answered = [_answered(row, clips, wording, predictions.get(row["query_id"])) for row, clips in filmed]
        return write_reel([scene(question, output) for question in answered], output)


def _chosen(store: LabelStore, queries: Sequence[int], last: int) -> list[dict[str, Any]]:
    """The standing answers to these questions, or the last ones, as rows of the store's history."""
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


def _filmed(
    source: AskedSegments, chosen: Sequence[dict[str, Any]], strict: bool
) -> list[tuple[dict[str, Any], list[Footage]]]:
    """Answers with their clips in the order in which they were shown. Without strict, those that cannot be drawn are left out."""
    filmed, fault = [], None
    for row in tqdm(chosen, "drawing", unit="question", leave=False, file=sys.stderr, delay=1):
        place, order = place_of(row), shown(row["details"], row["asked_kind"])["order"]
        try:
            filmed.append((row, [source.footage(place, segment) for segment in order]))
        except Unfaithful as unfaithful:
            fault = Unfaithful(f"question {place.query} cannot be drawn: {unfaithful}")
            if strict:
                raise fault from unfaithful
    if fault and not filmed:
        raise fault
    if fault:
        warnings.warn(f"{len(chosen) - len(filmed)} of {len(chosen)} questions are left out; {fault}", stacklevel=3)
    return filmed


def _answered(row: dict[str, Any], clips: Sequence[Footage], question: str, prediction: Prediction | None) -> Answered:
    kind, order = kind_of(row["asked_kind"]), shown(row["details"], row["asked_kind"])["order"]
    answer = kind.as_displayed(row["answer"], order)
    answered = Answered(
        row["query_id"], kind, question or kind.question, clips, row["labeller"], answer, row["response_seconds"]
    )
    if prediction is None:
        return answered
    rewards = [prediction.rewards[segment] for segment in order]
    return replace(answered, chances=kind.displayed(prediction.chances, order), rewards=rewards)
