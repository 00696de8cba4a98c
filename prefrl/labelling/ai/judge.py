"""Asks a model about a pair in both orders, since models prefer a side, and makes one answer of the two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from prefrl.labelling.ai.endpoint import Busy, Endpoint, Refused, Reply
from prefrl.labelling.ai.ledger import Ledger
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.reply import OPPOSITE, Answer, Said, clean, read
from prefrl.labelling.ai.settings import DISAGREE, Settings
from prefrl.labelling.ai.waiting import Waiting

PREFERENCES: dict[Answer, float | None] = {"left": 1.0, "right": 0.0, "equal": 0.5, "unsure": None}
"""Answer, with the first clip on the left -> probability that the first is better; None skips."""


@dataclass(frozen=True)
class Heard:
    """What was said about one order. said: as displayed; None if no answer could be read from it"""

    mirrored: bool
    said: Said | None
    text: str  # the reply itself
    cached: int  # replies that had been paid before

    @property
    def answer(self) -> Answer | None:
        """In the stored orientation: left is the first clip."""
        if self.said is None:
            return None
        return OPPOSITE[self.said.answer] if self.mirrored else self.said.answer


@dataclass(frozen=True)
class Verdict:
    """Both orders, and what they come to."""

    heard: tuple[Heard, Heard]
    preference: float | None

    @property
    def usable(self) -> bool:
        return all(one.answer is not None for one in self.heard)

    @property
    def disagree(self) -> bool:
        """Whether the orders were answered differently."""
        return self.usable and self.heard[0].answer != self.heard[1].answer

    @property
    def one_sided(self) -> bool:
        """Whether the same side was chosen whatever was there."""
        return {self.heard[0].answer, self.heard[1].answer} == {"left", "right"}

    @property
    def cached(self) -> int:
        return sum(one.cached for one in self.heard)

    def orders(self) -> list[dict[str, Any]]:
        """What each order said, to be kept with the answer. It is a stranger's text."""
        return [
            {"mirrored": one.mirrored, "said": one.said.answer if one.said else None,
             "reason": one.said.reason if one.said else clean(one.text)}
            for one in self.heard
        ]  # fmt: skip


def combine(first: Answer | None, second: Answer | None, disagree: str) -> float | None:
    """One preference of what both orders say, in the stored orientation. Whoever cannot tell once has not told."""
    if first is None or second is None or "unsure" in (first, second):
        return None
    return PREFERENCES[first] if first == second else DISAGREE[disagree]


class Judge:
    """Any number of threads may ask it."""

    def __init__(self, settings: Settings, endpoint: Endpoint, ledger: Ledger, waiting: Waiting):
        self.settings, self.endpoint, self.ledger, self.waiting = settings, endpoint, ledger, waiting

    def judge(self, prompt: Prompt) -> Verdict:
        """prompt: with the first clip on the left. Raises BudgetSpent, Refused or Stopped; what was paid is kept."""
        as_stored = self._hear(prompt, mirrored=False)
        turned = self._hear(replace(prompt, left=prompt.right, right=prompt.left), mirrored=True)
        return Verdict((as_stored, turned), combine(as_stored.answer, turned.answer, self.settings.disagree))

    def _hear(self, prompt: Prompt, mirrored: bool) -> Heard:
        """Ask in one order; once more if the reply is no answer."""
        reply, cached = self._reply(prompt)
        if (said := read(reply.text)) is None:
            reply, more = self._reply(replace(prompt, again=reply.text[:2000]))
            said, cached = read(reply.text), cached + more
        return Heard(mirrored, said, reply.text, cached)

    def _reply(self, prompt: Prompt) -> tuple[Reply, int]:
        """The reply to a prompt, and whether it was there already: 1 or 0."""
        key = prompt.key(self.settings.model, self.settings.url)
        if known := self.ledger.known(key):
            return known, 1
        patience, messages, tokens = self.waiting.patience(), prompt.messages(), prompt.tokens()
        while True:
            self.waiting.turn()
            call, status, reply = self.ledger.begin(key, tokens), None, None
            try:
                reply, status = self.endpoint.ask(messages), 200
                return reply, 0
            except Busy as fault:
                busy, status = fault, fault.status
            except Refused as fault:
                status = fault.status
                raise
            finally:
                self.ledger.end(call, status, reply)
            patience.again(busy)
