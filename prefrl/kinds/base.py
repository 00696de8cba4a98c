"""The interface of a kind of feedback, which `pair` and every other kind implements.

A kind says how many segments a question shows, what an answer is, how a synthetic teacher answers, and how likely an
answer is given predicted rewards (reward-rational choice: Jeon, Milli, Dragan 2020). Nothing else in the package knows
what an answer means. Kinds are imported by the label server, which does without torch: tensors are used by their methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ValidationError

from prefrl.core.errors import UserError, brief

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-12  # sums of the same rewards in another order differ by about this share of their absolute sum

Answer = dict[str, Any]
"""An answer as plain JSON, valid for its kind. None in its place: the teacher could not tell, the question is skipped."""


@dataclass(frozen=True)
class Perceived:
    """What a synthetic teacher perceives of Q questions of K segments, and its irrationalities."""

    true_rewards: np.ndarray  # (Q, K, T)
    returns: np.ndarray  # (Q, K) true returns
    myopic_returns: np.ndarray  # (Q, K) returns as a myopic teacher weighs them
    sizes: np.ndarray  # (Q, K) absolute sums of the rewards, from which rounding is judged
    unit: float  # the difference of myopic returns that counts as 1 for beta
    skip_below: float  # skip where all returns are below
    equal_within: float  # call equal what is closer
    beta: float  # rationality: log-odds per unit; inf: always the better one
    mistake: float  # share of answers that are wrong


@dataclass(frozen=True)
class Choice:
    """One of the answers that a labeller picks from, as the clips are displayed."""

    word: str  # the name on the wire and for models: "left"
    label: str  # the button: "Left is better"
    short: str  # the button on a small screen
    key: str  # as in KeyboardEvent.key
    glyph: str  # the key as the button shows it
    swipe: str  # left, right, up or down; empty: none
    answer: Answer | None  # None: skip
    meaning: str = ""  # when to give this answer, on the help page


class Kind:
    """One kind of feedback. A subclass sets the constants and overrides what differs from the defaults here."""

    name: ClassVar[str]
    about: ClassVar[str]  # one line for `prefrl list`
    segments: ClassVar[int]  # K, how many a question shows
    widget: ClassVar[str] = "choices"  # how the page asks
    question: ClassVar[str]  # what people are asked where the run says nothing else
    places: ClassVar[tuple[str, ...]]  # what the displayed segments are called, in order: ("left", "right")
    outcomes: ClassVar[tuple[str, ...]] = ()  # the A outcomes whose chances `predict` gives
    choices: ClassVar[tuple[Choice, ...]] = ()  # of the widget "choices"
    undecided: ClassVar[Answer | None] = None  # the answer for contradicting ones of a model, where they count as equal
    prompt: ClassVar[str]  # what a model is told about its task and its reply
    schema: ClassVar[type[BaseModel]]  # an answer with its bounds: what page, import and models are checked against

    # -- what an answer is

    def checked(self, answer: Any) -> Answer | None:
        """The answer as plain JSON; None, a skip, stays. Raises UserError for one that is out of bounds."""
        if answer is None:
            return None
        try:
            return self.schema.model_validate(answer).model_dump()
        except ValidationError as fault:
            error = fault.errors(include_url=False)[0]
            where = ".".join(map(str, error["loc"]))
            raise UserError(
                f"{brief(answer)} is no answer of kind {self.name!r}: {where + ': ' if where else ''}{error['msg']}"
            ) from fault

    def read(self, given: Any, questions: int) -> list[Answer | None]:
        """The answers in what a teacher returned for this many questions. Raises UserError for anything else.

        given: by default a sequence of answers, None to skip.
        """
        try:
            answers = [self.checked(answer) for answer in given]
        except TypeError as fault:
            raise UserError(
                f"expected an answer of kind {self.name!r} for each question, got {brief(given)}"
            ) from fault
        if len(answers) != questions:
            raise UserError(f"{questions} questions need as many answers, got {len(answers)}")
        return answers

    def arrays(self, answers: Sequence[Answer]) -> dict[str, np.ndarray]:
        """Answers as arrays by field, each (Q, ...). By default every field is a number or a list of fixed length."""
        names = self.schema.model_fields
        return {name: np.array([answer[name] for answer in answers], float) for name in names}

    def reordered(self, answer: Answer, order: Sequence[int]) -> Answer:
        """An answer about segments displayed in this order, translated to the stored order.

        order: `order[i]` is the stored segment at place i. For the inverse give `inverse(order)`.
        """
        raise NotImplementedError

    def stored(self, answer: Answer | None, order: Sequence[int]) -> Answer | None:
        """A displayed answer, translated to the stored order; a skip stays."""
        return None if answer is None else self.reordered(answer, order)

    def as_displayed(self, answer: Answer | None, order: Sequence[int]) -> Answer | None:
        """A stored answer, translated to segments displayed in this order; a skip stays."""
        return None if answer is None else self.reordered(answer, inverse(order))

    def agree(self, one: Answer, other: Answer) -> bool:
        """Whether two answers to one question say the same."""
        return one == other

    def clear(self, answer: Answer) -> bool:
        """Whether an answer is one that can be right or wrong: by default, one that is certain of an outcome."""
        return not self.outcomes or bool(self._chances(answer).max() == 1)

    def favoured(self, answer: Answer) -> int | None:
        """The place that a displayed answer prefers, to measure side bias; None: none. By default, if places are outcomes."""
        return self._likeliest(answer) if self.outcomes == self.places else None

    def _chances(self, answer: Answer) -> np.ndarray:
        return self.chances_of(self.arrays([answer]))[0]

    def _likeliest(self, answer: Answer) -> int | None:
        """The outcome that an answer favours; None: several alike."""
        chances = self._chances(answer)
        return int(chances.argmax()) if (chances == chances.max()).sum() == 1 else None

    # -- learning from answers

    def loss(self, rewards: Tensor, answer: dict[str, Tensor], error: float) -> Tensor:
        """Negative log-likelihood of answers in nats: rewards (..., B, K, T), answer by field (B, ...) -> (..., B)

        error: share of answers that are taken to be given at random.
        """
        raise NotImplementedError

    def predict(self, rewards: Tensor, error: float = 0.0) -> Tensor:
        """Chances of the outcomes, given predicted rewards: (..., N, K, T) -> (..., N, A)"""
        raise NotImplementedError

    def chances_of(self, answer: dict[str, np.ndarray]) -> np.ndarray:
        """Answers as distributions over the outcomes: by field (N, ...) -> (N, A)"""
        raise NotImplementedError

    def answers_of(self, chances: np.ndarray) -> list[Answer]:
        """Answers with these chances of the outcomes: (N, A) -> N answers. For combined labels."""
        raise NotImplementedError

    def metrics(self, predicted: np.ndarray, answer: dict[str, np.ndarray]) -> dict[str, float]:
        """How well predicted chances (N, A) agree with answers, by field (N, ...).

        accuracy: share of answers whose most likely outcome was the predicted one, ties among either half right;
        log_loss: cross-entropy in nats; brier: squared distance.
        """
        answered = self.chances_of(answer)
        best, top = (chances == chances.max(-1, keepdims=True) for chances in (answered, predicted))
        hits = (best & top).sum(-1) / np.maximum(top.sum(-1), best.sum(-1))
        return {
            "answers": float(len(answered)),
            "accuracy": float(hits.mean()),
            "log_loss": float(-(answered * np.log(np.clip(predicted, 1e-7, 1.0))).sum(-1).mean()),
            "brier": float(np.square(predicted - answered).sum(-1).mean()),
        }

    def displayed(self, chances: Sequence[float], order: Sequence[int]) -> list[float]:
        """Chances of the outcomes where segments are displayed in this order; by default outcomes may be the places."""
        return [chances[stored] for stored in order] if self.outcomes == self.places else list(chances)

    # -- who answers

    def oracle(self, seen: Perceived, rng: np.random.Generator) -> list[Answer | None]:
        """A synthetic teacher's answers. Each question draws the same random numbers whatever its answer."""
        raise NotImplementedError

    def orders(self) -> list[list[int]]:
        """The orders in which a model is shown the segments; answers that differ count as `undecided`."""
        return [list(range(self.segments))]

    def reply_schema(self) -> dict[str, Any]:
        """The JSON schema of a model's reply: a reason, and the answer."""
        words = {"type": "string", "enum": [choice.word for choice in self.choices]}
        answer = words if self.choices else self.schema.model_json_schema()
        return {
            "type": "object", "properties": {"reason": {"type": "string"}, "answer": answer},
            "required": ["reason", "answer"], "additionalProperties": False,
        }  # fmt: skip

    def chosen(self, word: str) -> Choice | None:
        """The choice with this word, in any case."""
        return next((choice for choice in self.choices if choice.word == word.strip().lower()), None)

    def choice_of(self, answer: Answer | None) -> Choice | None:
        """The choice with a displayed answer; None: no choice has it."""
        return next((choice for choice in self.choices if choice.answer == answer), None)

    def words(self, answer: Answer | None) -> str:
        """A displayed answer in words, for history, films and reports."""
        if choice := self.choice_of(answer):
            return choice.label
        return "Skipped" if answer is None else ", ".join(f"{name} {value}" for name, value in answer.items())

    def predicted_right(self, chances: Sequence[float] | None, answer: Answer | None) -> bool | None:
        """Whether the answered outcome was the one predicted likeliest; None for ties, skips and missing chances."""
        if answer is None or chances is None or not self.outcomes:
            return None
        if (best := self._likeliest(answer)) is None:
            return None
        return all(chances[best] > chance for outcome, chance in enumerate(chances) if outcome != best)

    def description(self) -> dict[str, Any]:
        """All that the page needs to ask such a question, as JSON."""
        return {
            "name": self.name, "widget": self.widget, "question": self.question, "segments": self.segments,
            "places": list(self.places), "outcomes": list(self.outcomes), "schema": self.schema.model_json_schema(),
            "choices": [self._described(choice) for choice in self.choices],
        }  # fmt: skip

    def _described(self, choice: Choice) -> dict[str, Any]:
        """A choice, whether it can be right or wrong, and which place it prefers."""
        answer = choice.answer
        clear, favours = (False, None) if answer is None else (self.clear(answer), self.favoured(answer))
        return {**vars(choice), "clear": clear, "favours": favours}


def inverse(order: Sequence[int]) -> list[int]:
    """The order that undoes this one."""
    return [int(place) for place in np.argsort(order)]
