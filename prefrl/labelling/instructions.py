"""The instructions that labellers see beside the question."""

from __future__ import annotations

from pathlib import Path

MOST = 64 * 1024  # bytes
ARROW = "The round arrow over the pendulum is the push of its motor: the larger, the stronger."
SEEN = {"Pendulum-v1": ARROW, "prefrl/PendulumSpin-v0": ARROW}  # what pictures show that does not explain itself


def instructions(folder: Path, env: str) -> str:
    """RUN/instructions.md as it is now; without it, a note on what the task's pictures show."""
    try:
        with (folder / "instructions.md").open("rb") as file:
            return file.read(MOST).decode(errors="replace")
    except OSError:
        return SEEN.get(env, "")
