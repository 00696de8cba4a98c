"""Synthetic teachers by name: B-Pref's six (Lee et al. 2021), each open to other settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from prefrl.core.errors import UserError, pick
from prefrl.teachers.human import Person
from prefrl.teachers.oracle import Oracle
from prefrl.teachers.replay import Replay
from prefrl.teachers.stored import AnswerFunction
from prefrl.teachers.units import UNITS, RecentReturn


@dataclass(frozen=True)
class Preset:
    """A named teacher: how to make it, its own settings and a line for `prefrl list`."""

    about: str
    settings: dict[str, float] = field(default_factory=dict)
    make: Callable[..., AnswerFunction] = Oracle


TEACHERS: dict[str, Preset] = {
    "oracle": Preset("always prefers the higher true return; exact ties are equal"),
    "mistake": Preset("gives the wrong answer one time in ten", {"mistake": 0.1}),
    "noisy": Preset("errs the more often, the closer the returns (Bradley-Terry, beta 1)", {"beta": 1.0}),
    "skip": Preset("skips pairs in which both segments are poor", {"skip": 0.1}),
    "equal": Preset("calls pairs with similar returns equal", {"equal": 0.1}),
    "myopic": Preset("weighs recent steps most (gamma 0.9)", {"gamma": 0.9}),
    "human": Preset(
        "people, on a page in the browser that opens with the run (see prefrl label --help)", make=lambda **_: Person()
    ),
    "replay": Preset(
        "replay=RUN: the answers recorded in RUN, people's or not, to the same segments", make=lambda **_: Replay()
    ),
}


def recorded(name: str) -> str | None:
    """The folder of the run whose answers a teacher called replay=RUN repeats; None for any other teacher."""
    kind, _, run = name.partition("=")
    return run if kind == "replay" and run else None


def synthetic(name: str) -> bool:
    """Whether a teacher of this name answers at once by the true reward: neither people nor a recording."""
    return name != "human" and not recorded(name)


def make_teacher(
    name: str, *, units: str = "task", rng: np.random.Generator, recent_return: RecentReturn | None = None,
    **changed: float | None,
) -> AnswerFunction:  # fmt: skip
    """The named teacher with some settings changed; None keeps the preset's own. Irrationalities can be combined.

    changed: beta, gamma, mistake, skip, equal, as of `Oracle`
    """
    preset = pick(TEACHERS, name, "teacher")
    settings = preset.settings | {key: value for key, value in changed.items() if value is not None}
    needs_return = units != "task" and (settings.get("skip") or settings.get("equal"))
    if needs_return and recent_return is None:
        raise UserError(
            f"units={units!r} sets skip and equal margins by the recent return, but none is known;"
            " give recent_return, or use units='task'"
        )
    return preset.make(rng=rng, units=pick(UNITS, units, "teacher units")(recent_return), **settings)
