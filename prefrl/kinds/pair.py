"""The kind `pair`: preferences between two segments (Christiano et al. 2017).

An answer is the probability that the first segment is the better one: 1 first, 0 second, 1/2 equally good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from prefrl.core.errors import UserError
from prefrl.kinds.base import ROUNDING, Answer, Choice, Kind, Perceived
from prefrl.kinds.pair_metrics import preference_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Preference(BaseModel):
    """An answer to a pair."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    preference: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    """Probability that the first segment is the better one; .5: equally good."""


def _answer(preference: float) -> Answer:
    return {"preference": preference}


class Pair(Kind):
    """Which of two segments is better?"""

    name = "pair"
    about = "which of two segments is better (Christiano et al. 2017)"
    segments = 2
    question = "Which clip is better?"
    places = ("left", "right")
    outcomes = ("left", "right")
    schema = Preference
    undecided = _answer(0.5)
    choices = (
        Choice("left", "Left is better", "Left", "ArrowLeft", "←", "left", _answer(1.0),
               "better things happen in the left clip, even if only a little"),
        Choice("equal", "Equally good", "Equal", "ArrowUp", "↑", "up", _answer(0.5),
               "both are equally good, or equally bad: you would not trade one for the other"),
        Choice("skip", "Can't tell", "Can't tell", "ArrowDown", "↓", "down", None,
               "you cannot tell; try to use it seldom"),
        Choice("right", "Right is better", "Right", "ArrowRight", "→", "right", _answer(0.0),
               "better things happen in the right clip, even if only a little"),
    )  # fmt: skip
    prompt = """\
