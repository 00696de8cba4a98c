"""Names of questions and random streams by kind; those of the first kind are the names of the first release."""

from __future__ import annotations

from prefrl.kinds import FIRST


def uid_of(kind: str, step: int, place: int | str) -> str:
    """The uid of a question, the same whenever a run reaches this step."""
    return f"{step}-{place}" if kind == FIRST else f"{kind}-{step}-{place}"


def stream_of(purpose: str, kind: str) -> str:
    """The name of a random stream for a purpose, so that two kinds do not draw the same numbers."""
    return purpose if kind == FIRST else f"{purpose} {kind}"
