"""The reward model's prediction for a question, with its clips in the order displayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefrl.kinds import Answer, Kind
from prefrl.labelling.messages import ModelView

Prediction = dict[str, Any]
"""A prediction as the trainer stores it."""


def model_view(
    kind: Kind, prediction: Prediction | None, answer: Answer | None, order: Sequence[int]
) -> ModelView | None:
    """The prediction as the page shows it; None without one. answer: as displayed, to compare with the prediction"""
    if prediction is None or "chances" not in prediction:  # written by an earlier release
        return None
    chances = kind.displayed(prediction["chances"], order)
    return {
        "chances": chances, "rewards": [prediction["rewards"][segment] for segment in order],
        "agrees": kind.foretold(chances, answer), "version": prediction["model_version"],
    }  # fmt: skip


def details_of(prediction: Prediction | None) -> dict[str, object] | None:
    """The prediction as stored with an answer: chances about the stored order."""
    if prediction is None or "chances" not in prediction:
        return None
    return {"version": prediction["model_version"], "chances": prediction["chances"]}
