"""Label aggregation: one label per question from several labellers' answers, by how often each of them is right.

Reliability is estimated as by Dawid and Skene (1979): expectation maximisation over the true answer to each question
and how often each labeller gives it, here with one number per labeller, since which segment comes first is chance. Against
the two confusion matrices of the original this halves the parameters to estimate from few shared questions; against
Bradley-Terry with a reliability per labeller (Chen et al. 2013) it needs no reward model, whose own mistakes would
otherwise decide whom to believe, and its labels depend on people's answers only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Engine, select

from prefrl.kinds import FIRST, Answer, Kind, kind_of
from prefrl.store.conditions import standing
from prefrl.store.database import reading
from prefrl.store.lookup import shown
from prefrl.store.rows import answer_rows, with_answer
from prefrl.store.tables import JUDGEMENTS, answers, questions

RIGHT, WRONG = 7.0, 1.0  # prior counts of each labeller's answers, by the error of Christiano et al. 2017
MAX_ITERATIONS, TOLERANCE = 500, 1e-10  # of expectation maximisation; tolerance on the reliabilities
SMALLEST_WEIGHT = 0.1  # of a label: the weight of one labeller who is right 55 % of the time; below it there is none
GRAIN = 0.05  # combined labels are rounded to this, so that not every new answer changes all of them a little


@dataclass(frozen=True)
class Judgements:
    """V judgements, one for each labeller and question, and the true answers that are known."""

    query: np.ndarray  # (V,) the store's number of the question
    labeller: np.ndarray  # (V,) names
    chances: np.ndarray  # (V, A) of the outcomes, by each answer; NaN: skipped
    truth: dict[int, np.ndarray] = field(default_factory=dict)  # question -> known chances (A,)

    def __len__(self) -> int:
        return len(self.query)

    @property
    def answered(self) -> Judgements:
        """The judgements that are not skips."""
        kept = ~np.isnan(self.chances).any(-1)
        return Judgements(self.query[kept], self.labeller[kept], self.chances[kept], self.truth)

    @property
    def comparable(self) -> bool:
        """Whether reliability can be estimated: two labellers judged the same question, or one with a known answer."""
        several = len(set(self.labeller.tolist())) > 1
        return several and (
            len(np.unique(self.query)) < len(self) or any(id in self.truth for id in self.query.tolist())
        )


def judgements(engine: Engine, until: int | None = None, kind: str = FIRST) -> Judgements:
    """The judgements of questions of a kind that stand in a store at the answer numbered `until`.

    Repeats, which check whether a labeller is consistent, are left out.
    """
    roles = answers.c.kind.in_((*JUDGEMENTS, "truth"))
    wanted = answer_rows().where(questions.c.kind == kind, roles, standing(until)).order_by(answers.c.seq)
    with reading(engine) as connection:
        rows = [with_answer(row) for row in connection.execute(wanted).mappings()]
    known = {row["query_id"]: row["answer"] for row in rows if row["kind"] == "truth" and row["answer"] is not None}
    first: dict[tuple[int, str], Answer | None] = {}
    for row in rows:
        if row["kind"] == "answer" or (row["kind"] == "opinion" and shown(row["details"], kind)["purpose"] != "repeat"):
            first.setdefault((row["query_id"], row["labeller"]), row["answer"])
    query, labeller = [id for id, _ in first], [name for _, name in first]
    truth = dict(zip(known, _chances(kind_of(kind), list(known.values())), strict=True))
    chances = _chances(kind_of(kind), list(first.values()))
    return Judgements(np.array(query, int), np.array(labeller, str), chances, truth)


def _chances(kind: Kind, given: Sequence[Answer | None]) -> np.ndarray:
    """Answers as chances of the outcomes, NaN for skips: (V, A)"""
    chances = np.full((len(given), len(kind.outcomes)), np.nan)
    if answered := {place: answer for place, answer in enumerate(given) if answer is not None}:
        chances[list(answered)] = kind.chances_of(kind.arrays(list(answered.values())))
    return chances


def opinions_given(engine: Engine, until: int) -> bool:
    """Whether any question has a second judgement: cheaper than reading all."""
    wanted = select(answers.c.seq).where(answers.c.kind == "opinion", answers.c.seq <= until).limit(1)
    with reading(engine) as connection:
        return connection.scalar(wanted) is not None


@dataclass(frozen=True)
class CombinedLabels:
    """Combined labels by question, and each labeller's reliability."""

    labels: dict[int, np.ndarray]  # chances of the outcomes (A,); NaN: all skipped, or no label
    reliability: dict[str, float]  # share of clear answers that are right; empty where it is not estimated


