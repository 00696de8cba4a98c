"""Reliability of labellers: known answers, repeated questions, and disagreement on shared questions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from prefrl.kinds import Answer, Kind, kind_of
from prefrl.teachers.crowd import CombinedLabels, Judgements, by_reliability

MOST_DISPUTED = 8

Row = dict[str, Any]
"""A judgement that was not withdrawn or superseded, with its display under "about"."""


def share(count: int, n: int) -> dict[str, Any] | None:
    """A share with its 95 % interval (Clopper and Pearson 1934); None if n is 0."""
    if not n:
        return None
    from scipy.special import betaincinv  # a third of a second to load, and a server needs it for this page only

    low = float(betaincinv(count, n - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 0.975)) if count < n else 1.0
    return {"share": count / n, "low": low, "high": high, "n": n}


def agree(one: Row, other: Row) -> bool:
    """Whether two answers to one question agree. Neither is a skip."""
    return kind_of(one["asked_kind"]).agree(one["answer"], other["answer"])


def known_answers(rows: Iterable[Row], truth: dict[int, Answer]) -> dict[str, Any] | None:
    """Share of right first answers to questions whose answer is known. Skips do not count."""
    first: dict[int, Row] = {}
    for row in rows:
        if row["query_id"] in truth and row["answer"] is not None:
            first.setdefault(row["query_id"], row)
    right = sum(agree(row, {**row, "answer": truth[query]}) for query, row in first.items())
    return share(right, len(first))


def second_looks(rows: Iterable[Row]) -> dict[str, dict[str, int] | None]:
    """Self-agreement on questions answered twice: with the clips in the same order, and reordered."""
    judged: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row["answer"] is not None:
            judged[row["query_id"]].append(row)
    same: dict[str, list[bool]] = {"self_agreement": [], "reordered_agreement": []}
    for first, *later in judged.values():
        if later:
            again = first["about"]["order"] == later[-1]["about"]["order"]
            same["self_agreement" if again else "reordered_agreement"].append(agree(first, later[-1]))
    return {name: {"agree": sum(alike), "n": len(alike)} if alike else None for name, alike in same.items()}


def reliability(judgements: Iterable[Judgements]) -> dict[str, float]:
    """Estimated accuracy of each labeller, the mean over their answers; empty where no two answers can be compared."""
    accuracies: dict[str, list[float]] = defaultdict(list)
    for one in judgements:
        if one.comparable:
            accuracy = by_reliability(one).reliability
            for name in one.answered.labeller.tolist():
                accuracies[name].append(accuracy[name])
    return {name: float(np.mean(each)) for name, each in accuracies.items()}


def disputed(kind: Kind, judgements: Judgements, agreed: CombinedLabels) -> list[dict[str, Any]]:
    """The questions of a kind on which people differ most, with their answers and the combined label."""
    answers: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    rows = judgements.answered
    for query, name, chances in zip(rows.query, rows.labeller, rows.chances, strict=True):
        answers[int(query)][str(name)] = chances
    spread = {query: float(np.var(list(each.values()), 0).sum()) for query, each in answers.items()}
    worst = sorted((query for query in answers if spread[query] > 0), key=lambda q: (-spread[q], -len(answers[q]), -q))
    return [
        {
            "query": query, "kind": kind.name, "spread": spread[query],
            "said": dict(zip(answers[query], kind.answers_of(np.array(list(answers[query].values()))), strict=True)),
            "label": _chances(agreed.labels[query]),
        }
        for query in worst[:MOST_DISPUTED]
    ]  # fmt: skip


def _chances(label: np.ndarray) -> list[float] | None:
    return None if np.isnan(label).any() else [float(chance) for chance in label]
