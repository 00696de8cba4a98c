"""The user's own parts of a run, given as objects where the settings have names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from prefrl.agents.agent_maker import EXPECTED as OWN_AGENT
from prefrl.core.errors import UserError, brief, near
from prefrl.environments.making import MakeEnv
from prefrl.mechanisms import Mechanism
from prefrl.queries.schedules import Schedule
from prefrl.queries.strategies import Score
from prefrl.rewards.own_network import EXPECTED as OWN_NETWORK
from prefrl.teachers.stored import AnswerFunction


def _part(setting: str, expected: str) -> Any:
    """A part in whose place a name may be given, the value of this setting."""
    return field(default=None, metadata={"setting": setting, "expected": expected})


@dataclass(frozen=True)
class Own:
    """The user's own parts; None where the settings name one."""

    env: MakeEnv | None = _part("env", "a function that makes a gymnasium.Env")
    agent: OnPolicyAlgorithm | Callable[[VecEnv], OnPolicyAlgorithm] | None = _part("agent.algorithm", OWN_AGENT)
    teacher: AnswerFunction | None = _part("teacher.name", "a function of queries that gives preferences (Q,)")
    reward_network: Callable[..., nn.Module] | None = _part("reward.network", OWN_NETWORK)
    strategy: Score | None = _part(
        "questions.strategy", "a function of member returns (E, N, 2) that gives scores (N,)"
    )
    schedule: Schedule | None = _part(
        "questions.schedule", "a function of progress in [0, 1] that gives the share of the budget asked by then"
    )
    mechanisms: Sequence[Mechanism] = ()  # in addition to those that the settings name

    def __post_init__(self) -> None:
        for mechanism in self.mechanisms:
            if not isinstance(mechanism, Mechanism):
                raise UserError(
                    f"mechanisms= has {brief(mechanism)}; expected objects of subclasses of prefrl.Mechanism"
                )
        for each in fields(self):
            part, expected = getattr(self, each.name), each.metadata.get("expected")
            if expected and part is not None and not callable(part) and not isinstance(part, OnPolicyAlgorithm):
                raise UserError(
                    f"{each.name}={brief(part)} is of type {type(part).__name__}; expected a name, or {expected}"
                )

    def names(self) -> dict[str, str]:
        """Which parts are the user's own, for the run's folder."""
        return {name: repr(part) for name, part in vars(self).items() if part is not None and part != ()}

    @classmethod
    def given_again(
        cls, parts: Mapping[str, Any], folder: Path | str, trained_with: Mapping[str, str], call: str
    ) -> Own:
        """The parts of a run that is opened again by a call of `prefrl.<call>`; trained_with: its `names()`.

        Raises UserError for an unknown part, and unless all that the run was trained with are there.
        """
        known = [each.name for each in fields(cls)]
        if unknown := [name for name in parts if name not in known]:
            raise UserError(f"{call} has no argument {unknown[0]!r}{near(unknown[0], known)}")
        own = cls(**parts)
        if missing := sorted(set(trained_with) - set(own.names())):
            raise UserError(
                f"{folder} was trained with {', '.join(missing)} of your own; bring it along again:"
                f" prefrl.{call}({str(folder)!r}, {', '.join(f'{name}=...' for name in missing)})"
            )
        return own
