"""What trainer, label server and render worker tell each other through the store: notices, predictions, leases, displays.

None of it is a label. Rows change and may be lost; whoever wrote them writes them again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, delete, select, update

from prefrl.feedback import tables
from prefrl.feedback.tables import (
    by_value,
    displays,
    leases,
    notices,
    predictions,
    questions,
    reading,
    unanswered,
    writing,
)


class Board:
    """Notices by name, and what the reward model thinks of each question."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def post(self, name: str, content: Mapping[str, Any]) -> None:
        """Put up a notice in place of the last one of this name."""
        row = {"name": name, "content": json.dumps(content, allow_nan=False), "posted_at": time.time()}
        with writing(self.engine) as connection:
            tables.put(connection, notices, [row])

    def read(self, name: str) -> tuple[dict[str, Any], float] | None:
        """The notice of this name and its age in seconds; None if there is none."""
        with reading(self.engine) as connection:
            row = connection.execute(select(notices).where(notices.c.name == name)).first()
        return (json.loads(row.content), time.time() - row.posted_at) if row else None

    def predict(self, thoughts: Mapping[int, Mapping[str, Any]]) -> None:
        """Put up what the reward model thinks of questions, by their ids."""
        rows = [{"query_id": int(id), "content": json.dumps(one, allow_nan=False)} for id, one in thoughts.items()]
        with writing(self.engine) as connection:
            tables.put(connection, predictions, rows)

    def predictions(self, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What the reward model thinks of these questions, as far as it was said."""
        with reading(self.engine) as connection:
            found = by_value(connection, (predictions.c.query_id, predictions.c.content), [int(id) for id in ids])
        return {id: json.loads(row["content"]) for id, row in found.items()}


class Leases:
    """Who is shown which question, so that two people do not answer the same one. They end by themselves."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def take(
        self, session: str, candidates: Iterable[int], want: int, seconds: float, now: float, answered: bool = False
    ) -> list[int]:
        """Lease up to `want` of the candidates, in their order, that nobody else holds. Returns their ids.

        answered: also questions that have an answer already, for second opinions.
        """
        ids: list[int] = [int(id) for id in candidates]
        with writing(self.engine) as connection:
            if not answered:
                wanted = select(questions.c.id).where(questions.c.id.in_(ids), unanswered())
                still = set(connection.execute(wanted).scalars())
                ids = [id for id in ids if id in still]
            held = by_value(connection, (leases.c.query_id, leases.c.session, leases.c.until), ids)
            free = [id for id in ids if id not in held or held[id]["until"] <= now or held[id]["session"] == session]
            rows = [{"query_id": id, "session": session, "until": now + seconds} for id in free[: max(0, want)]]
            tables.put(connection, leases, rows)
        return free[: len(rows)]

    def held(self, session: str, now: float) -> set[int]:
        """Ids of the questions that others than this session hold."""
        theirs = (leases.c.until > now) & (leases.c.session != session)
        with reading(self.engine) as connection:
            return set(connection.execute(select(leases.c.query_id).where(theirs)).scalars())

    def renew(self, session: str, ids: Sequence[int], seconds: float, now: float) -> None:
        """Hold these for longer; those that ended meanwhile and went to somebody else stay theirs."""
        mine = (leases.c.session == session) & leases.c.query_id.in_([int(id) for id in ids])
        with writing(self.engine) as connection:
            connection.execute(update(leases).where(mine).values(until=now + seconds))

    def release(self, session: str, ids: Sequence[int] | None = None) -> None:
        """Give back these, or all."""
        mine = leases.c.session == session
        if ids is not None:
            mine &= leases.c.query_id.in_([int(id) for id in ids])
        with writing(self.engine) as connection:
            connection.execute(delete(leases).where(mine))


class Displays:
    """How each question was put on somebody's screen, by the ticket that the answer will carry."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, shown: Sequence[Mapping[str, Any]]) -> None:
        """Note displays: ticket, query_id, labeller, mirrored, purpose."""
        now = {"shown_at": time.time()}
        with writing(self.engine) as connection:
            tables.add(connection, displays, [{**one, **now} for one in shown])

    def find(self, ticket: str) -> dict[str, Any] | None:
        """The display with this ticket."""
        with reading(self.engine) as connection:
            row = connection.execute(select(displays).where(displays.c.ticket == ticket)).mappings().first()
        return dict(row) if row else None

    def seen(self, query: int, labeller: str) -> bool:
        """Whether this labeller was ever shown this question."""
        wanted = select(displays.c.ticket).where(displays.c.query_id == int(query), displays.c.labeller == labeller)
        with reading(self.engine) as connection:
            return connection.execute(wanted.limit(1)).first() is not None
