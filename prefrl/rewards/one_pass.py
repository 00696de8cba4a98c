"""All networks of an ensemble in one pass: a third of the kernels for three, each three times as large, for a GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap


class OnePass:
    """Calls networks of one make as one. Gradients and what batch norm learns go to each network's own tensors.

    Networks may differ in their parameters and buffers only: whatever else one holds is taken from the first.
    """

    def __init__(self, members: nn.ModuleList):
        self.members = members
        self.skeleton = copy.deepcopy(members[0]).to("meta")

    def __call__(self, inputs: Tensor, shared: bool = False) -> Tensor:
        """Rewards of each network for rows of its own, (E, N, *features), or for `shared` ones (N, *features) -> (E, N)"""
        self.skeleton.train(self.members.training)
        parameters = self._stacked(nn.Module.named_parameters)
        buffers = self._stacked(nn.Module.named_buffers)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], rows: Tensor) -> Any:
            return functional_call(self.skeleton, (parameters, buffers), (rows,))

        each = vmap(one, in_dims=(0, 0, None if shared else 0), randomness="different")
        rewards = each(parameters, buffers, inputs).flatten(1)
        if self.members.training:
            self._put_back(buffers)
        return rewards

    def _stacked(self, named: Callable[..., Any]) -> dict[str, Tensor]:
        each = [dict(named(member)) for member in self.members]
        return {name: torch.stack([own[name] for own in each]) for name in each[0]}

    @torch.no_grad()
    def _put_back(self, buffers: dict[str, Tensor]) -> None:
        for e, member in enumerate(self.members):
            for name, values in member.named_buffers():
                values.copy_(buffers[name][e])
