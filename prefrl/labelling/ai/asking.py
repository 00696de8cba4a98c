"""Asks a model about a question in several orders of its clips (models have a position bias); combines the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prefrl.kinds import Answer, Kind
from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.backoff import Backoff, Retries
from prefrl.labelling.ai.endpoint import Busy, Endpoint, Refused, Reply
from prefrl.labelling.ai.ledger import CallLedger
from prefrl.labelling.ai.prompt import Prompt
from prefrl.labelling.ai.reply import ReadAnswer, clean, read


@dataclass(frozen=True)
class OrderReply:
    """The model's reply to a question with its clips in one order."""

    order: list[int]
    read: ReadAnswer | None  # about the clips as displayed; None if no answer could be read from it
    text: str  # the reply itself
    cached: int  # replies found in the ledger


@dataclass(frozen=True)
class ModelAnswer:
    """The replies to each order, and the answer they combine to."""

    kind: Kind
    replies: tuple[OrderReply, ...]
    answer: Answer | None  # about the stored order; None: a skip

    @property
    def usable(self) -> bool:
        """Whether an answer could be read from every reply."""
        return all(reply.read for reply in self.replies)

    @property
    def disagree(self) -> bool:
        """Whether the answers to the orders differ."""
        return self.usable and not _agree(self.kind, stored(self.kind, self.replies))

    @property
    def one_sided(self) -> bool:
        """Whether the same place was preferred in every order."""
        answers = [reply.read.answer if reply.read else None for reply in self.replies]
        places = {None if answer is None else self.kind.favoured(answer) for answer in answers}
        return self.disagree and len(places) == 1 and None not in places

    @property
    def cached(self) -> int:
        return sum(reply.cached for reply in self.replies)

    def orders(self) -> list[dict[str, object]]:
        """The replies to each order, as stored with the answer: order, answer in words (None: none) and reason. Untrusted text."""
        return [
            {"order": reply.order, "said": reply.read.words if reply.read else None,
             "reason": reply.read.reason if reply.read else clean(reply.text)}
            for reply in self.replies
        ]  # fmt: skip


def stored(kind: Kind, replies: Sequence[OrderReply]) -> list[Answer | None]:
    """The answers translated to the stored order; None: the model could not tell, or nothing was read."""
    return [kind.stored(reply.read.answer if reply.read else None, reply.order) for reply in replies]


def combine(kind: Kind, answers: Sequence[Answer | None], disagree: str) -> Answer | None:
    """Combine the answers to each order; one skip makes it a skip. disagree: see AISettings"""
    if any(answer is None for answer in answers):
        return None
    if _agree(kind, answers):
        return answers[0]
    return None if disagree == "skip" else kind.undecided


def _agree(kind: Kind, answers: Sequence[Answer | None]) -> bool:
    first, *others = answers
    return all(other == first if other is None or first is None else kind.agree(first, other) for other in others)


class ModelTeacher:
    """A vision model that answers questions. Thread-safe."""

    def __init__(self, settings: AISettings, endpoint: Endpoint, ledger: CallLedger, backoff: Backoff):
        self.settings, self.endpoint, self.ledger, self.backoff = settings, endpoint, ledger, backoff

    def ask(self, prompt: Prompt) -> ModelAnswer:
        """prompt: with the clips in stored order. Raises BudgetSpent, Refused or Stopped; what was paid is kept."""
        kind = prompt.kind
        replies = tuple(self._ask_in_order(order, prompt) for order in kind.orders())
        return ModelAnswer(kind, replies, combine(kind, stored(kind, replies), self.settings.disagree))

    def _ask_in_order(self, order: list[int], as_stored: Prompt) -> OrderReply:
        """Ask with the clips in one order; once more if no answer can be read from the reply."""
        prompt = as_stored.ordered(order)
        reply, cached = self._reply(prompt)
        if (answer := read(reply.text, prompt.kind)) is None:
            reply, again_cached = self._reply(replace(prompt, again=reply.text[:2000]))
            answer, cached = read(reply.text, prompt.kind), cached + again_cached
        return OrderReply(order, answer, reply.text, cached)

    def _reply(self, prompt: Prompt) -> tuple[Reply, int]:
        """The reply to a prompt, and whether it came from the ledger: 1 or 0."""
        key = prompt.key(self.settings.model, self.settings.url)
        if known := self.ledger.known(key):
            return known, 1
        retries, messages, tokens = Retries(self.backoff), prompt.messages(), prompt.tokens()
        while True:
            self.backoff.turn()
            call, status, reply = self.ledger.begin(key, tokens), None, None
            try:
                reply, status = self.endpoint.ask(messages, prompt.reply_format()), 200
                return reply, 0
            except Busy as fault:
                busy, status = fault, fault.status
            except Refused as fault:
                status = fault.status
                raise
            finally:
                self.ledger.end(call, status, reply)
            retries.again(busy)
