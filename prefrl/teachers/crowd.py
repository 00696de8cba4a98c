"""What several labellers together say about a question, given how often each of them is right.

Reliability is estimated as by Dawid and Skene (1979): expectation maximisation over what is true of each question and
how often each labeller says so, here with one number per labeller, since which segment comes first is chance. Against
the two confusion matrices of the original this halves what has to be learned from few shared questions; against
Bradley-Terry with a reliability per labeller (Chen et al. 2013) it needs no reward model, whose own mistakes would
otherwise decide whom to believe, and its labels stay what people said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

RIGHT, WRONG = 7.0, 1.0  # what every labeller is taken to have answered before: the error of Christiano et al. 2017
MOST_ROUNDS, CLOSE = 500, 1e-10  # of expectation maximisation, and the change of a reliability at which it ends
LEAST = 0.1  # of `weights`: whose word is worth less in sum say nothing; that of one who is right 55 % of the time
GRAIN = 0.05  # combined labels are rounded to this, so that not every new answer changes all of them a little


@dataclass(frozen=True)
class Judgements:
    """What labellers said, V judgements, one for each labeller and question; and what is known besides."""

    query: np.ndarray  # (V,) the store's number of the question
    labeller: np.ndarray  # (V,) names
    chances: np.ndarray  # (V, A) of the outcomes, as each answer says; NaN: could not tell
    truth: dict[int, np.ndarray] = field(default_factory=dict)  # question -> known chances (A,)

    def __len__(self) -> int:
        return len(self.query)

    @property
    def told(self) -> Judgements:
        """Without those who could not tell."""
        some = ~np.isnan(self.chances).any(-1)
        return Judgements(self.query[some], self.labeller[some], self.chances[some], self.truth)

    @property
    def comparable(self) -> bool:
        """Whether it can be known who is right more often: two people judged the same question, or a known one."""
        several = len(set(self.labeller.tolist())) > 1
        return several and (
            len(np.unique(self.query)) < len(self) or any(id in self.truth for id in self.query.tolist())
        )


@dataclass(frozen=True)
class Agreement:
    """What was made of judgements: labels by question, and by labeller how often they are right."""

    labels: dict[int, np.ndarray]  # chances of the outcomes (A,); NaN: nobody could tell
    reliability: dict[str, float]  # share of clear answers that are right; empty where it is not estimated


def by_reliability(judgements: Judgements) -> Agreement:
    """Weigh each labeller's word by how reliable they are, estimated from the questions that they share.

    The outcome is decided by the odds (Dawid and Skene 1979). A tie says nothing about it, but that the outcomes are
    alike: the label is the mean of even and decided answers, weighted by how far their labellers are from guessing.
    """
    said = judgements.told
    ids, question = np.unique(said.query, return_inverse=True)
    names, who = np.unique(said.labeller, return_inverse=True)
    outcomes = said.chances.shape[-1]
    nothing = np.full(outcomes, np.nan)
    known = np.array([said.truth.get(int(id), nothing) for id in ids]).reshape(len(ids), outcomes)
    right, posterior = _dawid_skene(question, who, said.chances, known, len(names))
    # a guesser's weight is 0; of two outcomes one who is always wrong tells as much as one always right
    weights = np.abs(outcomes * right - 1)[who] / (outcomes - 1)
    total = np.bincount(question, weights, len(ids))[:, None]
    decided = np.bincount(question, weights * _decided(said.chances), len(ids))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        label = np.where(total < LEAST, np.nan, (decided * posterior + (total - decided) / outcomes) / total)
    label = np.where(np.isnan(known), label, known)
    return Agreement(_labels(judgements, ids, label), dict(zip(names.tolist(), right.tolist(), strict=True)))


def _decided(chances: np.ndarray) -> np.ndarray:
    """How far answers are from a tie, from 0 to 1: (V, A) -> (V,)"""
    outcomes = chances.shape[-1]
    return (outcomes * chances.max(-1, initial=0) - 1) / (outcomes - 1)


def _dawid_skene(
    question: np.ndarray, who: np.ndarray, chances: np.ndarray, known: np.ndarray, labellers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers by labeller (L,), and the chances of the outcomes by question (Q, A).

    question, who: (V,) indices; chances: (V, A); known: (Q, A) NaN where nothing is. Starts at the majority. A labeller
    is right with one probability, and wrong answers fall on the other outcomes alike.
    """
    outcomes, decided = chances.shape[-1], _decided(chances)
    best = chances == chances.max(-1, keepdims=True, initial=0)
    said = np.bincount(who, decided, labellers) + RIGHT + WRONG
    right, posterior = np.full(labellers, RIGHT / (RIGHT + WRONG)), known
    for _ in range(MOST_ROUNDS):
        odds = np.zeros(known.shape)
        np.add.at(odds, question, chances * np.log((outcomes - 1) * right / (1 - right))[who, None])
        likely = np.exp(odds - odds.max(-1, keepdims=True, initial=-np.inf))
        posterior = np.where(np.isnan(known), likely / likely.sum(-1, keepdims=True), known)
        agree = (posterior[question] * best).sum(-1) / best.sum(-1)
        before, right = right, (np.bincount(who, decided * agree, labellers) + RIGHT) / said
        if np.abs(right - before).max(initial=0) < CLOSE:
            break
    return right, posterior


def by_mean(judgements: Judgements) -> Agreement:
    """Every labeller's word counts the same: a majority becomes a probability."""
    said = judgements.told
    ids, question = np.unique(said.query, return_inverse=True)
    votes = np.bincount(question, minlength=len(ids))
    sums = [np.bincount(question, column, len(ids)) for column in said.chances.T]
    return Agreement(_labels(judgements, ids, np.stack(sums, -1) / votes[:, None]), {})


def _labels(judgements: Judgements, ids: np.ndarray, label: np.ndarray) -> dict[int, np.ndarray]:
    """label: (Q, A), rounded here; the last outcome gets what the others leave"""
    rounded = np.round(label / GRAIN) * GRAIN
    rounded[:, -1] = np.maximum(0, 1 - rounded[:, :-1].sum(-1))
    rounded /= rounded.sum(-1, keepdims=True)
    nobody = np.full(label.shape[-1], np.nan)
    return dict.fromkeys(judgements.query.tolist(), nobody) | dict(zip(ids.tolist(), rounded, strict=True))


COMBINE: dict[str, tuple[Callable[[Judgements], Agreement] | None, str]] = {
    "reliability": (by_reliability, "weighed by how often each labeller is right, estimated (Dawid and Skene 1979)"),
    "mean": (by_mean, "everybody's word counts the same"),
    "first": (None, "the first answer stands, later opinions are kept for statistics"),
}
"""Name -> how opinions on one question are combined, and a line for `prefrl list`."""
