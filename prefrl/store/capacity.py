"""How many questions a trainer found room for, by step: with the answers it heard, all that it learned from outside."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from prefrl.store import database
from prefrl.store.database import reading, writing
from prefrl.store.tables import rooms


class Capacity:
    """A step function: a row for each change. Fixed by whoever comes to a step first, like a watermark."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def at(self, step: int, now: int) -> int:
        """The room at a step of the run: `now`, or what was noted when the run was here before."""
        with reading(self.engine) as connection:
            newest = database.last(connection, rooms.c.step)
            known = self.known(step)
        if known is not None and (newest >= step or known == now):
            return known
        if newest > step:
            return now
        with writing(self.engine) as connection:
            database.add(connection, rooms, [{"step": int(step), "room": int(now)}])
        return now

    def known(self, step: int) -> int | None:
        """The room that was noted for a step; None if there is no note from before it."""
        wanted = select(rooms.c.room).where(rooms.c.step <= int(step)).order_by(rooms.c.step.desc()).limit(1)
        with reading(self.engine) as connection:
            found: int | None = connection.scalar(wanted)
        return found

    def any(self) -> bool:
        """Whether anything was noted: a synthetic teacher takes any number of questions."""
        with reading(self.engine) as connection:
            return bool(connection.scalar(select(func.count()).select_from(rooms)))
