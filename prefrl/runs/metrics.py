"""Metrics of a run, logged through SB3's own logger to CSV and TensorBoard."""

from __future__ import annotations

import csv
import io
import math
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from prefrl.core.files import new_file
from prefrl.core.rollout import Rollout
from prefrl.rewards.base import FitReport

STEP = "time/total_timesteps"


class MetricsFile(KVWriter):
    """metrics.csv: a row per rollout, a column per name. Unlike SB3's, it goes on where a resumed run left off."""

    def __init__(self, path: Path, until: int = 0):
        self.path = path
        self.rows = [row for row in read_metrics(path) if row[STEP] <= until] if path.exists() else []
        self.columns: list[str] = []
        self._rewrite()

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        row = _numbers(key_values, key_excluded, "csv")
        self.rows.append(row)
        if set(row) <= set(self.columns):
            with open(self.path, "a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(row)
        else:
            self._rewrite()

    def _rewrite(self) -> None:
        self.columns = sorted({name for row in self.rows for name in row}, key=lambda name: (name != STEP, name))
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(self.rows)
        with new_file(self.path, durable=False) as unfinished:
            unfinished.write_text(text.getvalue())

    def close(self) -> None:
        pass


def read_metrics(path: Path | str) -> list[dict[str, float]]:
    """The rows of a metrics.csv; empty cells are left out. A torn last line is passed over."""
    whole, _, _ = Path(path).read_text().rpartition("\n")
    rows = []
    for row in csv.DictReader(whole.splitlines()):
        with suppress(TypeError, ValueError):
            rows.append({key: float(value) for key, value in row.items() if key and value})
    return [row for row in rows if STEP in row]


def _numbers(values: Mapping[str, object], excluded: Mapping[str, tuple[str, ...]], output: str) -> dict[str, float]:
    """The numbers among a row's values that are meant for this output of SB3's logger."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float | np.number) and output not in (excluded.get(key) or ())
    }


class TensorBoardFile(KVWriter):
    """The same rows for TensorBoard, each as one event; SB3's own writer makes one of every value and flushes it."""

    def __init__(self, folder: Path, until: int = 0):
        before = any(folder.glob("events.*"))
        self.writer = EventFileWriter(str(folder))
        if before:  # TensorBoard drops what a killed run wrote after this step
            restart = SessionLog(status=SessionLog.START)
            self.writer.add_event(Event(step=until + 1, wall_time=time.time(), session_log=restart))

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        row = _numbers(key_values, key_excluded, "tensorboard")
        values = [Summary.Value(tag=key, simple_value=value) for key, value in row.items()]
        self.writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=values)))

    def close(self) -> None:
        self.writer.close()


class Log:
    """The logger of the preference loop. Names under `reward/` and `preferences/` are ours, all others SB3's."""

    def __init__(self, logger: Logger | None = None):
        self.logger = logger or Logger(None, [])
        self.last_fit: FitReport | None = None
        self._running: np.ndarray | None = None  # learned return of each environment's episode so far

    def open(self, folder: Path, step: int, tensorboard: bool) -> None:
        """Write to files from this step on; rows of later steps, which a resumed run repeats, are dropped."""
        writers: list[KVWriter] = [MetricsFile(folder / "metrics.csv", step)]
        if tensorboard:
            writers.append(TensorBoardFile(folder / "tensorboard", step))
        pending = self.pending()
        self.logger = Logger(str(folder), writers)
        self.note(pending)

    def pending(self) -> dict[str, float]:
        """Values recorded for the next row."""
        return {name: float(value) for name, value in self.logger.name_to_value.items()}

    def note(self, values: dict[str, float]) -> None:
        """Record values that `pending` returned."""
        for name, value in values.items():
            self.logger.record(name, value)

    def asked(self, questions: int) -> None:
        """Record the number of questions asked, at the end of each turn."""
        self.logger.record("preferences/asked", questions)

    def fitted(self, report: FitReport) -> None:
        """Record a fit of the reward model."""
        self.last_fit = report
        if report.note:
            warnings.warn(report.note, stacklevel=2)
        self.logger.record("preferences/answers", report.answers)
        for name in ("epochs", "train_loss", "held_out_loss", "l2", "seconds"):
            self._record(f"reward/fit_{name}", getattr(report, name))
        for name, value in report.metrics.items():
            self._record(f"reward/{name}", value)

    def paid(self, rollout: Rollout, rewards: np.ndarray) -> None:
        """How the learned reward of a rollout (n, n_envs) compares with the true one."""
        self._record("reward/mean", float(rewards.mean()))
        if rewards.std() > 0 and rollout.true_rewards.std() > 0:
            self._record(
                "reward/true_correlation", float(np.corrcoef(rewards.ravel(), rollout.true_rewards.ravel())[0, 1])
            )
        returns = self._finished_returns(rewards, rollout.finished)
        if len(returns):
            self._record("reward/learned_return", float(np.mean(returns)))

    def _record(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self.logger.record(name, value)

    def _finished_returns(self, rewards: np.ndarray, finished: np.ndarray) -> list[float]:
        """Learned returns of the episodes that ended in this rollout: two arrays (n, n_envs) -> one number an episode"""
        running = np.zeros(rewards.shape[1]) if self._running is None else self._running
        total = np.cumsum(rewards, axis=0, dtype=float)
        returns = []
        for env in range(len(running)):
            totals = np.concatenate([[-running[env]], total[np.flatnonzero(finished[:, env]), env]])  # at episode ends
            returns += np.diff(totals).tolist()
            running[env] = total[-1, env] - totals[-1]
        self._running = running
        return returns

    def forget_episodes(self) -> None:
        """Drop the returns of running episodes, which were just cut."""
        self._running = None
