"""The kind `best`: the best of four segments (Ziegler et al. 2019).

It says less than putting all four in order, and is quicker to give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from prefrl.kinds.base import ROUNDING, Answer, Choice, Kind, Perceived

if TYPE_CHECKING:
    from torch import Tensor

PLACES = ("first", "second", "third", "fourth")


class BestSegment(BaseModel):
    """An answer to a question about four segments."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    best: Annotated[int, Field(ge=0, lt=len(PLACES))]
    """Number of the best segment, from 0."""


class Best(Kind):
    """Which of four segments is best?"""

    name = "best"
    about = "which of four segments is best (Ziegler et al. 2019)"
    segments = len(PLACES)
    question = "Which clip is best?"
    places = outcomes = PLACES
    schema = BestSegment
    choices = (
        *(
            Choice(place, f"The {place} is best", f"{k + 1}", f"{k + 1}", f"{k + 1}", "", {"best": k},
                   f"better things happen in the {place} clip than in the others, even if only a little")
            for k, place in enumerate(PLACES)
        ),
        Choice("skip", "Can't tell", "Can't tell", "ArrowDown", "↓", "down", None,
               "none of the four is better than the others, or you cannot tell; try to use it seldom"),
    )  # fmt: skip
    prompt = """\
You compare four short clips of an agent's behaviour. Each clip is one picture: frames of it, evenly spaced in time, to be \
read like text, row by row from left to right; the first frame is at the top left, the last at the bottom right.
Judge only what happens in the clips. Their order means nothing.
Answer with one JSON object and nothing else: {"reason": "one sentence", "answer": "first" | "second" | "third" | "fourth" | "skip"}
first to fourth: that clip is better than the other three. skip: it cannot be told from these frames."""

    def reordered(self, answer: Answer, order: Sequence[int]) -> Answer:
        return {"best": int(order[answer["best"]])}

    # -- learning: a softmax of the returns, with a share of answers that are random

    def loss(self, rewards: Tensor, answer: dict[str, Tensor], error: float) -> Tensor:
        """Cross-entropy (Ziegler et al. 2019, eq. 1): rewards (..., B, 4, T), best (B,) -> (..., B)"""
        returns = rewards.sum(-1)
        chances = self.predict(rewards, error).log() if error else returns.log_softmax(-1)
        chosen = answer["best"].long()[..., None].expand(*returns.shape[:-1], 1)
        return -chances.gather(-1, chosen)[..., 0]

    def predict(self, rewards: Tensor, error: float = 0.0) -> Tensor:
        """(..., N, 4, T) -> (..., N, 4): how likely each is to be called the best."""
        return (1 - error) * rewards.sum(-1).softmax(-1) + error / self.segments

    def chances_of(self, answer: dict[str, np.ndarray]) -> np.ndarray:
        return np.eye(self.segments)[answer["best"].astype(int)]

    def answers_of(self, chances: np.ndarray) -> list[Answer]:
        return [{"best": int(best)} for best in chances.argmax(-1)]

    # -- who answers

    def oracle(self, seen: Perceived, rng: np.random.Generator) -> list[Answer | None]:
        """Choice, mistake, tie and skip, with the slips of B-Pref (Lee et al. 2021) where four segments are shown.

        beta: chosen with the chances exp(beta * return); infinite: the best, one of the best at random if several are.
        mistake: one of the other three. equal_within, skip_below: None if the best two are so close, or all so poor.
        """
        noise, slips = rng.gumbel(size=seen.returns.shape), rng.random(len(seen.returns)) < seen.mistake
        others = rng.integers(1, self.segments, len(seen.returns))
        highest = seen.myopic_returns.max(-1, keepdims=True)
        if np.isinf(seen.beta):
            alike = seen.myopic_returns >= highest - ROUNDING * seen.sizes.sum(-1, keepdims=True)
            chosen = np.where(alike, noise, -np.inf).argmax(-1)
        else:
            chosen = (seen.beta * (seen.myopic_returns - highest) / seen.unit + noise).argmax(-1)
        chosen = np.where(slips, (chosen + others) % self.segments, chosen)
        top = np.sort(seen.returns, -1)
        untold = (top[:, -1] - top[:, -2] < seen.equal_within) | (top[:, -1] < seen.skip_below)
        return [None if skipped else {"best": int(best)} for skipped, best in zip(untold, chosen, strict=True)]

    def orders(self) -> list[list[int]]:
        """As they are, and the other way round: models prefer a place."""
        return [list(range(self.segments)), list(reversed(range(self.segments)))]
