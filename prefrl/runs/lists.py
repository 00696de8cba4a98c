"""Tables of everything that can be named, for `prefrl list` and for the check that a name exists."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from envs import CATALOGUE
from envs.atari import PROTOCOLS
from prefrl.agents import AGENTS
from prefrl.config.methods import PRESETS
from prefrl.config.settings import Config, Source, get
from prefrl.core.errors import UserError, near
from prefrl.environments.making import SHOWN
from prefrl.kinds import KINDS
from prefrl.mechanisms import MECHANISMS, check_mechanisms
from prefrl.queries.asker import TURNS
from prefrl.queries.schedules import SCHEDULES
from prefrl.queries.strategies import STRATEGIES
from prefrl.rewards.bonuses import BONUSES
from prefrl.rewards.encoding import INPUTS
from prefrl.rewards.fits import FITS
from prefrl.rewards.fits.base import OBJECTIVES
from prefrl.rewards.networks import ALL_NETWORKS
from prefrl.teachers import TEACHERS, recorded
from prefrl.teachers.crowd import COMBINE
from prefrl.teachers.replay import TIMINGS, UNKNOWN
from prefrl.teachers.units import UNITS

AUTO_NETWORK = {"auto": "mlp, or for pictures cnn or small_cnn by their size"}
INPUT_WORDS = {name: " and ".join(inputs) for name, inputs in INPUTS.items()}
PROTOCOL_WORDS = {
    name: f"actions stick with probability {p.sticky:g}, {f'up to {p.noops}' if p.noops else 'no'} no-ops at first"
    for name, p in PROTOCOLS.items()
}


@dataclass(frozen=True)
class Table:
    """The parts that a setting names. heading: in `prefrl list`; empty: they are not listed there."""

    heading: str
    parts: Mapping[str, Any]  # name -> the part, or what it is, or both

    def lines(self) -> dict[str, str]:
        """Name -> one line on what it is."""
        return {name: _line(part) for name, part in self.parts.items()}


def _line(part: Any) -> str:
    if isinstance(part, tuple):  # (part, line)
        return part[-1]
    return part if isinstance(part, str) else getattr(part, "about", None) or (part.__doc__ or "").partition("\n")[0]


TABLES: dict[str, Table] = {
    "teacher.name": Table("teachers", TEACHERS),
    "questions.kinds": Table("kinds of feedback", KINDS),
    "questions.turns": Table("order of several kinds", TURNS),
    "questions.strategy": Table("query strategies", STRATEGIES),
    "questions.schedule": Table("schedules", SCHEDULES),
    "teacher.combine": Table("several opinions", COMBINE),
    "reward.network": Table("reward networks", ChainMap(AUTO_NETWORK, ALL_NETWORKS)),  # type: ignore[arg-type]
    "reward.inputs": Table("reward inputs", INPUT_WORDS),
    "reward.objective": Table("reward objectives", OBJECTIVES),
    "reward.fit": Table("ways of fitting the reward", FITS),
    "reward.bonus": Table("bonuses", BONUSES),
    "pixels.show": Table("observations", SHOWN),
    "pixels.atari": Table("Atari games", PROTOCOL_WORDS),
    "agent.algorithm": Table("agents", AGENTS),
    "agent.fast": Table("", dict.fromkeys(("auto", "off"), "")),
    "mechanisms": Table("mechanisms", MECHANISMS),
    "teacher.units": Table("", dict.fromkeys(UNITS, "")),
    "teacher.timing": Table("", TIMINGS),
    "teacher.unknown": Table("", UNKNOWN),
    "reward.source": Table("", dict.fromkeys(get_args(Source), "")),
}
"""Setting -> what it may name."""


def check(config: Config) -> None:
    """Raise UserError for the first value out of its range, or that names nothing, before anything is made."""
    config.check()
    for setting in TABLES:
        check_name(config, setting)
    check_mechanisms(config)


def check_name(config: Config, setting: str) -> None:
    """Raise UserError, with the near match and the list, if the setting names nothing that exists."""
    value, known = get(config, setting), TABLES[setting].parts
    for name in value if isinstance(value, tuple | dict) else (value,):
        if setting == "teacher.name" and recorded(name):
            continue
        if setting == "teacher.name" and name.partition("=")[0] == "replay":
            raise UserError("teacher.name='replay' needs the run whose answers are replayed: --teacher replay=RUN")
        if name not in known:
            raise UserError(f"{setting}={name!r} does not exist{near(name, known)}")


def everything() -> dict[str, dict[str, str]]:
    """All tables for `prefrl list`, by heading."""
    listed = {f"{table.heading} (--{setting})": table.lines() for setting, table in TABLES.items() if table.heading}
    return {
        "environments (--env); any other Gymnasium id works as well": CATALOGUE,
        "presets (--preset)": Table("", PRESETS).lines(),
        **listed,
    }
