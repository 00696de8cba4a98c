"""How far labellers can be relied on: known answers, second looks, and what they make of the questions they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from prefrl.kinds import Answer, Kind, kind_of
from prefrl.teachers.crowd import Agreement, Judgements, by_reliability

MOST_DISPUTED = 8

Row = dict[str, Any]
"""A judgement that stands, with how it was shown under "about"."""


def share(count: int, n: int) -> dict[str, Any] | None:
    """A share with its 95 % interval (Clopper and Pearson 1934); None of nothing."""
    if not n:
        return None
    from scipy.special import betaincinv  # a third of a second to load, and a server needs it for this page only

    low = float(betaincinv(count, n - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 0.975)) if count < n else 1.0
    return {"share": count / n, "low": low, "high": high, "n": n}


def agree(one: Row, other: Row) -> bool:
    """Whether two answers to one question say the same. Neither is a skip."""
    return kind_of(one["asked_kind"]).agree(one["answer"], other["answer"])


def known_answers(rows: Iterable[Row], truth: dict[int, Answer]) -> dict[str, Any] | None:
    """How often a labeller's first answer to a question whose answer is known was right. Skips do not count."""
    first: dict[int, Row] = {}
    for row in rows:
        if row["query_id"] in truth and row["answer"] is not None:
            first.setdefault(row["query_id"], row)
    right = sum(agree(row, {**row, "answer": truth[query]}) for query, row in first.items())
    return share(right, len(first))


def second_looks(rows: Iterable[Row]) -> dict[str, dict[str, int] | None]:
    """Of the questions answered twice, how many got the same answer: with the clips in the same order, and in another."""
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
    """How often each labeller is right, as estimated; empty where nothing tells. Of several kinds the mean, by answers."""
    found: dict[str, list[float]] = defaultdict(list)
    for one in judgements:
        if one.comparable:
            right = by_reliability(one).reliability
            for name in one.told.labeller.tolist():
                found[name].append(right[name])
    return {name: float(np.mean(each)) for name, each in found.items()}


def disputed(kind: Kind, judgements: Judgements, agreed: Agreement) -> list[dict[str, Any]]:
    """The questions of a kind on which people differ most, with what each of them said and what is made of it."""
    said: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    told = judgements.told
    for query, name, chances in zip(told.query, told.labeller, told.chances, strict=True):
        said[int(query)][str(name)] = chances
    spread = {query: float(np.var(list(each.values()), 0).sum()) for query, each in said.items()}
    worst = sorted((query for query in said if spread[query] > 0), key=lambda q: (-spread[q], -len(said[q]), -q))
    return [
        {
            "query": query, "kind": kind.name, "spread": spread[query],
            "said": dict(zip(said[query], kind.answers_of(np.array(list(said[query].values()))), strict=True)),
            "label": _chances(agreed.labels[query]),
        }
        for query in worst[:MOST_DISPUTED]
    ]  # fmt: skip


def _chances(label: np.ndarray) -> list[float] | None:
    return None if np.isnan(label).any() else [float(chance) for chance in label]
