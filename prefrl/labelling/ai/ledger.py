"""SQLite record of every model call of a run: its cost and its reply, so that no call is paid for twice.

A call is recorded before it is sent: one that a kill cut off has its row, and counts at its expected price.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Column, Float, Index, Integer, MetaData, Select, String, Table, func, insert, select, update

from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.endpoint import Reply
from prefrl.store.database import connect, reading, writing

FILE = "ai-calls.db"

metadata = MetaData()
calls = Table(
    "calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False),  # hash of the request: model, text, pixels, order
    Column("labeller", String, nullable=False),
    Column("model", String, nullable=False),
    Column("sent_at", Float, nullable=False),  # seconds since 1970
    Column("seconds", Float),  # until the response; NULL: under way, or cut off by a kill
    Column("status", Integer),  # HTTP
    Column("reply", String),  # what the model wrote
    Column("sent", Integer),  # tokens
    Column("received", Integer),
    Column("expected", Float),  # dollars
    Column("cost", Float),  # dollars; NULL: not known, and counted as expected
    Index("calls_by_key", "key"),
)


class BudgetSpent(Exception):
    """Another call would exceed max_calls or max_cost."""


@dataclass(frozen=True)
class Total:
    """Number of calls, their tokens and their cost in dollars (None without prices)."""

    calls: int
    cost: float | None
    sent: int
    received: int


class CallLedger:
    """The calls of one AI labeller for one run. Thread-safe."""

    def __init__(self, folder: Path, settings: AISettings):
        self.settings = settings
        self.engine = connect(URL.create("sqlite", database=str((folder / FILE).absolute())))
        with writing(self.engine) as connection:
            metadata.create_all(connection)
        with reading(self.engine) as connection:
            self.before = connection.scalar(select(func.max(calls.c.id))) or 0

    def close(self) -> None:
        self.engine.dispose()

    def known(self, key: str) -> Reply | None:
        """The reply to an earlier identical request, if any."""
        wanted = select(calls.c.reply, calls.c.sent, calls.c.received).where(
            calls.c.key == key, calls.c.reply.is_not(None)
        )
        with reading(self.engine) as connection:
            row = connection.execute(wanted.order_by(calls.c.id.desc()).limit(1)).first()
        return Reply(row.reply, row.sent, row.received) if row else None

    def begin(self, key: str, tokens: int) -> int:
        """Record a call that is about to be sent. Raises BudgetSpent if it would exceed the budget."""
        mine = calls.c.labeller == self.settings.name
        so_far = select(func.count(), func.coalesce(func.sum(func.coalesce(calls.c.cost, calls.c.expected)), 0.0))
        with writing(self.engine) as connection:
            count, spent = connection.execute(so_far.where(mine)).one()
            largest = connection.scalar(self._largest_prompt())
            expected = self.settings.cost(largest or tokens, self.settings.max_tokens)
            self._check_budget(count, spent, expected or 0.0)
            row = {"key": key, "labeller": self.settings.name, "model": self.settings.model, "sent_at": time.time()}
            made = connection.execute(insert(calls).values(**row, expected=expected))
            return int(made.inserted_primary_key[0])  # type: ignore[index]

    def end(self, call: int, status: int | None, reply: Reply | None = None) -> None:
        """Record a call's outcome, on disk when this returns. An error costs nothing; a lost reply may have cost."""
        cost = 0.0 if (status or 0) >= 400 else None
        if reply is not None and reply.sent is not None and reply.received is not None:
            cost = self.settings.cost(reply.sent, reply.received)
        outcome = update(calls).values(status=status, cost=cost, seconds=time.time() - calls.c.sent_at)
        if reply is not None:
            outcome = outcome.values(reply=reply.text, sent=reply.sent, received=reply.received)
        with writing(self.engine) as connection:
            connection.execute(outcome.where(calls.c.id == call))

    def total(self, ever: bool = False) -> Total:
        """Calls since this ledger was opened; ever: of all times."""
        mine = (calls.c.labeller == self.settings.name) & (calls.c.id > (0 if ever else self.before))
        priced = func.sum(func.coalesce(calls.c.cost, calls.c.expected))
        with reading(self.engine) as connection:
            count, cost, sent, received = connection.execute(
                select(func.count(), priced, func.sum(calls.c.sent), func.sum(calls.c.received)).where(mine)
            ).one()
        return Total(count, None if self.settings.price is None else cost or 0.0, sent or 0, received or 0)

    def measured(self) -> bool:
        """Whether the token count of an earlier call is known."""
        with reading(self.engine) as connection:
            return connection.scalar(self._largest_prompt()) is not None

    def _largest_prompt(self) -> Select[Any]:
        mine = (calls.c.labeller == self.settings.name) & (calls.c.model == self.settings.model)
        return select(func.max(calls.c.sent)).where(mine)

    def _check_budget(self, count: int, spent: float, expected: float) -> None:
        most, dollars = self.settings.max_calls, self.settings.max_cost
        if most is not None and count + 1 > most:
            raise BudgetSpent(f"the budget of {most} calls is used up")
        if dollars is not None and spent + expected > dollars:
            raise BudgetSpent(f"of ${dollars:g} ${spent:.4g} are spent, and another call may cost ${expected:.2g}")
