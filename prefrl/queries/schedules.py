"""When to ask: a schedule is a level, the share of the label budget that should have been asked by now.

Published schedules give rates; a level is the rate's integral, scaled to go from the initial share, asked before
training, to 1 at the end of the run. Ask while below it: late or lost sessions catch up by themselves. An initial
share of 1 asks everything up front, as in the ablation without online queries (Christiano et al. 2017, 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from prefrl.core.errors import UserError, pick

Schedule = Callable[[float], float]
"""Progress of the run in [0, 1] -> share of the budget in [0, 1], never falling."""


def hyperbolic(progress: float, half_at: float) -> float:
    """Integral of c / (c + t) with c = half_at (Christiano et al. 2017, A.1 and A.2)."""
    return math.log1p(progress / half_at) / math.log1p(1.0 / half_at)


def inverse_t(progress: float, half_at: float) -> float:
    """Integral of 1 / (1 + t), t the share of the run: what imitation calls hyperbolic."""
    return hyperbolic(progress, 1.0)


def inverse_quadratic(progress: float, half_at: float) -> float:
    """Integral of 1 / (1 + (t / half_at)^2); imitation's schedule of this name has half_at = 1."""
    return math.atan(progress / half_at) / math.atan(1.0 / half_at)


def rl_teacher(progress: float, half_at: float) -> float:
    """1 - .01^t as in rl-teacher's LabelAnnealer; divided by .99, as it would end a hundredth short of the budget."""
    return (1.0 - 0.01**progress) / 0.99


def bpref_decay(progress: float, half_at: float) -> float:
    """Integral of (T - t) / T, the session sizes of B-Pref's reward_schedule 1."""
    return progress * (2.0 - progress)


@dataclass(frozen=True)
class Rise:
    """How the level goes from the initial share (0 here) to the whole budget (1 here)."""

    about: str
    share: Callable[[float, float], float]  # (progress, half_at) -> [0, 1]; half_at: progress at half the first rate


SCHEDULES: dict[str, Rise] = {
    "constant": Rise("the same number per step throughout", lambda progress, half_at: progress),
    "hyperbolic": Rise("rate c / (c + t), many early and a long tail (Christiano 2017)", hyperbolic),
    "inverse_t": Rise("rate 1 / (1 + t), imitation's hyperbolic: only halves over the run", inverse_t),
    "inverse_quadratic": Rise("rate 1 / (1 + (t / c)^2), earlier still (imitation, with c = 1)", inverse_quadratic),
    "rl_teacher": Rise("exponential decay to a hundredth of the first rate (rl-teacher)", rl_teacher),
    "bpref_decay": Rise("rate falls linearly to 0 (B-Pref, reward_schedule 1)", bpref_decay),
}


def make_schedule(schedule: str | Schedule, *, initial: float = 0.25, half_at: float = 0.1) -> Schedule:
    """The named schedule as a level, or your own, checked.

    half_at: share of the run after which a hyperbolic or inverse quadratic rate has halved. Christiano et al. 2017
    give it in steps: 2e6 in MuJoCo with a quarter of the labels at the start, 5e6 of 50e6 (hence .1) on Atari.
    """
    if callable(schedule):
        return checked(schedule)
    rise = pick(SCHEDULES, schedule, "schedule").share
    if not 0.0 <= initial <= 1.0:
        raise UserError(
            f"initial share of the questions is {initial}; it must lie in [0, 1]: 0.25 asks a quarter up front"
        )
    if not (half_at > 0.0 and math.isfinite(half_at)):
        raise UserError(f"half_at={half_at} must be above 0: the share of the run after which the rate has halved")
    return checked(lambda progress: initial + (1.0 - initial) * rise(progress, half_at))


def checked(schedule: Schedule) -> Schedule:
    """The same schedule, checked: its level is a share of the budget that never falls."""
    progress = np.linspace(0.0, 1.0, 1001)
    level = np.array([schedule(float(at)) for at in progress])
    wrong = np.flatnonzero(~((level >= 0.0) & (level <= 1.0)))
    if len(wrong):
        raise UserError(
            f"schedule gives {level[wrong[0]]} at progress {progress[wrong[0]]:.3g}; a level must lie in [0, 1]"
        )
    falls = np.flatnonzero(np.diff(level) < 0.0)
    if len(falls):
        before, after = level[falls[0]], level[falls[0] + 1]
        raise UserError(
            f"schedule falls from {before:.4g} to {after:.4g} at progress {progress[falls[0] + 1]:.3g}; it is the share"
            " asked by then, so it must never fall: give the sum of your rates, not the rate"
        )
    return schedule


def due(schedule: Schedule, progress: float, budget: int, asked: int) -> int:
    """Questions to ask now to come up to the level. Progress beyond 1 counts as 1: a last rollout overshoots."""
    if not progress >= 0.0:
        raise UserError(f"progress is {progress}; it must be the share of the run that is done, from 0 to 1")
    level = schedule(min(progress, 1.0))
    wanted = min(budget, math.floor(level * budget + 1e-6))  # .29 * 100 is a hair below 29
    return max(0, wanted - asked)
