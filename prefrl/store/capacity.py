"""Teacher capacity: how many more questions the teacher accepted at each step, kept so that a resumed run repeats it."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from prefrl.store import database
from prefrl.store.database import reading, writing
from prefrl.store.tables import rooms


class Capacity:
    """Capacity as a step function of the step of the run, a row per change. The first call for a step fixes it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def at(self, step: int, now: int) -> int:
        """The capacity at a step of the run: `now`, or what was recorded if a killed run reached this step before."""
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
        """The capacity recorded for a step; None if nothing was recorded up to it."""
        wanted = select(rooms.c.room).where(rooms.c.step <= int(step)).order_by(rooms.c.step.desc()).limit(1)
        with reading(self.engine) as connection:
            room: int | None = connection.scalar(wanted)
        return room

    def any(self) -> bool:
        """Whether any capacity was recorded: a synthetic teacher accepts any number of questions."""
        with reading(self.engine) as connection:
            return bool(connection.scalar(select(func.count()).select_from(rooms)))
