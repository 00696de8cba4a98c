"""Progress of a run: the line for the person who trains, and notices on the label page for people who label."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from tqdm import tqdm

from prefrl.agents.agent import Agent
from prefrl.queries.asker import Asker
from prefrl.rewards.model import RewardModel
from prefrl.runs.metrics import Log
from prefrl.store.lookup import by_kind
from prefrl.store.store import LabelStore

LATELY = 60  # answered questions whose predictions are kept up to date
OFTEN = 1.0  # seconds between two notices


class Progress:
    """A tqdm progress bar with steps, questions, true return and the reward model's held-out accuracy."""

    def __init__(self, agent: Agent, asker: Asker, log: Log, quiet: bool = False):
        self.agent, self.asker, self.log, self.quiet = agent, asker, log, quiet

    def start(self) -> None:
        self.bar = tqdm(
            total=self.agent.total_steps, initial=self.agent.step, unit="step", unit_scale=True, disable=self.quiet,
            mininterval=0.5 if sys.stderr.isatty() else 15, dynamic_ncols=True, file=sys.stderr,
        )  # fmt: skip

    def show(self) -> None:
        self.bar.n = self.agent.step
        shown = {"asked": f"{self.asker.asked}/{self.asker.budget}"} if self.asker.budget else {}
        if finished := self.agent.memory.finished[-20:]:
            shown["true return"] = f"{np.mean([earned for earned, _ in finished]):.4g}"
        if (fit := self.log.last_fit) and "accuracy" in fit.metrics:
            shown["accuracy"] = f"{fit.metrics['accuracy']:.0%}"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(0)

    def show_state(self, state: str) -> None:
        """Show a text in place of the figures, which stand still while training waits."""
        if state != self.bar.postfix:
            self.bar.set_postfix_str(state)

    def close(self) -> None:
        self.show()
        self.bar.close()


class TrainerNotices:
    """Posts notices to the label store; only runs whose teacher is human have it."""

    def __init__(
        self, agent: Agent, asker: Asker, reward_model: RewardModel | None, store: LabelStore, log: Log, queue: int,
        show_state: Callable[[str], None],
    ):  # fmt: skip
        """queue: questions that may be unanswered at a time; show_state: to the person who trains"""
        self.agent, self.asker, self.reward_model, self.store, self.log = agent, asker, reward_model, store, log
        self.queue, self.show_state = queue, show_state
        self.posted_at, self.version, self.state = 0.0, 0, ""
        self.started_at, self.started_step = time.monotonic(), 0
        self.waited = 0.0  # seconds in which training waited for people
        self.waiting_since: float | None = None

    def start(self) -> None:
        self.started_at, self.started_step = time.monotonic(), self.agent.step
        self.post("running")

    def turn(self) -> None:
        """Between two turns."""
        self.post("running")
        self._predict()

    @contextmanager
    def posting_end(self) -> Iterator[None]:
        """Post that training has finished when the block ends, or that it stopped if it raises."""
        try:
            yield
            self._predict()
            self.post("finished")
        except BaseException:
            self.post("stopped")
            raise

    def waiting(self, state: str) -> None:
        """While training waits for people, and with "running" when it goes on."""
        if state == "running" and self.waiting_since is not None:
            self.waited, self.waiting_since = self.waited + time.monotonic() - self.waiting_since, None
        elif state != "running" and self.waiting_since is None:
            self.waiting_since = time.monotonic()
        self.show_state(state)
        self.post(state)

    def post(self, state: str) -> None:
        """Post a change of state at once, the rest now and then."""
        now = time.monotonic()
        if state == self.state and now - self.posted_at < OFTEN:
            return
        self.posted_at, self.state = now, state
        self.store.notices.post("trainer", self._notice(state))

    def _notice(self, state: str) -> dict[str, object]:
        step, fit = self.agent.step, self.log.last_fit
        accuracy = fit.metrics.get("accuracy") if fit else None
        passed = max(1e-3, (self.waiting_since or time.monotonic()) - self.started_at - self.waited)
        return {
            "state": state, "step": step, "total_steps": self.agent.total_steps, "model_version": self.reward_model.version if self.reward_model else 0,
            "accuracy": None if accuracy is None or accuracy != accuracy else accuracy,
            "budget": self.asker.budget, "asked": self.asker.asked, "queue": self.queue, "pid": os.getpid(),
            "next_due_step": self.asker.next_session(step, self.agent.turn_steps),
            "steps_per_second": (step - self.started_step) / passed,
        }  # fmt: skip

    def _predict(self) -> None:
        """Post predictions for the questions that people look at now or answered lately."""
        if self.reward_model is None or self.reward_model.version <= self.version:
            return
        self.version = self.reward_model.version
        checks = self.store.asked_queries(gold=True)[-LATELY:]  # a missing prediction would give gold questions away
        ids = sorted({*self.store.open_queries(), *self.reward_model.recent_queries(LATELY), *checks})
        for kind, query_ids in by_kind(self.store, ids).items():
            rewards, chances = self.reward_model.predict(kind, self.store.queries(query_ids).segments)
            self.store.notices.predict({
                id: {"model_version": self.version, "chances": c.tolist(), "rewards": r.round(4).tolist()}
                for id, c, r in zip(query_ids, chances, rewards, strict=True)
            })  # fmt: skip
