"""Tables of everything that can be named, for `prefrl list` and for the check that a name exists."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import get_args

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


NAMED: dict[str, tuple[str, Mapping[str, object]]] = {
    "teacher.name": ("teachers", TEACHERS),
    "questions.kinds": ("kinds of feedback", KINDS),
    "questions.turns": ("order of several kinds", TURNS),
    "questions.strategy": ("query strategies", STRATEGIES),
    "questions.schedule": ("schedules", SCHEDULES),
    "teacher.combine": ("several opinions", COMBINE),
    "reward.network": ("reward networks", ChainMap(AUTO_NETWORK, ALL_NETWORKS)),  # type: ignore[arg-type]
    "reward.inputs": ("reward inputs", INPUT_WORDS),
    "reward.objective": ("reward objectives", OBJECTIVES),
    "reward.fit": ("ways of fitting the reward", FITS),
    "reward.bonus": ("bonuses", BONUSES),
    "pixels.show": ("observations", SHOWN),
    "pixels.atari": ("Atari games", PROTOCOL_WORDS),
    "agent.algorithm": ("agents", AGENTS),
    "mechanisms": ("mechanisms", MECHANISMS),
    "teacher.units": ("", dict.fromkeys(UNITS, "")),
    "teacher.timing": ("", TIMINGS),
    "teacher.unknown": ("", UNKNOWN),
    "reward.fast": ("", {"auto": "", "off": ""}),
    "reward.source": ("", dict.fromkeys(get_args(Source), "")),
}
"""Setting -> heading in `prefrl list`, empty where it is not listed; and name -> the part, or what it is, or both."""


def check(config: Config) -> None:
    """Raise UserError for the first value out of its range, or that names nothing, before anything is made."""
    config.check()
    for setting, (_, known) in NAMED.items():
        value = get(config, setting)
        for name in value if isinstance(value, tuple | dict) else (value,):
            if setting == "teacher.name" and recorded(name):
                continue
            if setting == "teacher.name" and name.partition("=")[0] == "replay":
                raise UserError("teacher.name='replay' needs the run whose answers are replayed: --teacher replay=RUN")
            if name not in known:
                raise UserError(f"{setting}={name!r} does not exist{near(name, known)}")
    check_mechanisms(config)


def everything() -> dict[str, dict[str, str]]:
    """All tables for `prefrl list`, by heading: name -> one line on what it is."""
    tables: dict[str, Mapping[str, object]] = {
        "environments (--env); any other Gymnasium id works as well": CATALOGUE,
        "presets (--preset)": PRESETS,
    }
    tables |= {f"{heading} (--{setting})": parts for setting, (heading, parts) in NAMED.items() if heading}
    return {heading: {name: _line(part) for name, part in parts.items()} for heading, parts in tables.items()}


def _line(part: object) -> str:
    if isinstance(part, tuple):  # (part, line)
        return part[-1]
    return part if isinstance(part, str) else getattr(part, "about", None) or (part.__doc__ or "").partition("\n")[0]
