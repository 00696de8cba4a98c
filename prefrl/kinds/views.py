"""Stored orientation and displayed orientation: the first clip is on the left, unless the pair was shown mirrored."""

from __future__ import annotations

import math
from typing import Any, Literal

Choice = Literal["left", "right", "equal", "skip"]

PREFERENCES: dict[Choice, float] = {"left": 1.0, "equal": 0.5, "right": 0.0, "skip": math.nan}
"""Choice -> probability that the left one is better."""


def preference(choice: Choice, mirrored: bool) -> float:
    """What a choice says about the first segment."""
    return 1 - PREFERENCES[choice] if mirrored else PREFERENCES[choice]


def choice(preference: float | None, mirrored: bool) -> Choice:
    """A preference as the labeller saw it."""
    if preference is None:
        return "skip"
    left = 1 - preference if mirrored else preference
    return "equal" if left == 0.5 else "left" if left > 0.5 else "right"


def same(a: float | None, b: float | None) -> bool:
    """Equal, where None and NaN both mean skipped."""
    absent = [value is None or math.isnan(value) for value in (a, b)]
    return all(absent) or (not any(absent) and a == b)


def sides(pair: list[Any] | tuple[Any, Any], mirrored: bool) -> list[Any]:
    """Left and right, of first and second; and the other way round."""
    return [pair[1], pair[0]] if mirrored else [pair[0], pair[1]]


def model_view(prediction: dict[str, Any] | None, chosen: Choice | None, mirrored: bool) -> dict[str, Any] | None:
    """What the reward model thinks of a pair as displayed, and whether it agrees with the choice."""
    if prediction is None:
        return None
    left = 1 - prediction["probability"] if mirrored else prediction["probability"]
    agrees = {"left": left > 0.5, "right": left < 0.5}.get(chosen or "")
    return {
        "probability": left, "rewards": sides(prediction["rewards"], mirrored), "agrees": agrees,
        "version": prediction["model_version"],
    }  # fmt: skip
