"""The progress line of a run: steps, questions, true return, accuracy."""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from prefrl.agents.agent import Agent
from prefrl.queries.asker import Asker
from prefrl.runs.metrics import Log


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
