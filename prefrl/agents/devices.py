"""The torch device of a run's networks."""

from __future__ import annotations

import torch
from stable_baselines3.common.vec_env import VecEnv

from prefrl.core.errors import UserError
from prefrl.rewards.encoding import pictures_in


def torch_device(name: str, venv: VecEnv) -> torch.device:
    """`auto`: on a GPU for pictures if there is one; small networks are faster on a CPU."""
    if name == "auto":
        return torch.device("cuda" if pictures_in(venv.observation_space) and torch.cuda.is_available() else "cpu")
    try:  # SB3 falls back to the CPU silently where there is no such GPU
        probe = torch.zeros(1, device=name)
        probe.cpu()  # fails on devices without data, such as meta
        return probe.device
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        raise UserError(f"agent.device={name!r} cannot be used here: {str(fault).splitlines()[0]}; use cpu") from fault