You compare two short clips of an agent's behaviour. Each clip is one picture: frames of it, evenly spaced in time, to be \
read like text, row by row from left to right; the first frame is at the top left, the last at the bottom right.
Judge only what happens in the clips. Which of them is called left and which right means nothing.
Answer with one JSON object and nothing else: {"reason": "one sentence", "answer": "left" | "right" | "equal" | "unsure"}
left, right: that clip is better. equal: they are equally good. unsure: it cannot be told from these frames."""

    def read(self, given: Any, questions: int) -> list[Answer | None]:
        """A number for each question: the probability that the first is better, NaN or None to skip. Or answers."""
        if isinstance(given, list | tuple) and any(isinstance(answer, dict) for answer in given):
            return super().read(given, questions)
        try:
            values = np.asarray(given, float)
        except (TypeError, ValueError) as fault:
            raise UserError(f"preferences must be numbers: {fault}; 1 first, 0 second, .5 equal, NaN skip") from fault
        if values.shape != (questions,):
            raise UserError(
                f"answers have shape {values.shape}; {questions} questions need one preference each:"
                " 1 first, 0 second, .5 equal, NaN skip"
            )
        wrong = np.flatnonzero(~(np.isnan(values) | ((values >= 0) & (values <= 1))))
        if len(wrong):
            raise UserError(
                f"preference {values[wrong[0]]} for question {wrong[0] + 1} of {questions} is not in [0, 1];"
                " 1: the first is better, 0: the second, NaN: skipped"
            )
        return [None if np.isnan(value) else _answer(float(value)) for value in values]

    def reordered(self, answer: Answer, order: Sequence[int]) -> Answer:
        return _answer(1 - answer["preference"]) if list(order) == [1, 0] else answer

    # -- learning: Bradley-Terry on returns, with a share of answers that are coin flips

    def loss(self, rewards: Tensor, answer: dict[str, Tensor], error: float) -> Tensor:
        """Cross-entropy (Christiano et al. 2017, 2.2.3 and eq. 1): rewards (..., B, 2, T), preference (B,) -> (..., B)"""
        preference, gap = answer["preference"], _gap(rewards)
        if error == 0:  # the logarithm of a sigmoid stays finite at any gap, that of a rounded probability does not
            from torch.nn.functional import logsigmoid

            return -preference * logsigmoid(gap) - (1 - preference) * logsigmoid(-gap)
        first = _first_better(gap, error)
        return -preference * first.log() - (1 - preference) * (1 - first).log()

    def predict(self, rewards: Tensor, error: float = 0.0) -> Tensor:
        """(..., N, 2, T) -> (..., N, 2): how likely it is that the first, or the second, is preferred."""
        from torch import from_numpy, stack  # not at the top: the label server has no torch

        gap = _gap(rewards)
        if error == 0 and not gap.requires_grad:  # scipy's, which rounds differently, as in earlier releases
            from scipy.special import expit

            first = from_numpy(expit(gap.numpy(force=True))).to(gap.device)
        else:
            first = _first_better(gap, error)
        return stack((first, 1 - first), -1)

    def chances_of(self, answer: dict[str, np.ndarray]) -> np.ndarray:
        return np.stack([answer["preference"], 1 - answer["preference"]], -1)

    def answers_of(self, chances: np.ndarray) -> list[Answer]:
        return [_answer(float(first)) for first in chances[:, 0]]

    def metrics(self, predicted: np.ndarray, answer: dict[str, np.ndarray]) -> dict[str, float]:
        return preference_metrics(predicted[:, 0], answer["preference"])

    # -- who answers

    def oracle(self, seen: Perceived, rng: np.random.Generator) -> list[Answer | None]:
        """Skip test, tie test, choice, mistake, in this order; a tie is never turned round (B-Pref, Lee et al. 2021).

        Later steps overwrite earlier ones, so the tests that come first in the paper come last here.
        """
        answers = choose(gaps(seen.myopic_returns, seen.sizes) / seen.unit, seen.beta, rng)
        answers = flip(answers, seen.mistake, rng)
        answers = tie(answers, gaps(seen.returns, seen.sizes), seen.equal_within)
        return self.read(skip(answers, seen.returns, seen.skip_below), len(answers))

    def orders(self) -> list[list[int]]:
        """Both: models prefer a side."""
        return [[0, 1], [1, 0]]

    def reply_schema(self) -> dict[str, Any]:
        schema = super().reply_schema()
        schema["properties"]["answer"]["enum"] = ["left", "right", "equal", "unsure"]
        return schema

    def chosen(self, word: str) -> Choice | None:
        return super().chosen("skip" if word.strip().lower() == "unsure" else word)

    def choice_of(self, answer: Answer | None) -> Choice | None:
        """Soft labels count as the side that they lean to."""
        if answer is None or answer["preference"] == 0.5:
            return super().choice_of(answer)
        return super().choice_of(_answer(float(answer["preference"] > 0.5)))


def _gap(rewards: Tensor) -> Tensor:
    """Return of the first minus return of the second: (..., 2, T) -> (...)"""
    returns = rewards.sum(-1)
    return returns[..., 0] - returns[..., 1]


def _first_better(gap: Tensor, error: float) -> Tensor:
    """P(the first is preferred), a share `error` of answers being coin flips."""
    return (1 - error) * gap.sigmoid() + error / 2


def gaps(returns: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """By how much the first is better; exactly 0 where only rounding differs. returns, sizes: (Q, 2) -> (Q,)

    sizes: absolute sums of the same rewards, from which rounding is judged.
    """
    gap = returns[:, 0] - returns[:, 1]
    return np.where(np.abs(gap) <= ROUNDING * sizes.sum(-1), 0.0, gap)


def choose(gap: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
    """The first with probability sigmoid(beta * gap) (Bradley-Terry); beta = inf: the better, or equal. (Q,) -> (Q,)"""
    if np.isinf(beta):
        return 0.5 + 0.5 * np.sign(gap)
    from scipy.special import expit  # not at the top: the label server needs no scipy

    return (rng.random(gap.shape) < expit(beta * gap)).astype(np.float64)


def flip(answers: np.ndarray, mistake: float, rng: np.random.Generator) -> np.ndarray:
    """Reverse a random share `mistake` of the answers; a tie (1/2) or a skip (NaN) stays itself. (Q,) -> (Q,)"""
    return np.where(rng.random(answers.shape) < mistake, 1.0 - answers, answers)


def tie(answers: np.ndarray, gap: np.ndarray, margin: float) -> np.ndarray:
    """1/2 where the true returns are less than `margin` apart. (Q,), (Q,) -> (Q,)"""
    return np.where(np.abs(gap) < margin, 0.5, answers)


def skip(answers: np.ndarray, returns: np.ndarray, margin: float) -> np.ndarray:
    """NaN where even the better of the two true returns is below `margin`. (Q,), (Q, 2) -> (Q,)"""
    return np.where(returns.max(-1) < margin, np.nan, answers)
