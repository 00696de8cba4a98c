"""The loop of Christiano et al. 2017. It imports nothing of ours: the parts know nothing of each other.

act         the agent acts in its environments; its memory keeps what happened
ask         when questions are due, segments of that go to the teacher
listen      whatever answers are there by now: an oracle's at once, a person's minutes later
understand  the learner is fitted to all answers, once enough of them are new
improve     the agent improves its policy, paid by the reward model as it is now

The agent says when: a turn is a rollout for PPO, every few steps for an agent that learns off policy. The learner is the
reward model; or the agent itself, where it learns from feedback directly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

Turn = Callable[[], None]


class Pay(Protocol):
    def __call__(self, rollout: Any, again: bool = False) -> np.ndarray:
        """Rewards of steps (n, n_envs). again: these steps were paid for before, and are paid anew after a fit"""


class Agent(Protocol):
    memory: Any  # of what its environments saw and did lately

    @property
    def step(self) -> int: ...
    def learn(self, turn: Turn, pay: Pay) -> None: ...
    def reward_changed(self) -> None: ...


class Asker(Protocol):
    asked: int

    def take_back(self, questions: int) -> None: ...
    def choose(self, step: int, capacity: float, memory: Any, reward_model: Any) -> Sequence[Any]: ...


class Teacher(Protocol):
    def outdated(self, step: int) -> int: ...
    def capacity(self, step: int) -> float: ...
    def ask(self, queries: Any) -> None: ...
    def answers(self, step: int) -> Sequence[Any]: ...


class Paid(Protocol):
    def rewards(self, rollout: Any) -> np.ndarray: ...


class Learner(Protocol):
    version: int  # fits so far

    def hear(self, feedback: Any) -> None: ...
    def due(self) -> bool: ...
    def fit(self, step: int) -> Any: ...


class Log(Protocol):
    def asked(self, questions: int) -> None: ...
    def fitted(self, report: Any) -> None: ...
    def paid(self, rollout: Any, rewards: np.ndarray) -> None: ...


class PreferenceLoop:
    """The parts, and a turn that carries things from one to the next."""

    def __init__(
        self, agent: Agent, asker: Asker, teacher: Teacher, learner: Learner, reward_model: Any, paid: Paid, log: Log
    ):
        """reward_model: by which questions are chosen; paid: what the agent is paid, which may be more"""
        self.agent, self.asker, self.teacher, self.learner = agent, asker, teacher, learner
        self.reward_model, self.paid, self.log = reward_model, paid, log

    def run(self) -> None:
        """One call of the agent's own `learn`; it takes a turn whenever it has acted for a while."""
        self.agent.learn(self.turn, self.pay)

    def turn(self) -> None:
        """Ask, listen and understand, between acting and improving."""
        step = self.agent.step
        self.asker.take_back(self.teacher.outdated(step))  # people may not come to all; an oracle answers at once
        for queries in self.asker.choose(step, self.teacher.capacity(step), self.agent.memory, self.reward_model):
            self.teacher.ask(queries)  # one batch of each kind
        for feedback in self.teacher.answers(step):
            self.learner.hear(feedback)
        if self.learner.due():
            self.log.fitted(self.learner.fit(step))
            self.agent.reward_changed()
        self.log.asked(self.asker.asked)

    def pay(self, rollout: Any, again: bool = False) -> np.ndarray:
        """What the agent is paid for steps that it improves on: (n, n_envs)"""
        rewards = self.paid.rewards(rollout)
        if not again:
            self.log.paid(rollout, rewards)
        return rewards