def by_reliability(judgements: Judgements) -> CombinedLabels:
    """Labels by labellers' reliability, estimated from the questions that they share.

    The outcome is decided by the odds (Dawid and Skene 1979). A tie says nothing about which outcome, but that they
    are alike: the label is the mean of even and decided answers, weighted by how far their labellers are from guessing.
    """
    judged = judgements.answered
    ids, question = np.unique(judged.query, return_inverse=True)
    names, labeller = np.unique(judged.labeller, return_inverse=True)
    outcomes = judged.chances.shape[-1]
    unknown = np.full(outcomes, np.nan)
    known = np.array([judged.truth.get(int(id), unknown) for id in ids]).reshape(len(ids), outcomes)
    right, posterior = _dawid_skene(question, labeller, judged.chances, known, len(names))
    # the weight of guessing is 0; of two outcomes, always wrong is as informative as always right
    weights = np.abs(outcomes * right - 1)[labeller] / (outcomes - 1)
    total = np.bincount(question, weights, len(ids))[:, None]
    decided = np.bincount(question, weights * _decided(judged.chances), len(ids))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        label = np.where(total < SMALLEST_WEIGHT, np.nan, (decided * posterior + (total - decided) / outcomes) / total)
    label = np.where(np.isnan(known), label, known)
    return CombinedLabels(_labels(judgements, ids, label), dict(zip(names.tolist(), right.tolist(), strict=True)))


def _decided(chances: np.ndarray) -> np.ndarray:
    """How far answers are from a tie, from 0 to 1: (V, A) -> (V,)"""
    outcomes = chances.shape[-1]
    return (outcomes * chances.max(-1, initial=0) - 1) / (outcomes - 1)


def _dawid_skene(
    question: np.ndarray, labeller: np.ndarray, chances: np.ndarray, known: np.ndarray, labellers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers by labeller (L,), and the chances of the outcomes by question (Q, A).

    question, who: (V,) indices; chances: (V, A); known: (Q, A) NaN where nothing is. Starts at the majority. A labeller
    is right with one probability, and wrong answers fall on the other outcomes alike.
    """
    outcomes, decided = chances.shape[-1], _decided(chances)
    best = chances == chances.max(-1, keepdims=True, initial=0)
    counts = np.bincount(labeller, decided, labellers) + RIGHT + WRONG
    right, posterior = np.full(labellers, RIGHT / (RIGHT + WRONG)), known
    for _ in range(MAX_ITERATIONS):
        odds = np.zeros(known.shape)
        np.add.at(odds, question, chances * np.log((outcomes - 1) * right / (1 - right))[labeller, None])
        likely = np.exp(odds - odds.max(-1, keepdims=True, initial=-np.inf))
        posterior = np.where(np.isnan(known), likely / likely.sum(-1, keepdims=True), known)
        agree = (posterior[question] * best).sum(-1) / best.sum(-1)
        before, right = right, (np.bincount(labeller, decided * agree, labellers) + RIGHT) / counts
        if np.abs(right - before).max(initial=0) < TOLERANCE:
            break
    return right, posterior


def by_mean(judgements: Judgements) -> CombinedLabels:
    """Labels as the mean of all answers: a majority becomes a probability."""
    judged = judgements.answered
    ids, question = np.unique(judged.query, return_inverse=True)
    votes = np.bincount(question, minlength=len(ids))
    sums = [np.bincount(question, column, len(ids)) for column in judged.chances.T]
    return CombinedLabels(_labels(judgements, ids, np.stack(sums, -1) / votes[:, None]), {})


def _labels(judgements: Judgements, ids: np.ndarray, label: np.ndarray) -> dict[int, np.ndarray]:
    """Rounded labels by question, NaN where all skipped. label: (Q, A); the last outcome gets what the others leave"""
    rounded = np.round(label / GRAIN) * GRAIN
    rounded[:, -1] = np.maximum(0, 1 - rounded[:, :-1].sum(-1))
    rounded /= rounded.sum(-1, keepdims=True)
    skipped = np.full(label.shape[-1], np.nan)
    return dict.fromkeys(judgements.query.tolist(), skipped) | dict(zip(ids.tolist(), rounded, strict=True))


COMBINE: dict[str, tuple[Callable[[Judgements], CombinedLabels] | None, str]] = {
    "reliability": (by_reliability, "weighed by how often each labeller is right, estimated (Dawid and Skene 1979)"),
    "mean": (by_mean, "everybody's word counts the same"),
    "first": (None, "the first answer stands, later opinions are kept for statistics"),
}
"""Name -> how opinions on one question are combined, and a line for `prefrl list`."""
