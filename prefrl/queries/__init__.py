"""What to ask a teacher, and when: strategies score candidate pairs, selection chooses, schedules set the pace."""

from prefrl.queries.schedules import SCHEDULES, due, make_schedule
from prefrl.queries.selection import Choice, choose, pair_up
from prefrl.queries.strategies import STRATEGIES

__all__ = ["SCHEDULES", "STRATEGIES", "Choice", "choose", "due", "make_schedule", "pair_up"]
