"""Messages between trainer, label server and render worker, in the store: notices, predictions, leases, displays.

None of it is a label. Rows change and may be lost; their writers write them again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, update

from prefrl.store import conditions, database
from prefrl.store.database import Row, by_value, reading, writing
from prefrl.store.rows import order_of
from prefrl.store.tables import displays, leases, notices, predictions, questions

Content = dict[str, Any]
"""A notice, or a prediction, as plain JSON."""


@dataclass(frozen=True)
class Notices:
    """Notices by name, and the reward model's predictions by question."""

    engine: Engine

    def post(self, name: str, content: Mapping[str, object]) -> None:
        """Post a notice in place of the last one of this name."""
        row = {"name": name, "content": json.dumps(content, allow_nan=False), "posted_at": time.time()}
        with writing(self.engine) as connection:
            database.put(connection, notices, [row])

    def read(self, name: str) -> tuple[Content, float] | None:
        """The notice of this name and its age in seconds; None if there is none."""
        with reading(self.engine) as connection:
            row = connection.execute(select(notices).where(notices.c.name == name)).first()
        return (json.loads(row.content), time.time() - row.posted_at) if row else None

    def predict(self, predicted: Mapping[int, Mapping[str, object]]) -> None:
        """Store the reward model's predictions for questions, by their ids."""
        rows = [{"query_id": int(id), "content": json.dumps(each, allow_nan=False)} for id, each in predicted.items()]
        with writing(self.engine) as connection:
            database.put(connection, predictions, rows)

    def predictions(self, ids: Sequence[int]) -> dict[int, Content]:
        """The stored predictions for these questions, by their ids; questions without one are left out."""
        with reading(self.engine) as connection:
            rows = by_value(connection, (predictions.c.query_id, predictions.c.content), ids)
        return {id: json.loads(row["content"]) for id, row in rows.items()}


@dataclass(frozen=True)
class Leases:
    """Leases: who is shown which question, so that no more people answer it than should. They expire."""

    engine: Engine
    opinions: float = 1  # how many labellers should judge each question

    def take(self, session: str, candidates: Iterable[int], want: int, seconds: float, now: float) -> list[int]:
        """Lease up to `want` of the open candidates, in their order, that others do not hold. Returns their ids."""
        ids = list(candidates)
        replaced = (leases.c.session == session) | (leases.c.until <= now)
        with writing(self.engine) as connection:
            wanted = conditions.wanted(connection, ids, self.opinions)
            places = {id: most for id, (most, _) in wanted.items()}
            held = _held(connection, session, now)
            free = [id for id in ids if held[id] < places.get(id, 0)][: max(0, want)]
            connection.execute(delete(leases).where(leases.c.query_id.in_(free), replaced))
            rows = [{"query_id": id, "session": session, "until": now + seconds} for id in free]
            database.add(connection, leases, rows)
        return free

    def held(self, session: str, now: float) -> Counter[int]:
        """How many others than this session hold each question."""
        with reading(self.engine) as connection:
            return _held(connection, session, now)

    def renew(self, session: str, ids: Sequence[int], seconds: float, now: float) -> None:
        """Extend leases. One that expired and went to another session stays with that session."""
        mine = (leases.c.session == session) & leases.c.query_id.in_(ids)
        with writing(self.engine) as connection:
            connection.execute(update(leases).where(mine).values(until=now + seconds))

    def release(self, session: str, ids: Sequence[int] | None = None) -> None:
        """End these leases of a session, or all of them."""
        mine = leases.c.session == session
        if ids is not None:
            mine &= leases.c.query_id.in_(ids)
        with writing(self.engine) as connection:
            connection.execute(delete(leases).where(mine))


def _held(connection: Connection, session: str, now: float) -> Counter[int]:
    theirs = (leases.c.until > now) & (leases.c.session != session)
    return Counter(connection.execute(select(leases.c.query_id).where(theirs)).scalars())


@dataclass(frozen=True)
class Displays:
    """Displays: how each question was shown to a labeller, by the ticket that the answer will carry."""

    engine: Engine

    def add(self, shown: Sequence[Row]) -> None:
        """Record displays: ticket, query_id, labeller, purpose, and their `order`; or, of two segments, `mirrored`."""
        now, rows = time.time(), []
        for display in shown:
            order = display.get("order")
            mirrored = bool(display["mirrored"]) if order is None else list(order) == [1, 0]
            rows.append({**display, "order": order and json.dumps(list(order)), "mirrored": mirrored, "shown_at": now})
        with writing(self.engine) as connection:
            database.add(connection, displays, rows)

    def find(self, ticket: str) -> Row | None:
        """The display with this ticket, its `order` as a list: which segment was shown at each place."""
        wanted = select(displays, questions.c.kind.label("asked_kind"))
        wanted = wanted.join_from(displays, questions, displays.c.query_id == questions.c.id)
        with reading(self.engine) as connection:
            row = connection.execute(wanted.where(displays.c.ticket == ticket)).mappings().first()
        if row is None:
            return None
        order = row["order"] and json.loads(row["order"])
        return {**row, "order": order_of(order, row["mirrored"], row["asked_kind"])}

    def seen(self, query: int, labeller: str) -> bool:
        """Whether this labeller was ever shown this question."""
        wanted = select(displays.c.ticket).where(displays.c.query_id == int(query), displays.c.labeller == labeller)
        with reading(self.engine) as connection:
            return connection.execute(wanted.limit(1)).first() is not None
