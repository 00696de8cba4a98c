"""Reliability of labellers: known answers, repeated questions, agreement and disagreement on shared questions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from prefrl.kinds import Answer, Kind, kind_of
from prefrl.labelling import messages as m
from prefrl.teachers.crowd import CombinedLabels, Judgements, by_reliability

MOST_DISPUTED = 8

Row = dict[str, Any]
"""A row of the store. Statistics take judgements that stand, each with its display under "about"."""


def share(count: int, n: int) -> m.Share | None:
    """A share with its 95 % interval (Clopper and Pearson 1934); None if n is 0."""
    if not n:
        return None
    from scipy.special import betaincinv  # a third of a second to load, and a server needs it for this page only

    low = float(betaincinv(count, n - count + 1, 0.025)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 0.975)) if count < n else 1.0
    return {"share": count / n, "low": low, "high": high, "n": n}


def by(rows: Iterable[Row], part: str) -> dict[Any, list[Row]]:
    """Rows by one of their values."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[part]].append(row)
    return groups


def first_answers(rows: Iterable[Row]) -> dict[int, Row]:
    """The first answer to each question; skips do not count."""
    first: dict[int, Row] = {}
    for row in rows:
        if row["answer"] is not None:
            first.setdefault(row["query_id"], row)
    return first


def agree(one: Row, other: Row) -> bool:
    """Whether two answers to one question agree. Neither is a skip."""
    return kind_of(one["asked_kind"]).agree(one["answer"], other["answer"])


def known_answers(rows: Iterable[Row], truth: dict[int, Answer]) -> m.Share | None:
    """m.Share of right first answers to questions whose answer is known. Skips do not count."""
    checked = [row for query, row in first_answers(rows).items() if query in truth]
    return share(sum(agree(row, {**row, "answer": truth[row["query_id"]]}) for row in checked), len(checked))


def self_agreement(rows: Iterable[Row]) -> tuple[m.Consistency | None, m.Consistency | None]:
    """Self-agreement on questions answered twice: with the clips in the same order, and reordered."""
    same: list[bool] = []
    reordered: list[bool] = []
    for first, *later in by((row for row in rows if row["answer"] is not None), "query_id").values():
        if later:
            kept = first["about"]["order"] == later[-1]["about"]["order"]
            (same if kept else reordered).append(agree(first, later[-1]))
    return _consistency(same), _consistency(reordered)


def _consistency(alike: list[bool]) -> m.Consistency | None:
    return {"agree": sum(alike), "n": len(alike)} if alike else None


def reliability(judgements: Iterable[Judgements]) -> dict[str, float]:
    """Estimated accuracy of each labeller, the mean over their answers; empty where no two answers can be compared."""
    accuracies: dict[str, list[float]] = defaultdict(list)
    for of_kind in judgements:
        if of_kind.comparable:
            accuracy = by_reliability(of_kind).reliability
            for name in of_kind.answered.labeller.tolist():
                accuracies[name].append(accuracy[name])
    return {name: float(np.mean(each)) for name, each in accuracies.items()}


def agreement(rows: Iterable[Row]) -> list[m.PairAgreement]:
    """Pairwise agreement of labellers on the questions that both have answered, by their first answers."""
    first = {name: first_answers(own) for name, own in by(rows, "labeller").items()}
    pairs: list[m.PairAgreement] = []
    for a, b in combinations(sorted(first), 2):
        both = sorted(first[a].keys() & first[b].keys())
        if both:
            alike = sum(agree(first[a][query], first[b][query]) for query in both) / len(both)
            categories = [[_category(first[name][query]) for query in both] for name in (a, b)]
            pairs.append({"a": a, "b": b, "agree": alike, "n": len(both), "kappa": kappa(*categories)})
    return pairs


def _category(row: Row) -> str:
    """A stored answer as a category for kappa."""
    kind = kind_of(row["asked_kind"])
    choice = kind.choice_of(row["answer"])
    return f"{kind.name} {choice.word if choice else json.dumps(row['answer'], sort_keys=True)}"


def kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float | None:
    """Agreement beyond chance (Cohen 1960): 1 for perfect, 0 for chance level; None where chance agreement is 1."""
    n = len(a)
    of_a, of_b = Counter(a), Counter(b)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    chance = sum(of_a[value] * of_b[value] for value in of_a) / n**2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def place_shares(rows: Iterable[Row]) -> list[m.PlaceShare]:
    """Position bias: for each kind of question, how often the most preferred place was preferred; of two, the first.

    With its 95 % interval (Clopper and Pearson 1934), and the p-value of answers this one-sided without a position
    bias: a binomial tail for the likeliest place, times the number of places (Bonferroni).
    """
    from scipy.special import bdtr, bdtrc  # as above

    shares: list[m.PlaceShare] = []
    for name, asked in sorted(by(rows, "asked_kind").items()):
        kind = kind_of(name)
        displayed = [kind.as_displayed(row["answer"], row["about"]["order"]) for row in asked]
        favoured = Counter(kind.favoured(answer) for answer in displayed if answer is not None)
        counts = [favoured[place] for place in range(kind.segments)]
        place = 0 if kind.segments == 2 else int(np.argmax(counts))  # of two places one share is enough
        count, n, fair = counts[place], sum(counts), 1 / kind.segments
        if kind.segments > 1 and (part := share(count, n)):
            tail = min(float(bdtr(count, n, fair)), float(bdtrc(count - 1, n, fair)) if count else 1.0)
            shares.append({"kind": name, "place": kind.places[place], **part, "p": min(1.0, kind.segments * tail)})
    return shares


def disputed(kind: Kind, judgements: Judgements, combined: CombinedLabels) -> list[m.Disputed]:
    """The questions of a kind on which people differ most, with their answers and the combined label; without clips."""
    answers: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    rows = judgements.answered
    for query, name, chances in zip(rows.query, rows.labeller, rows.chances, strict=True):
        answers[int(query)][str(name)] = chances
    spread = {query: float(np.var(list(each.values()), 0).sum()) for query, each in answers.items()}
    worst = sorted((query for query in answers if spread[query] > 0), key=lambda q: (-spread[q], -len(answers[q]), -q))
    found: list[m.Disputed] = []
    for query in worst[:MOST_DISPUTED]:
        names, label = sorted(answers[query]), combined.labels[query]
        given = kind.answers_of(np.array([answers[query][name] for name in names]))
        found.append({
            "query": query, "kind": kind.name, "spread": spread[query],
            "said": [{"labeller": name, "words": kind.words(answer)} for name, answer in zip(names, given, strict=True)],
            "label": None if np.isnan(label).any() else [float(chance) for chance in label], "clips": None,
        })  # fmt: skip
    return found
