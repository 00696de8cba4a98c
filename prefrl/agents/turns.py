"""How a run is divided: into whole turns, and by the checkpoints at which episodes are cut."""

from __future__ import annotations

from prefrl.config.settings import Config


def total_steps(config: Config, turn_steps: int) -> int:
    """Agents act in whole turns: the steps of the run, rounded up."""
    return -(-config.steps // turn_steps) * turn_steps


def cut_every(config: Config, turn_steps: int, n_envs: int) -> int | None:
    """Steps of each environment between checkpoints, at which episodes are cut; None if there are to be none."""
    if not config.record.checkpoints:
        return None
    turns = total_steps(config, turn_steps) // turn_steps
    return max(1, turns // config.record.checkpoints) * (turn_steps // n_envs)
