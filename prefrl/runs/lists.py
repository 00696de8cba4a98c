"""Tables of everything that can be named, with one line on what it is; and the check that a name exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from envs import CATALOGUE
from envs.atari import PROTOCOLS
from prefrl.agents import AGENTS
from prefrl.config.methods import PRESETS
from prefrl.config.settings import Config, Source, get
from prefrl.core.errors import UserError, near
from prefrl.environments.making import SHOWN
from prefrl.mechanisms import MECHANISMS, check_mechanisms
from prefrl.queries.schedules import SCHEDULES
from prefrl.queries.strategies import STRATEGIES
from prefrl.rewards.bonuses import BONUSES
from prefrl.rewards.encoding import INPUTS
from prefrl.rewards.fits import FITS
from prefrl.rewards.networks import ALL_NETWORKS
from prefrl.rewards.objectives import OBJECTIVES
from prefrl.teachers import TEACHERS, recorded
from prefrl.teachers.crowd import COMBINE
from prefrl.teachers.replay import TIMINGS, UNKNOWN
from prefrl.teachers.units import UNITS

TABLES: dict[str, Callable[[], dict[str, str]]] = {
    "agent.algorithm": lambda: {name: agent.about for name, agent in AGENTS.items()},
    "teacher.name": lambda: {name: teacher.about for name, teacher in TEACHERS.items()},
    "teacher.units": lambda: dict.fromkeys(UNITS, ""),
    "teacher.combine": lambda: {name: about for name, (_, about) in COMBINE.items()},
    "teacher.timing": lambda: TIMINGS,
    "teacher.unknown": lambda: UNKNOWN,
    "questions.strategy": lambda: {name: strategy.about for name, strategy in STRATEGIES.items()},
    "questions.schedule": lambda: {name: rise.about for name, rise in SCHEDULES.items()},
    "reward.network": lambda: (
        {"auto": "mlp, or for pictures cnn or small_cnn by their size"}
        | {name: about for name, (_, about) in ALL_NETWORKS.items()}
    ),
    "pixels.show": lambda: {name: about for name, (_, about) in SHOWN.items()},
    "pixels.atari": lambda: {
        name: f"actions stick with probability {p.sticky:g}, {f'up to {p.noops}' if p.noops else 'no'} no-ops at first"
        for name, p in PROTOCOLS.items()
    },
    "reward.fit": lambda: {name: about for name, (_, about) in FITS.items()},
    "reward.bonus": lambda: {name: about for name, (_, about) in BONUSES.items()},
    "reward.objective": lambda: {name: objective.about for name, objective in OBJECTIVES.items()},
    "reward.inputs": lambda: {name: " and ".join(parts) for name, parts in INPUTS.items()},
    "reward.source": lambda: dict.fromkeys(get_args(Source), ""),
}
"""Setting -> names it takes, each with one line."""


def check_name(config: Config, setting: str) -> None:
    """Raise UserError, with the near match and the list, if the setting names nothing that exists."""
    name, known = get(config, setting), TABLES[setting]()
    if setting == "teacher.name" and recorded(name):
        return
    if setting == "teacher.name" and name.partition("=")[0] == "replay":
        raise UserError("teacher.name='replay' needs the run whose answers are to be replayed: --teacher replay=RUN")
    if name not in known:
        raise UserError(f"{setting}={name!r} does not exist{near(name, known)}")


def check(config: Config) -> None:
    """Raise UserError for the first value out of its range, or that names nothing, before anything is made."""
    config.check()
    for setting in TABLES:
        check_name(config, setting)
    check_mechanisms(config)


def everything() -> dict[str, dict[str, str]]:
    """All tables for `prefrl list`, by heading."""
    headings = {
        "teachers (--teacher.name)": "teacher.name",
        "query strategies (--questions.strategy)": "questions.strategy",
        "schedules (--questions.schedule)": "questions.schedule",
        "several opinions (--teacher.combine)": "teacher.combine",
        "reward networks (--reward.network)": "reward.network",
        "reward inputs (--reward.inputs)": "reward.inputs",
        "reward objectives (--reward.objective)": "reward.objective",
        "ways of fitting the reward (--reward.fit)": "reward.fit",
        "bonuses (--reward.bonus)": "reward.bonus",
        "observations (--pixels.show)": "pixels.show",
        "Atari games (--pixels.atari)": "pixels.atari",
        "agents (--agent.algorithm)": "agent.algorithm",
    }
    mechanisms = {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in MECHANISMS.items()}
    return {
        "environments (--env); any other Gymnasium id works as well": CATALOGUE,
        "presets (--preset)": {name: method.about for name, method in PRESETS.items()},
        **{heading: TABLES[setting]() for heading, setting in headings.items()},
        "mechanisms (--mechanisms.NAME)": mechanisms,
    }
