"""Two agents as somebody else would write them: a file of their own, settings of their own, and a line each to register."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from prefrl.agents import register
from prefrl.agents.agent import Agent
from prefrl.config.settings import AgentConfig, Config
from prefrl.core.data import Feedback, Segments
from prefrl.core.rollout import Rollout
from prefrl.core.tensors import pack_optimiser, unpack_optimiser
from prefrl.environments.recorder import Recorder
from prefrl.kinds import kind_of
from prefrl.loop import Pay, Turn
from prefrl.mechanisms import Mechanisms
from prefrl.rewards.base import FitReport


def network(recorder: Recorder, hidden: int) -> nn.Module:
    """Observations (N, d) -> a number for each action (N, A)"""
    d, actions = recorder.observation_space.shape[0], int(recorder.action_space.n)
    return nn.Sequential(nn.Linear(d, hidden), nn.Tanh(), nn.Linear(hidden, actions))


@dataclass
class QConfig(AgentConfig):
    """Q-learning from a replay memory."""

    every: int = 32
    """Steps of each environment between two turns."""
    capacity: int = 16
    """Turns that the replay memory holds."""
    updates: int = 8
    """Updates after a turn."""
    epsilon: float = 0.2
    """Share of random actions."""
    gamma: float = 0.9
    hidden: int = 16

    @property
    def turn_steps(self) -> int:
        return self.n_envs * self.every


class QLearner(Agent):
    """Learns off policy: from all steps that it remembers, whose rewards are learned anew after each fit."""

    def __init__(self, config: Config, recorder: Recorder, mechanisms: Mechanisms):
        settings = config.agent
        assert isinstance(settings, QConfig)
        super().__init__(config, recorder, settings.turn_steps, mechanisms, settings.gamma)
        self.settings = settings
        self.values, self.target = network(recorder, settings.hidden), network(recorder, settings.hidden)
        self.target.load_state_dict(self.values.state_dict())
        self.optimiser = torch.optim.Adam(self.values.parameters(), 1e-3)
        self.replay: list[Rollout] = []
        self.rewards: list[np.ndarray] = []  # (every, n_envs) of each
        self.relabelled = 0
        mechanisms.begin(self)

    @property
    def policy(self) -> nn.Module:
        return self.values

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        with torch.no_grad():
            actions = self.values(torch.as_tensor(observation)).argmax(-1).numpy()
        random = np.random.random(len(actions)) < (0 if deterministic else self.settings.epsilon)
        return np.where(random, np.random.randint(self.memory.action_space.n, size=len(actions)), actions), None

    def learn(self, turn: Turn, pay: Pay) -> None:
        self.pay = pay
        self.watcher.start()
        seen = self.memory.reset()
        while self.step < self.total_steps:
            self.between_turns()
            for _ in range(self.settings.every):
                seen = self.memory.step(self.predict(seen)[0])[0]
            turn()
            rollout = self.memory.latest(self.settings.every)
            self.replay = [*self.replay, rollout][-self.settings.capacity :]
            self.rewards = [*self.rewards, pay(rollout)][-self.settings.capacity :]
            for _ in range(self.settings.updates):
                self.update()
            self.target.load_state_dict(self.values.state_dict())
            self.end_turn()
        self.watcher.end()

    def reward_changed(self) -> None:
        self.rewards = [self.pay(rollout, again=True) for rollout in self.replay]
        self.relabelled += 1

    def update(self) -> None:
        """One step on a random remembered rollout."""
        at = np.random.randint(len(self.replay))
        then, earned = self.replay[at], torch.from_numpy(self.rewards[at])
        with torch.no_grad():
            after = self.target(torch.from_numpy(then.next_observations)).max(-1).values
            wanted = earned + self.settings.gamma * after * ~torch.from_numpy(then.finished)
        taken = torch.from_numpy(then.actions).long().reshape(*wanted.shape, 1)
        guess = self.values(torch.from_numpy(then.observations)).gather(-1, taken)[..., 0]
        self.optimiser.zero_grad()
        nn.functional.mse_loss(guess, wanted).backward()
        self.optimiser.step()

    def tensors(self):
        remembered = {
            part.name: torch.from_numpy(np.stack([getattr(rollout, part.name) for rollout in self.replay]))
            for part in fields(Rollout)
            if self.replay and isinstance(getattr(self.replay[0], part.name), np.ndarray)
        }
        return {
            **{f"values.{name}": values for name, values in self.values.state_dict().items()},
            **{f"target.{name}": values for name, values in self.target.state_dict().items()},
            **pack_optimiser(self.optimiser, "optimiser.")[0],
            **{f"replay.{name}": values for name, values in remembered.items()},
            **({"rewards": torch.from_numpy(np.stack(self.rewards))} if self.rewards else {}),
        }

    def state(self):
        return {"groups": pack_optimiser(self.optimiser, "optimiser.")[1], "relabelled": self.relabelled}

    def restore(self, tensors, state):
        def part(prefix: str) -> dict[str, Any]:
            return {k.removeprefix(prefix): values for k, values in tensors.items() if k.startswith(prefix)}

        self.values.load_state_dict(part("values."))
        self.target.load_state_dict(part("target."))
        unpack_optimiser(self.optimiser, "optimiser.", tensors, state["groups"])
        self.relabelled = state["relabelled"]
        remembered = {name: values.numpy() for name, values in part("replay.").items()}
        self.rewards = list(tensors["rewards"].numpy()) if "rewards" in tensors else []
        self.replay = [
            Rollout(**{name: values[at] for name, values in remembered.items()}) for at in range(len(self.rewards))
        ]


@dataclass
class ContrastiveConfig(AgentConfig):
    """A policy that learns from answers alone."""

    every: int = 64
    """Steps of each environment between two turns."""
    passes: int = 5
    """Gradient steps of a fit."""

    @property
    def turn_steps(self) -> int:
        return self.n_envs * self.every


class Contrastive(Agent):
    """Makes the actions of preferred segments likelier than those of the others (Hejna et al. 2023): no reward model."""

    def __init__(self, config: Config, recorder: Recorder, mechanisms: Mechanisms):
        settings = config.agent
        assert isinstance(settings, ContrastiveConfig)
        super().__init__(config, recorder, settings.turn_steps, mechanisms, gamma=0.99)
        self.settings, self.version, self.fresh = settings, 0, 0
        self.logits = network(recorder, 16)
        self.optimiser = torch.optim.Adam(self.logits.parameters(), 1e-2)
        self.answers: list[Feedback] = []
        mechanisms.begin(self)

    @property
    def policy(self) -> nn.Module:
        return self.logits

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        with torch.no_grad():
            logits = self.logits(torch.as_tensor(observation))
        if deterministic:
            return logits.argmax(-1).numpy(), None
        return torch.distributions.Categorical(logits=logits).sample().numpy(), None

    def learn(self, turn: Turn, pay: Pay) -> None:
        self.watcher.start()
        seen = self.memory.reset()
        while self.step < self.total_steps:
            self.between_turns()
            for _ in range(self.settings.every):
                seen = self.memory.step(self.predict(seen)[0])[0]
            turn()
            self.end_turn()
        self.watcher.end()

    def hear(self, feedback: Feedback) -> None:
        if feedback.whole:
            self.answers = []
        self.answers.append(feedback)
        self.fresh += len(feedback)

    def due(self) -> bool:
        return self.fresh > 0

    def fit(self, step: int) -> FitReport:
        heard = [feedback for feedback in self.answers if len(feedback)]
        segments = Segments.concatenate([feedback.segments for feedback in heard])  # in one: batches round differently
        answer = {
            name: torch.as_tensor(np.concatenate([feedback.answer[name] for feedback in heard]))
            for name in heard[0].answer
        }
        for _ in range(self.settings.passes):
            loss = kind_of(heard[0].kind).loss(self.log_probabilities(segments), answer, 0.1).mean()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        self.version, self.fresh, known = self.version + 1, 0, len(segments)
        return FitReport(known, known, self.settings.passes, 0, loss.item(), float("nan"), 0.0, 0.0, {})

    def log_probabilities(self, segments: Segments) -> torch.Tensor:
        """Of the actions in segments: (Q, K) -> (Q, K, T)"""
        seen = torch.from_numpy(np.asarray(segments.observations)[..., :-1, :]).float()
        taken = torch.from_numpy(segments.actions).long().reshape(*seen.shape[:-1], 1)
        return self.logits(seen).log_softmax(-1).gather(-1, taken)[..., 0]

    def tensors(self):
        return super().tensors() | pack_optimiser(self.optimiser, "optimiser.")[0]

    def state(self):
        groups = pack_optimiser(self.optimiser, "optimiser.")[1]
        return {"groups": groups, "version": self.version, "fresh": self.fresh}

    def restore(self, tensors, state):
        super().restore(tensors, state)
        unpack_optimiser(self.optimiser, "optimiser.", tensors, state["groups"])
        self.version, self.fresh = state["version"], state["fresh"]


register("toy-q", QLearner, QConfig, "Q-learning, a toy")
register("toy-contrastive", Contrastive, ContrastiveConfig, "learns from answers alone, a toy", learns=True)
