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
    preference: np.ndarray  # (V,) probability that the first is better; NaN: could not tell
    truth: dict[int, float] = field(default_factory=dict)  # question -> known preference

    def __len__(self) -> int:
        return len(self.query)

    @property
    def told(self) -> Judgements:
        """Without those who could not tell."""
        some = ~np.isnan(self.preference)
        return Judgements(self.query[some], self.labeller[some], self.preference[some], self.truth)

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

    labels: dict[int, float]  # probability that the first is better; NaN: nobody could tell
    reliability: dict[str, float]  # share of clear answers that are right; empty where it is not estimated


def by_reliability(judgements: Judgements) -> Agreement:
    """Weigh each labeller's word by how reliable they are, estimated from the questions that they share.

    The side is decided by the odds (Dawid and Skene 1979). A tie says nothing about the side, but that the segments
    are alike: the label is the mean of tied and sided answers, weighted by how far their labellers are from guessing.
    """
    said = judgements.told
    ids, question = np.unique(said.query, return_inverse=True)
    names, who = np.unique(said.labeller, return_inverse=True)
    known = np.array([said.truth.get(int(id), np.nan) for id in ids])
    lean = 2 * said.preference - 1  # (V,) from -1, the second is better, to 1; 0 is a tie
    right, first = _dawid_skene(question, who, lean, known, len(names))
    weights = np.abs(2 * right - 1)[who]  # a guesser's is 0; one who is always wrong tells as much as one always right
    total = np.bincount(question, weights, len(ids))
    sided = np.bincount(question, weights * np.abs(lean), len(ids))
    with np.errstate(invalid="ignore", divide="ignore"):
        label = np.where(total < LEAST, np.nan, (sided * first + (total - sided) * 0.5) / total)
    label = np.where(np.isnan(known), label, known)
    return Agreement(_labels(judgements, ids, label), dict(zip(names.tolist(), right.tolist(), strict=True)))


def _dawid_skene(
    question: np.ndarray, who: np.ndarray, lean: np.ndarray, known: np.ndarray, labellers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Share of right answers by labeller (L,), and the probability that the first is better by question (Q,).

    question, who: (V,) indices; lean: (V,) in [-1, 1]; known: (Q,) NaN where it is not. Starts at the majority.
    """
    said = np.bincount(who, np.abs(lean), labellers) + RIGHT + WRONG
    right, first = np.full(labellers, RIGHT / (RIGHT + WRONG)), known
    for _ in range(MOST_ROUNDS):
        odds = np.bincount(question, lean * np.log(right / (1 - right))[who], len(known))
        first = np.where(np.isnan(known), (1 + np.tanh(odds / 2)) / 2, known)  # a sigmoid that never overflows
        agree = np.where(lean > 0, first[question], 1 - first[question])
        before, right = right, (np.bincount(who, np.abs(lean) * agree, labellers) + RIGHT) / said
        if np.abs(right - before).max(initial=0) < CLOSE:
            break
    return right, first


def by_mean(judgements: Judgements) -> Agreement:
    """Every labeller's word counts the same: a majority becomes a probability."""
    said = judgements.told
    ids, question = np.unique(said.query, return_inverse=True)
    label = np.bincount(question, said.preference, len(ids)) / np.bincount(question, minlength=len(ids))
    return Agreement(_labels(judgements, ids, label), {})


def _labels(judgements: Judgements, ids: np.ndarray, label: np.ndarray) -> dict[int, float]:
    rounded = np.round(label / GRAIN) * GRAIN
    return dict.fromkeys(judgements.query.tolist(), float("nan")) | dict(
        zip(ids.tolist(), rounded.tolist(), strict=True)
    )


COMBINE: dict[str, tuple[Callable[[Judgements], Agreement] | None, str]] = {
    "reliability": (by_reliability, "weighed by how often each labeller is right, estimated (Dawid and Skene 1979)"),
    "mean": (by_mean, "everybody's word counts the same"),
    "first": (None, "the first answer stands, later opinions are kept for statistics"),
}
"""Name -> how opinions on one question are combined, and a line for `prefrl list`."""
