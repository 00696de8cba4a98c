"""What labellers are told beside the question."""

from __future__ import annotations

from pathlib import Path

MOST = 64 * 1024  # bytes
ARROW = "The round arrow over the pendulum is the push of its motor: the larger, the stronger."
SEEN = {"Pendulum-v1": ARROW, "prefrl/PendulumSpin-v0": ARROW}  # what pictures show that does not explain itself


def instructions(folder: Path, env: str) -> str:
    """What the experimenter wrote for labellers, as it stands now; else what has to be known of the task's pictures."""
    try:
        with (folder / "instructions.md").open("rb") as file:
            return file.read(MOST).decode(errors="replace")
    except OSError:
        return SEEN.get(env, "")
