"""Statistics of labellers (agreement, consistency, position bias, speed) and of the reward model, from the stored answers."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from prefrl.kinds import Answer, kind_of
from prefrl.labelling import checks
from prefrl.labelling.pace import pace
from prefrl.labelling.questions import Questions
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.crowd import COMBINE, Judgements, by_mean, judgements

ENOUGH_SIDES, SIDE_P = 30, 0.001  # clear choices, and how unlikely their sides must be
ENOUGH_REPEATS, LEAST_AGREEMENT = 20, 0.7  # 14 of 20 catches 98 % of coin-flippers and 1 % of those right 9 times in 10
ENOUGH_TIMES, TOO_FAST = 20, 0.7  # answers, seconds
LEAST_RIGHT = 0.9  # of clear answers; flagged if the whole interval lies below it
MOST_MINUTES = 24 * 60
FRESH = 2.0  # seconds

Row = dict[str, Any]


class Reports:
    """The team report, computed at most every two seconds."""

    def __init__(self, store: LabelStore, questions: Questions, combine: str = "reliability"):
        """combine: how the run's learner combines opinions"""
        self.store, self.questions, self.combine, self._lock = store, questions, combine, threading.Lock()
        self._at = -FRESH
        self._latest: dict[str, Any] = {}

    def latest(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() - self._at > FRESH:
                self._latest, self._at = self._report(), time.monotonic()
            return self._latest

    def _report(self) -> dict[str, Any]:
        rows = lookup.since(self.store, 0)
        names = [name for name in _by(rows, "asked_kind") if kind_of(name).outcomes]
        votes = {name: judgements(self.store.engine, kind=name) for name in sorted(names)}
        disputed = [self._with_clips(one) for one in self._disputed(votes)]
        return {**report(self.store, rows, votes), "disputed": disputed}

    def _disputed(self, votes: dict[str, Judgements]) -> list[dict[str, Any]]:
        combine = COMBINE[self.combine][0] or by_mean
        rows = [one for name, each in votes.items() for one in checks.disputed(kind_of(name), each, combine(each))]
        return sorted(rows, key=lambda one: -one["spread"])[: checks.MOST_DISPUTED]

    def _with_clips(self, one: dict[str, Any]) -> dict[str, Any]:
        """A disputed question with its segments in stored order."""
        place = lookup.places(self.store, [one["query"]])[one["query"]]
        kind = kind_of(place.kind)
        answers = [{"labeller": name, "words": kind.words(answer)} for name, answer in sorted(one["said"].items())]
        clips = self.questions.clips(place, range(place.segments))
        return {**one, "said": answers, "clips": clips}


def report(store: LabelStore, rows: list[Row], votes: dict[str, Judgements]) -> dict[str, Any]:
    """The report of the Team page. It removes no answer; flags are for people to look at."""
    standing = [row for row in rows if row["kind"] != "withdrawal" and row["superseded_by"] is None]
    for row in rows:
        row["about"] = lookup.shown(row["details"], row["asked_kind"])
    oldest, reliable = lookup.oldest_open(store), checks.reliability(votes.values())
    known = [query for each in votes.values() for query in each.truth]
    truth = {query: row["answer"] for query, row in lookup.truth(store, known).items()}
    return {
        "labellers": [
            {**_labeller(name, rows, truth), "reliability": reliable.get(name)}
            for name, rows in sorted(_by(standing, "labeller").items())
        ],
        "agreement": agreement(standing),
        "model": model_accuracy(standing),
        "per_minute": _per_minute(standing),
        "open": {"waiting": store.counts().open, "oldest_seconds": oldest and max(0.0, time.time() - oldest)},
        "corrections": sum(row["supersedes"] is not None for row in rows),
    }


def _by(rows: Iterable[Row], part: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[part]].append(row)
    return groups


def _labeller(name: str, rows: list[Row], truth: dict[int, Answer]) -> dict[str, Any]:
    speed = pace([(row["answered_at"], row["response_seconds"]) for row in rows])
    places, looks, known = place_shares(rows), checks.second_looks(rows), checks.known_answers(rows, truth)
    timed = sum(row["response_seconds"] is not None for row in rows)
    return {
        "name": name, **speed,
        "skips": sum(row["answer"] is None for row in rows),
        "undecided": sum(_undecided(row) for row in rows),
        "places": places, **looks, "gold": known,
        "flags": flags(places, list(looks.values()), known, speed["median_seconds"], timed),
    }  # fmt: skip


def _undecided(row: Row) -> bool:
    return row["answer"] is not None and row["answer"] == kind_of(row["asked_kind"]).undecided


def flags(
    places: list[dict[str, Any]], looks: list[dict[str, int] | None], known: dict[str, Any] | None,
    median: float | None, timed: int,
) -> list[str]:  # fmt: skip
    """Warnings about a labeller for the experimenter, in words."""
    warnings = []
    agree, n = (sum(one[part] for one in looks if one) for part in ("agree", "n"))
    if any(one["n"] >= ENOUGH_SIDES and one["p"] < SIDE_P for one in places):
        warnings.append("prefers one side")
    if n >= ENOUGH_REPEATS and agree <= LEAST_AGREEMENT * n:
        warnings.append("contradicts own answers")
    if known and known["high"] < LEAST_RIGHT:
        warnings.append("misses clear answers")
    if median is not None and timed >= ENOUGH_TIMES and median < TOO_FAST:
        warnings.append("answers faster than clips can be seen")
    return warnings


def place_shares(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Position bias: for each kind of question, how often the most preferred place was preferred; of two, the first.

    With its 95 % interval (Clopper and Pearson 1934), and the p-value of answers this one-sided without a position
    bias: a binomial tail for the likeliest place, times the number of places (Bonferroni).
    """
    shares = []
    for name, asked in sorted(_by(rows, "asked_kind").items()):
        kind = kind_of(name)
        displayed = [kind.as_displayed(row["answer"], row["about"]["order"]) for row in asked]
        favoured = Counter(kind.favoured(answer) for answer in displayed if answer is not None)
        counts = [favoured[place] for place in range(kind.segments)]
        if kind.segments > 1 and any(counts):
            place = 0 if kind.segments == 2 else int(np.argmax(counts))  # of two places one share is enough
            shares.append({"kind": name, "place": kind.places[place], **_place_share(counts, place)})
    return shares


def _place_share(counts: Sequence[int], place: int) -> dict[str, Any]:
    from scipy.special import bdtr, bdtrc  # a third of a second to load, and a server needs it for this page only

    n, fair, count = sum(counts), 1 / len(counts), counts[place]
    tail = min(float(bdtr(count, n, fair)), float(bdtrc(count - 1, n, fair)) if count else 1.0)
    return {**(checks.share(count, n) or {}), "p": min(1.0, len(counts) * tail)}


def agreement(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Pairwise agreement of labellers on the questions that both have answered, by their first answers."""
    first: dict[str, dict[int, Row]] = defaultdict(dict)
    for row in rows:
        if row["answer"] is not None:
            first[row["labeller"]].setdefault(row["query_id"], row)
    pairs = []
    for a, b in combinations(sorted(first), 2):
        both = sorted(first[a].keys() & first[b].keys())
        if both:
            alike = sum(checks.agree(first[a][query], first[b][query]) for query in both) / len(both)
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


def model_accuracy(rows: Iterable[Row]) -> dict[str, Any]:
    """Accuracy of the reward model on clear answers, by predictions made before it could learn from them."""
    right: dict[int, list[bool]] = defaultdict(list)
    for row in rows:
        model = row["about"]["model"]
        predicted_right = kind_of(row["asked_kind"]).predicted_right(model and model.get("chances"), row["answer"])
        if predicted_right is not None:
            right[model["version"]].append(predicted_right)
    every = [hit for hits in right.values() for hit in hits]
    by_version = [{"version": v, "accuracy": _share(hits), "n": len(hits)} for v, hits in sorted(right.items())]
    return {"accuracy": _share(every) if every else None, "n": len(every), "by_version": by_version}


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def _per_minute(rows: Iterable[Row]) -> list[dict[str, Any]]:
    counts = Counter((int(row["answered_at"] // 60) * 60, row["labeller"]) for row in rows)
    latest = sorted(counts.items())[-MOST_MINUTES:]
    return [{"minute": minute, "labeller": name, "answers": count} for (minute, name), count in latest]
