"""The status that open pages poll: progress of labelling and training, cached for a second."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefrl.config.settings import Config
from prefrl.kinds import KINDS
from prefrl.labelling.instructions import instructions
from prefrl.labelling.pace import pace
from prefrl.labelling.questions import Questions
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.store.tables import JUDGEMENTS

FRESH = 1.0  # seconds for which a status is reused
SILENCE = 7.0  # seconds without a notice, and without a process, after which a trainer counts as stopped
WORKING = ("running", "waiting for labels", "paused")


class StatusBoard:
    """The status of one run, read from store and folder at most once a second."""

    def __init__(
        self, store: LabelStore, folder: Path, config: Config, questions: Questions, trouble: Callable[[], str | None]
    ):
        self.store, self.folder, self.config, self.questions, self.trouble = store, folder, config, questions, trouble
        self._lock = threading.Lock()
        self._at = -FRESH
        self._common: dict[str, Any] = {}
        self._seq = 0
        self._given: dict[str, list[tuple[float, float | None]]] = defaultdict(list)

    def of(self, labeller: str) -> dict[str, Any]:
        """The status as one labeller sees it."""
        with self._lock:
            if time.monotonic() - self._at > FRESH:
                self._common, self._at = self._read(), time.monotonic()
            return {**self._common, "mine": pace(self._given.get(labeller, []))}

    def _read(self) -> dict[str, Any]:
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
            "asked": counts.asked - counts.closed, "seq": self._seq, "answered": counts.answered, "skipped": counts.skipped, "open": counts.open, "ready": ready,
            "rendering": rendering, "next": due, "trouble": self.trouble() or self._render_trouble(ready), "trainer": trainer,
            "kinds": {name: kind.description() for name, kind in KINDS.items()},
        }  # fmt: skip

    def _render_trouble(self, ready: int) -> str | None:
        """Why no question can be shown, if the render worker could not draw its clips."""
        notice = self.store.notices.read("renderer")
        if ready or not notice or not notice[0].get("refused"):
            return None
        return f"{notice[0]['refused']} questions are not shown, since their clips could not be drawn: {notice[0]['error']}"


def trainer_state(folder: Path, notice: tuple[dict[str, Any], float] | None) -> tuple[dict[str, Any], float | None]:
    """State of the trainer, and seconds until its next questions. A notice may outlive a trainer that was killed."""
    if notice is None:
        return {"state": "running" if _trained(folder) else "absent"}, None
    progress, age = notice
    state = progress["state"]
    if state in WORKING and age > SILENCE and not _trained(folder):
        state = "stopped"
    fields = {name: progress.get(name) for name in ("step", "total_steps", "model_version", "accuracy")}
    speed, step, due = progress.get("steps_per_second"), progress.get("step"), progress.get("next_due_step")
    left = (due - step) / speed - age if state == "running" and speed and due is not None and step is not None else None
    return {"state": state, **fields, "age_seconds": max(0.0, age)}, None if left is None else max(0.0, left)


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
