"""Agents by name. A new one is one file and one line here, or one call of `register` in a module of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from prefrl.config.settings import AgentConfig, OnPolicyConfig, register_agent

MakeAgent = Callable[..., Any]
"""(config, recorder, mechanisms) -> Agent"""


@dataclass(frozen=True)
class AgentPart:
    """How an agent is made, the class of its settings, and a line for `prefrl list`."""

    make: str | MakeAgent  # or "module:function", imported when needed
    settings: type[AgentConfig]
    about: str
    learns: bool = False  # from feedback itself, without a reward model: it is the loop's learner

    def maker(self) -> MakeAgent:
        if not isinstance(self.make, str):
            return self.make
        module, _, function = self.make.partition(":")
        return getattr(import_module(module), function)


AGENTS: dict[str, AgentPart] = {}


def register(
    name: str, make: str | MakeAgent, settings: type[AgentConfig], about: str = "", learns: bool = False
) -> None:
    """Make `agent.algorithm: name` known, with settings of its own."""
    register_agent(name, settings)
    AGENTS[name] = AgentPart(make, settings, about, learns)


register("ppo", "prefrl.agents.on_policy:make", OnPolicyConfig, "Proximal Policy Optimisation (Stable-Baselines3)")
register("a2c", "prefrl.agents.on_policy:make", OnPolicyConfig, "Advantage Actor-Critic (Stable-Baselines3)")
