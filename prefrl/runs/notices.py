"""What a trainer tells the people who label for it: how far it is, and what its reward model thinks of the clips."""

from __future__ import annotations

import os
import time
from typing import Any

LATELY = 60  # answered questions whose predictions are kept up to date
OFTEN = 1.0  # seconds between two notices


class TrainerNotices:
    """Posts to the label store of a run whose teacher is human. Others pay nothing for it."""

    def __init__(self, run: Any):
        self.run = run
        self.posted_at, self.version, self.state = 0.0, 0, ""
        self.started_at, self.started_step = time.monotonic(), 0

    def start(self) -> None:
        self.started_at, self.started_step = time.monotonic(), self.run.agent.step
        self.post("running")

    def rollout(self) -> None:
        """Between two rollouts."""
        self.post("running")
        self._predict()

    def finish(self) -> None:
        """After the last update."""
        self._predict()
        self.post("finished")

    def waiting(self, state: str) -> None:
        """While training waits for people."""
        self.run.progress.say(state)
        self.post(state)

    def post(self, state: str) -> None:
        """Post a change of state at once, the rest now and then."""
        now = time.monotonic()
        if state == self.state and now - self.posted_at < OFTEN:
            return
        self.posted_at, self.state = now, state
        self.run.store.notices.post("trainer", self._notice(state))

    def _notice(self, state: str) -> dict[str, Any]:
        run, step = self.run, self.run.agent.step
        fit = run.log.last_fit
        accuracy = fit.metrics.get("accuracy") if fit else None
        passed = max(1e-3, time.monotonic() - self.started_at)
        return {
            "state": state, "step": step, "total_steps": run.total_steps, "model_version": run.reward_model.version,
            "accuracy": None if accuracy is None or accuracy != accuracy else accuracy,
            "budget": run.asker.budget, "asked": run.asker.asked, "queue": run.config.teacher.queue, "pid": os.getpid(),
            "next_due_step": run.asker.next_session(step, run.model.n_steps * run.recorder.num_envs),
            "steps_per_second": (step - self.started_step) / passed,
        }  # fmt: skip

    def _predict(self) -> None:
        """Say what the reward model thinks of the questions that people look at now or looked at lately."""
        run = self.run
        if run.reward_model.version <= self.version:
            return
        self.version = run.reward_model.version
        checks = run.store.asked_queries(gold=True)[-LATELY:]  # else people would know them by our silence
        if not (ids := sorted({*run.store.open_queries(), *run.reward_model.recent_queries(LATELY), *checks})):
            return
        rewards, chances = run.reward_model.opinion("pair", run.store.queries(ids).segments)
        run.store.notices.predict({
            id: {"model_version": self.version, "probability": float(p), "rewards": r.round(4).tolist()}
            for id, p, r in zip(ids, chances[:, 0], rewards, strict=True)
        })  # fmt: skip
