"""Report for the experimenter: each labeller's consistency, position bias and speed, and the reward model's accuracy."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean

from prefrl.kinds import Answer, kind_of
from prefrl.labelling import messages as m
from prefrl.labelling import reliability
from prefrl.labelling.questions import Questions
from prefrl.labelling.reliability import Row, by
from prefrl.labelling.status import pace
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.crowd import COMBINE, Judgements, by_mean, judgements

ENOUGH_SIDES, SIDE_P = 30, 0.001  # clear choices, and how unlikely their sides must be
ENOUGH_REPEATS, LEAST_AGREEMENT = 20, 0.7  # 14 of 20 catches 98 % of coin-flippers and 1 % of those right 9 times in 10
ENOUGH_TIMES, TOO_FAST = 20, 0.7  # answers, seconds
LEAST_RIGHT = 0.9  # of clear answers; flagged if the whole interval lies below it
MOST_MINUTES = 24 * 60
FRESH = 2.0  # seconds


class Reports:
    """The team report, computed at most every two seconds. It removes no answer; flags are for people to look at."""

    def __init__(self, store: LabelStore, questions: Questions, combine: str = "reliability"):
        """combine: how the run's learner combines opinions"""
        self.store, self.questions, self.combine = store, questions, COMBINE[combine][0] or by_mean
        self._lock = threading.Lock()
        self._at = -FRESH
        self._latest: m.Team

    def latest(self) -> m.Team:
        with self._lock:
            if time.monotonic() - self._at > FRESH:
                self._latest, self._at = self._report(), time.monotonic()
            return self._latest

    def _report(self) -> m.Team:
        rows = lookup.since(self.store, 0)
        for row in rows:
            row["about"] = lookup.shown(row["details"], row["asked_kind"])
        standing = [row for row in rows if row["kind"] != "withdrawal" and row["superseded_by"] is None]
        kinds = [name for name in sorted(by(rows, "asked_kind")) if kind_of(name).outcomes]
        votes = {name: judgements(self.store.engine, kind=name) for name in kinds}
        known = lookup.truth(self.store, [query for each in votes.values() for query in each.truth])
        truth = {query: row["answer"] for query, row in known.items()}
        oldest, reliable = lookup.oldest_open(self.store), reliability.reliability(votes.values())
        labellers = sorted(by(standing, "labeller").items())
        return {
            "labellers": [_labeller(name, own, truth, reliable.get(name)) for name, own in labellers],
            "agreement": reliability.agreement(standing),
            "model": model_accuracy(standing),
            "per_minute": _per_minute(standing),
            "open": {
                "waiting": self.store.counts().open,
                "oldest_seconds": None if oldest is None else max(0.0, time.time() - oldest),
            },
            "corrections": sum(row["supersedes"] is not None for row in rows),
            "disputed": self._disputed(votes),
        }

    def _disputed(self, votes: dict[str, Judgements]) -> list[m.Disputed]:
        found = [
            each for name, of in votes.items() for each in reliability.disputed(kind_of(name), of, self.combine(of))
        ]
        worst = sorted(found, key=lambda each: -each["spread"])[: reliability.MOST_DISPUTED]
        places = lookup.places(self.store, [each["query"] for each in worst])
        for each in worst:
            place = places[each["query"]]
            each["clips"] = self.questions.clips(place, range(place.segments))
        return worst


def _labeller(name: str, rows: list[Row], truth: dict[int, Answer], reliable: float | None) -> m.LabellerReport:
    speed = pace([(row["answered_at"], row["response_seconds"]) for row in rows])
    places, known = reliability.place_shares(rows), reliability.known_answers(rows, truth)
    same, reordered = reliability.self_agreement(rows)
    timed = sum(row["response_seconds"] is not None for row in rows)
    answered = [row for row in rows if row["answer"] is not None]
    return {
        "name": name, **speed,
        "skips": len(rows) - len(answered),
        "undecided": sum(row["answer"] == kind_of(row["asked_kind"]).undecided for row in answered),
        "places": places, "self_agreement": same, "reordered_agreement": reordered, "gold": known,
        "reliability": reliable, "flags": flags(places, [same, reordered], known, speed["median_seconds"], timed),
    }  # fmt: skip


def flags(
    places: Iterable[m.PlaceShare], consistency: Iterable[m.Consistency | None], known: m.Share | None,
    median: float | None, timed: int,
) -> list[str]:  # fmt: skip
    """Warnings about a labeller for the experimenter, in words."""
    warnings = []
    repeated = [each for each in consistency if each]
    if any(place["n"] >= ENOUGH_SIDES and place["p"] < SIDE_P for place in places):
        warnings.append("prefers one side")
    n = sum(each["n"] for each in repeated)
    if n >= ENOUGH_REPEATS and sum(each["agree"] for each in repeated) <= LEAST_AGREEMENT * n:
        warnings.append("contradicts own answers")
    if known and known["high"] < LEAST_RIGHT:
        warnings.append("misses clear answers")
    if median is not None and timed >= ENOUGH_TIMES and median < TOO_FAST:
        warnings.append("answers faster than clips can be seen")
    return warnings


def model_accuracy(rows: Iterable[Row]) -> m.ModelReport:
    """Accuracy of the reward model on clear answers, by predictions made before it could learn from them."""
    right: dict[int, list[bool]] = defaultdict(list)
    for row in rows:
        model = row["about"]["model"]
        correct = kind_of(row["asked_kind"]).predicted_right(model and model.get("chances"), row["answer"])
        if correct is not None:
            right[model["version"]].append(correct)
    every = [hit for hits in right.values() for hit in hits]
    return {
        "accuracy": fmean(every) if every else None, "n": len(every),
        "by_version": [{"version": v, "accuracy": fmean(hits), "n": len(hits)} for v, hits in sorted(right.items())],
    }  # fmt: skip


def _per_minute(rows: Iterable[Row]) -> list[m.MinuteCount]:
    counts = Counter((int(row["answered_at"] // 60) * 60, row["labeller"]) for row in rows)
    latest = sorted(counts.items())[-MOST_MINUTES:]
    return [{"minute": minute, "labeller": name, "answers": count} for (minute, name), count in latest]
