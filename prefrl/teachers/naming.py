"""How questions of several kinds at one step are told apart: those of the first kind keep the names they always had."""

from __future__ import annotations

from prefrl.kinds import FIRST


def uid_of(kind: str, step: int, place: int | str) -> str:
    """The uid of a question, the same whenever a run comes to this step."""
    return f"{step}-{place}" if kind == FIRST else f"{kind}-{step}-{place}"


def stream_of(purpose: str, kind: str) -> str:
    """The name of a random stream for a purpose, so that two kinds do not draw the same numbers."""
    return purpose if kind == FIRST else f"{purpose} {kind}"
