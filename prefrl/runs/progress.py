"""The progress line of a run: steps, questions, true return, accuracy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from tqdm import tqdm


class Progress:
    """One line that moves: steps, questions, the true return and how well the reward model predicts answers."""

    def __init__(self, run: Any, quiet: bool = False):
        self.run, self.quiet = run, quiet

    def start(self) -> None:
        run = self.run
        self.bar = tqdm(
            total=run.total_steps, initial=run.agent.step, unit="step", unit_scale=True, disable=self.quiet,
            mininterval=0.5 if sys.stderr.isatty() else 15, dynamic_ncols=True, file=sys.stderr,
        )  # fmt: skip

    def show(self) -> None:
        run = self.run
        self.bar.n = run.agent.step
        shown = {"asked": f"{run.asker.asked}/{run.asker.budget}"} if run.asker.budget else {}
        if run.recorder.finished:
            shown["true return"] = f"{np.mean([r for r, _ in run.recorder.finished[-20:]]):.4g}"
        if (fit := run.log.last_fit) and "accuracy" in fit.metrics:
            shown["accuracy"] = f"{fit.metrics['accuracy']:.0%}"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(0)

    def say(self, what: str) -> None:
        """Show a word in place of the figures, as they do not move meanwhile."""
        if what != self.bar.postfix:
            self.bar.set_postfix_str(what)

    def close(self) -> None:
        self.show()
        self.bar.close()
