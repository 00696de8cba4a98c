"""What labellers are told beside the question."""

from __future__ import annotations

from pathlib import Path

from envs.catalogue import seen

MOST = 64 * 1024  # bytes


def instructions(folder: Path, env: str) -> str:
    """What the experimenter wrote for labellers, as it stands now; else what has to be known of the task's pictures."""
    try:
        with (folder / "instructions.md").open("rb") as file:
            return file.read(MOST).decode(errors="replace")
    except OSError:
        return seen(env)
