"""What the reward model thought of a question, in the order in which its clips were displayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefrl.kinds import Answer, Kind


def model_view(
    kind: Kind, prediction: dict[str, Any] | None, answer: Answer | None, order: Sequence[int]
) -> dict[str, Any] | None:
    """As the page shows it; None where the model had no view. answer: as displayed, to see whether it was foretold"""
    if prediction is None or "chances" not in prediction:  # written by an earlier release
        return None
    chances = kind.displayed(prediction["chances"], order)
    return {
        "chances": chances, "rewards": [prediction["rewards"][segment] for segment in order],
        "agrees": kind.foretold(chances, answer), "version": prediction["model_version"],
    }  # fmt: skip


def details_of(prediction: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is kept with an answer of what the model thought before: chances about the stored order."""
    if prediction is None or "chances" not in prediction:
        return None
    return {"version": prediction["model_version"], "chances": prediction["chances"]}
