"""How far labellers can be relied on: known answers, second looks, and what they make of the questions they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

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


def known_answers(rows: Iterable[Row], truth: dict[int, float]) -> dict[str, Any] | None:
    """How often this person's first word on a question with a known answer was right. A tie is wrong, a skip no word."""
    first: dict[int, float] = {}
    for row in rows:
        if row["query_id"] in truth and row["preference"] is not None:
            first.setdefault(row["query_id"], row["preference"])
    return share(sum(told == truth[query] for query, told in first.items()), len(first))


def second_looks(rows: Iterable[Row]) -> dict[str, dict[str, int] | None]:
    """Of the pairs that this person judged again, how many got the same answer: with the same sides, and mirrored."""
    judged: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row["preference"] is not None:
            judged[row["query_id"]].append(row)
    same: dict[bool, list[bool]] = {False: [], True: []}
    for first, *later in judged.values():
        if later:
            turned = first["about"]["mirrored"] != later[-1]["about"]["mirrored"]
            same[turned].append(first["preference"] == later[-1]["preference"])
    told = {turned: {"agree": sum(alike), "n": len(alike)} if alike else None for turned, alike in same.items()}
    return {"self_agreement": told[False], "mirrored_agreement": told[True]}


def reliability(judgements: Judgements) -> dict[str, float]:
    """How often each labeller is right, as estimated; empty where nothing tells."""
    return by_reliability(judgements).reliability if judgements.comparable else {}


def disputed(judgements: Judgements, agreed: Agreement) -> list[dict[str, Any]]:
    """The questions on which people differ most, with what each of them said and what is made of it."""
    said: dict[int, dict[str, float]] = defaultdict(dict)
    told = judgements.told
    for query, name, preference in zip(told.query, told.labeller, told.chances[:, 0], strict=True):
        said[int(query)][str(name)] = float(preference)
    spread = {query: float(np.var(list(each.values()))) for query, each in said.items()}
    worst = sorted((query for query in said if spread[query] > 0), key=lambda q: (-spread[q], -len(said[q]), -q))
    return [
        {"query": query, "said": said[query], "label": _number(float(agreed.labels[query][0]))}
        for query in worst[:MOST_DISPUTED]
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
