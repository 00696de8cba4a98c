"""The status that open pages poll: progress of labelling and training, a labeller's pace, and the instructions."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from prefrl.config.settings import Config
from prefrl.kinds import KINDS
from prefrl.labelling.messages import Pace, RunStatus, Trainer
from prefrl.labelling.questions import Questions
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.store.tables import JUDGEMENTS

FRESH = 1.0  # seconds for which a status is reused
SILENCE = 7.0  # seconds without a notice, and without a process, after which a trainer counts as stopped
BREAK = 60.0  # seconds; a longer gap between two answers is not work
LATELY = 20  # answers over which the pace is taken
WORKING = ("running", "waiting for labels", "paused")
LONGEST = 64 * 1024  # bytes of instructions
ARROW = "The round arrow over the pendulum is the push of its motor: the larger, the stronger."
SEEN = {"Pendulum-v1": ARROW, "prefrl/PendulumSpin-v0": ARROW}  # what pictures show that does not explain itself


class StatusBoard:
    """The status of one run, read from store and folder at most once a second."""

    def __init__(
        self, store: LabelStore, folder: Path, config: Config, questions: Questions, trouble: Callable[[], str | None]
    ):
        self.store, self.folder, self.config, self.questions, self.trouble = store, folder, config, questions, trouble
        self._lock = threading.Lock()
        self._at = -FRESH
        self._latest: RunStatus
        self._seq = 0
        self._given: dict[str, list[tuple[float, float | None]]] = defaultdict(list)

    def of(self, labeller: str) -> tuple[RunStatus, Pace]:
        """The status of the run, and the pace of one labeller."""
        with self._lock:
            if time.monotonic() - self._at > FRESH:
                self._latest, self._at = self._read(), time.monotonic()
            return self._latest, pace(self._given.get(labeller, []))

    def _read(self) -> RunStatus:
        for row in lookup.since(self.store, self._seq):
            self._seq = row["seq"]
            if row["kind"] in JUDGEMENTS and row["supersedes"] is None:
                self._given[row["labeller"]].append((row["answered_at"], row["response_seconds"]))
        counts = self.store.counts()
        ready, rendering = self.questions.counts()
        trainer, due = trainer_state(self.folder, self.store.notices.read("trainer"))
        return {
            "run": self.folder.resolve().name, "env": self.config.env, "question": self.config.teacher.question,
            "instructions": instructions(self.folder, self.config.env), "budget": self.config.questions.budget,
            "asked": counts.asked - counts.closed, "seq": self._seq, "answered": counts.answered,
            "skipped": counts.skipped, "open": counts.open, "ready": ready, "rendering": rendering, "next": due,
            "trouble": self.trouble() or self._render_trouble(ready), "trainer": trainer,
            "kinds": {name: KINDS[name].description() for name in self._kinds() if name in KINDS},
        }  # fmt: skip

    def _kinds(self) -> list[str]:
        """The kinds that this run asks, and those that it has asked."""
        return list(dict.fromkeys([*self.config.questions.kinds, *lookup.kinds_asked(self.store)]))

    def _render_trouble(self, ready: int) -> str | None:
        """Why no question can be shown, if the render worker could not draw its clips."""
        notice = self.store.notices.read("renderer")
        if ready or not notice or not notice[0].get("refused"):
            return None
        return f"{notice[0]['refused']} questions are not shown, since their clips could not be drawn: {notice[0]['error']}"


def instructions(folder: Path, env: str) -> str:
    """What labellers see beside the question: RUN/instructions.md as it is now; without it, a note on the task's pictures."""
    try:
        with (folder / "instructions.md").open("rb") as file:
            return file.read(LONGEST).decode(errors="replace")
    except OSError:
        return SEEN.get(env, "")


def trainer_state(folder: Path, notice: tuple[dict[str, Any], float] | None) -> tuple[Trainer, float | None]:
    """State of the trainer, and seconds until its next questions. A notice may outlive a trainer that was killed."""
    if notice is None:
        return {"state": "running" if _trained(folder) else "absent"}, None
    progress, age = notice
    state, step, due = progress["state"], progress.get("step"), progress.get("next_due_step")
    if state in WORKING and age > SILENCE and not _trained(folder):
        state = "stopped"
    speed, left = progress.get("steps_per_second"), None
    if state == "running" and speed and due is not None and step is not None:
        left = max(0.0, (due - step) / speed - age)
    return {
        "state": state, "step": step, "total_steps": progress.get("total_steps"), "age_seconds": max(0.0, age),
        "model_version": progress.get("model_version"), "accuracy": progress.get("accuracy"),
    }, left  # fmt: skip


def _trained(folder: Path) -> bool:
    """Whether a process on this machine trains this run."""
    if sys.platform == "win32":  # where os.kill(pid, 0) would end the process
        return False
    try:
        os.kill(int((folder / ".pid").read_text()), 0)
    except PermissionError:
        return True  # somebody else's
    except (OSError, ValueError):
        return False
    return True


def pace(given: Sequence[tuple[float, float | None]]) -> Pace:
    """Pace of one labeller. given: (time, response seconds) of each answer, in order"""
    at = [when for when, _ in given]
    took = [seconds for _, seconds in given if seconds is not None]
    recent = _gaps(at[-LATELY:])
    return {
        "answers": len(given),
        "per_minute": 60 * len(recent) / sum(recent) if sum(recent) else None,
        "median_seconds": statistics.median(took) if took else None,
        "minutes": (sum(_gaps(at)) + (took[0] if took and took[0] < BREAK else 0)) / 60,
    }


def _gaps(at: Sequence[float]) -> list[float]:
    """Times between answers, without breaks; a clock that was set back counts as none."""
    return [later - before for before, later in pairwise(at) if 0 <= later - before < BREAK]
