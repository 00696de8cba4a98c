"""What to ask a teacher, and when: strategies score candidates, selection chooses, schedules set the pace."""

from prefrl.queries.schedules import SCHEDULES, due, make_schedule
from prefrl.queries.selection import Choice, choose, group
from prefrl.queries.strategies import STRATEGIES

__all__ = ["SCHEDULES", "STRATEGIES", "Choice", "choose", "due", "group", "make_schedule"]
