"""The answers of one kind that a reward model learns from, with their segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from prefrl.core.data import Feedback
from prefrl.kinds import Kind
from prefrl.rewards.encoding import Inputs
from prefrl.rewards.memory import AnswerMemory

ENVIRONMENT = 2**40  # steps from one environment to the next where all of them are laid on one line

Rows = TypeVar("Rows", Tensor, np.ndarray)


class Answers:
    """The latest `window` answers of a kind. Q of them, about K segments each."""

    def __init__(self, kind: Kind, inputs: Inputs, window: int):
        self.kind, self.inputs, self.window = kind, inputs, window
        self.fresh = 0  # answers that came or changed since the last fit
        self._clear()

    def _clear(self) -> None:
        self.memory = AnswerMemory(self.inputs, self.window)
        self.answer: dict[str, Tensor] = {}  # by field (Q, ...)
        self.returns = torch.zeros(0)  # (Q, K) true ones
        self.query = np.zeros(0, int)  # (Q,) their questions' numbers
        self.places = np.zeros(0, int)  # (Q, K) first steps of their segments, the environments on one line

    def __len__(self) -> int:
        return len(self.query)

    def add(self, feedback: Feedback) -> None:
        """Remember answers. If they are all that stand (`whole`), they replace the earlier ones."""
        new = {name: torch.as_tensor(values) for name, values in feedback.answer.items()}
        new = {name: values.float() if values.is_floating_point() else values for name, values in new.items()}
        self.fresh += self._changes(feedback.query, new) if feedback.whole else len(feedback)
        if feedback.whole:
            self._clear()
        if not len(feedback):
            return
        segments = feedback.segments
        self.memory.add(segments)
        self.answer = {name: self._latest(self.answer.get(name), values) for name, values in new.items()}
        self.returns = self._latest(self.returns, torch.as_tensor(segments.true_returns, dtype=torch.float32))
        self.query = self._latest(self.query, feedback.query)
        self.places = self._latest(self.places, segments.env_index * ENVIRONMENT + segments.start_step)

    def _latest(self, old: Rows | None, new: Rows) -> Rows:
        if old is not None and len(old):
            new = torch.cat([old, new]) if isinstance(new, Tensor) else np.concatenate([old, new])
        return new[-self.window :]

    def _changes(self, query: np.ndarray, answer: dict[str, Tensor]) -> int:
        """In how many answers these differ from those remembered; at least one, as one was corrected."""
        before, now = _contents(self.query, self.answer), _contents(query, answer)
        return max(1, len(now - before), len(before - now))

    def arrays(self, rows: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        """The fields of some answers as arrays."""
        return {name: values[rows].numpy() for name, values in self.answer.items()}

    @property
    def decisive(self) -> int:
        """How many answers favour an outcome; all, where the kind has none."""
        if not self.kind.outcomes or not len(self):
            return len(self)
        outcomes = self.kind.chances_of(self.arrays())
        return int((outcomes != outcomes[:, :1]).any(-1).sum())

    def metrics(self, rewards: Tensor, held_out: list[np.ndarray], error: float) -> dict[str, float]:
        """Metrics of the mean prediction of those members that have not trained on an answer; none where all have.

        rewards: (E, N, K, T), of the latest N answers. held_out: per member, the answers that it has not trained on.
        """
        first = len(self) - rewards.shape[1]
        unseen = np.zeros(rewards.shape[:2], bool)  # (E, N)
        for e, rows in enumerate(held_out):
            unseen[e, rows[rows >= first] - first] = True
        judged = unseen.any(0)
        if not judged.any():
            return {}
        if not self.kind.outcomes:
            latest = {name: values[first:] for name, values in self.answer.items()}
            return {"log_loss": float(self.kind.loss(rewards, latest, error).numpy()[unseen].mean())}
        chances = self.kind.predict(rewards, error).numpy().astype(float)
        chances = np.where(unseen[..., None], chances, np.nan)  # (E, N, A)
        return self.kind.metrics(np.nanmean(chances[:, judged], axis=0), self.arrays(first + np.flatnonzero(judged)))


def _contents(query: np.ndarray, answer: dict[str, Tensor]) -> set[tuple[int, bytes]]:
    """A comparable entry of each answer: question number and bytes of all fields."""
    fields = [values.numpy() for _, values in sorted(answer.items())]
    return {(int(number), b"".join(field[row].tobytes() for field in fields)) for row, number in enumerate(query)}


def metrics_of_kinds(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each kind's metrics as one table: those of one kind as they are, of several as `kind/name` and the mean accuracy."""
    if len(metrics) == 1:
        return dict(*metrics.values())
    table = {f"{kind}/{name}": value for kind, own in metrics.items() for name, value in own.items()}
    accuracies = [own["accuracy"] for own in metrics.values() if own.get("accuracy", np.nan) == own.get("accuracy")]
    return table | ({"accuracy": float(np.mean(accuracies))} if accuracies else {})
