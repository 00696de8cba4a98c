"""The agent: acts in recorded environments, calls the preference loop once a turn, and improves its policy."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.core.observations import Observations
from prefrl.core.streams import number
from prefrl.environments.recorder import Recorder
from prefrl.loop import Pay, Turn
from prefrl.mechanisms import Mechanisms
from prefrl.rewards.encoding import pictures_in


class Watcher:
    """Callbacks around an agent's turns; a run overrides those that it needs."""

    def start(self) -> None:
        """Before the first turn."""

    def turn(self) -> None:
        """Between two turns."""

    def cut(self) -> None:
        """Where all episodes were just cut: the place for a checkpoint."""

    def end(self) -> None:
        """After the last update."""


class Agent:
    """Base class of agents. A subclass defines how it learns, predicts and is checkpointed.

    `learn` calls `self.watcher.start()`, then for each turn `between_turns()`, `turn_steps` environment steps, `turn()`,
    its update and `end_turn()`; and `self.watcher.end()`. Episodes are cut where checkpoints are, and random streams
    (random, numpy, torch) are seeded anew there: the memory is then empty and no environment's state has to be kept.
    """

    def __init__(self, config: Config, recorder: Recorder, turn_steps: int, mechanisms: Mechanisms, gamma: float):
        """turn_steps: environment steps in a turn; gamma: discount per step"""
        self.config, self.memory, self.mechanisms = config, recorder, mechanisms
        self.turn_steps, self.gamma = turn_steps, gamma
        self.total_steps = total_steps(config, turn_steps)
        recorder.cut_every = cut_every(config, turn_steps, recorder.num_envs)
        self.watcher = Watcher()
        self.logger = Logger(None, [])

    def __str__(self) -> str:
        return self.config.agent.algorithm

    @property
    def step(self) -> int:
        """Environment steps of the run so far."""
        return self.memory.steps * self.memory.num_envs

    @property
    def policy(self) -> nn.Module:
        """The policy network; `check` requires finite parameters."""
        raise NotImplementedError

    @property
    def action_space(self) -> spaces.Space:
        return self.memory.action_space

    def learn(self, turn: Turn, pay: Pay) -> None:
        """Act and improve the policy up to `total_steps`."""
        raise NotImplementedError

    def predict(
        self, observation: Observations, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[np.ndarray, Any]:
        """Actions for a batch of observations, and the policy's next state, as in SB3."""
        raise NotImplementedError

    def reward_changed(self) -> None:
        """The learner was just fitted: an agent that stores rewards computes them anew."""

    def between_turns(self) -> None:
        """Before the first step of each turn."""
        self.check()
        self.watcher.turn()
        recorder = self.memory
        if recorder.cut_every and recorder.steps % recorder.cut_every == 0:
            if recorder.steps:
                recorder.begin_at(recorder.steps)  # nothing from before can become a segment
                self.watcher.cut()
            self.reseed()

    def end_turn(self) -> None:
        """Write a row of metrics."""
        self.logger.record("time/total_timesteps", self.step)
        if self.memory.finished:
            self.logger.record("rollout/ep_rew_mean", safe_mean([earned for earned, _ in self.memory.finished]))
        self.logger.dump(self.step)

    def reseed(self) -> None:
        """Derive the random streams anew from (seed, step), so that none has to be saved."""
        seed = number(self.config.seed, "agent", self.step)
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def log_to(self, logger: Logger) -> None:
        self.logger = logger

    def check(self) -> None:
        """Raise UserError if a parameter is not finite: saved in a checkpoint, it could not be repaired."""
        for name, values in self.policy.named_parameters():
            if not torch.isfinite(values).all():
                raise UserError(
                    f"the policy's {name} became NaN or infinite before step {self.step}; lower agent.learning_rate"
                    " and resume from the last checkpoint"
                )

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps: networks, optimisers, memories, under any names."""
        return {f"policy.{name}": values for name, values in self.policy.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """The rest of what a checkpoint keeps, as JSON."""
        return {}

    def restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Restore what `tensors` and `state` returned; `memory` is at the checkpoint's step already."""
        own = {k.removeprefix("policy."): values for k, values in tensors.items() if k.startswith("policy.")}
        self.policy.load_state_dict(own)


def total_steps(config: Config, turn_steps: int) -> int:
    """The steps of the run, rounded up to whole turns."""
    return -(-config.steps // turn_steps) * turn_steps


def cut_every(config: Config, turn_steps: int, n_envs: int) -> int | None:
    """Steps of each environment between checkpoints, at which episodes are cut; None if there are to be none."""
    if not config.record.checkpoints:
        return None
    turns = total_steps(config, turn_steps) // turn_steps
    return max(1, turns // config.record.checkpoints) * (turn_steps // n_envs)


def torch_device(name: str, venv: VecEnv) -> torch.device:
    """The device of a run's networks. `auto`: on a GPU for pictures if there is one; small ones are faster on a CPU."""
    if name == "auto":
        return torch.device("cuda" if pictures_in(venv.observation_space) and torch.cuda.is_available() else "cpu")
    try:  # SB3 falls back to the CPU silently where there is no such GPU
        probe = torch.zeros(1, device=name)
        probe.cpu()  # fails on devices without data, such as meta
        return probe.device
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        raise UserError(f"agent.device={name!r} cannot be used here: {str(fault).splitlines()[0]}; use cpu") from fault
