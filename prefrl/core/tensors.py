"""What checkpoints keep, without pickle: named tensors and JSON; an optimiser's state in that form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
State = dict[str, Any]
"""The rest of what a checkpoint keeps of a part, as JSON."""


def pack_optimiser(optimiser: torch.optim.Optimizer, prefix: str) -> tuple[Tensors, list[State]]:
    """An optimiser's state as named tensors, and its parameter groups as plain data."""
    packed = optimiser.state_dict()
    tensors = {
        f"{prefix}{at}.{key}": torch.as_tensor(v) for at, slot in packed["state"].items() for key, v in slot.items()
    }
    return tensors, packed["param_groups"]


def unpack_optimiser(optimiser: torch.optim.Optimizer, prefix: str, tensors: Tensors, groups: list[State]) -> None:
    """Load into an optimiser what `pack_optimiser` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for name in tensors:
        if name.startswith(prefix):
            at, key = name.removeprefix(prefix).split(".", 1)
            state.setdefault(int(at), {})[key] = tensors[name].clone()
    optimiser.load_state_dict({"state": state, "param_groups": groups})
