"""Metrics of an ensemble on held-out answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from prefrl.rewards.answers import Answers


def held_out_metrics(answers: Answers, rewards: Tensor, held_out: list[np.ndarray], error: float) -> dict[str, float]:
    """Metrics of the mean prediction of those members that have not trained on an answer; none if all are trained on.

    rewards: (E, N, K, T), of the latest N answers. held_out: per member, the answers that it has not trained on.
    """
    first = len(answers) - rewards.shape[1]
    unseen = np.zeros(rewards.shape[:2], bool)  # (E, N)
    for e, rows in enumerate(held_out):
        unseen[e, rows[rows >= first] - first] = True
    judged = unseen.any(0)
    if not judged.any():
        return {}
    kind = answers.kind
    if not kind.outcomes:
        latest = {name: values[first:] for name, values in answers.answer.items()}
        return {"log_loss": float(kind.loss(rewards, latest, error).numpy()[unseen].mean())}
    votes = np.where(unseen[..., None], kind.predict(rewards, error).numpy().astype(float), np.nan)  # (E, N, A)
    return kind.metrics(np.nanmean(votes[:, judged], axis=0), answers.arrays(first + np.flatnonzero(judged)))


def of_kinds(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each kind's metrics as one table: those of one kind as they are, of several as `kind/name` and the mean accuracy."""
    if len(metrics) == 1:
        return dict(*metrics.values())
    table = {f"{kind}/{name}": value for kind, own in metrics.items() for name, value in own.items()}
    accuracies = [own["accuracy"] for own in metrics.values() if own.get("accuracy", np.nan) == own.get("accuracy")]
    return table | ({"accuracy": float(np.mean(accuracies))} if accuracies else {})
