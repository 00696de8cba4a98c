"""How fast people label: counts, medians and minutes, from the times of their answers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise

from prefrl.labelling.messages import Pace

BREAK = 60.0  # seconds; a longer gap between two answers is not work
LATELY = 20  # answers over which the pace is taken


def pace(given: Sequence[tuple[float, float | None]]) -> Pace:
    """Pace of one labeller. given: (time, response seconds) of each answer, in order"""
    at = [when for when, _ in given]
    took = [seconds for _, seconds in given if seconds is not None]
    recent = _gaps(at[-LATELY:])
    return {
        "answers": len(given),
        "per_minute": 60 * len(recent) / sum(recent) if sum(recent) else None,
        "median_seconds": statistics.median(took) if took else None,
        "minutes": (sum(_gaps(at)) + (took[0] if took and took[0] < BREAK else 0)) / 60,
    }


def _gaps(at: Sequence[float]) -> list[float]:
    """Times between answers, without breaks; a clock that was set back counts as none."""
    return [later - before for before, later in pairwise(at) if 0 <= later - before < BREAK]
