"""Adam in numpy on all gradients at once. Takes its state from torch's optimiser and gives it back, step for step the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.optim import Adam, Optimizer

from prefrl.core.numpy_layers import Gradients


class NumpyAdam:
    """Does a torch Adam's steps of one of its groups, between its creation and `close` (Kingma and Ba 2015, algorithm 1).

    The torch optimiser's state then is what its own steps would have left, but for rounding.
    """

    def __init__(self, optimiser: Optimizer, gradients: Gradients):
        self.optimiser, self.gradients = optimiser, gradients
        [self.group] = [each for each in optimiser.param_groups if each["params"][0] is gradients.parameters[0]]
        self.weights = [parameter.detach().numpy() for parameter in gradients.parameters]
        self.first, self.second = np.zeros_like(gradients.flat), np.zeros_like(gradients.flat)
        self.change, self.scratch = np.empty_like(gradients.flat), np.empty_like(gradients.flat)
        self.first_views, self.second_views, self.change_views = map(
            gradients.split, (self.first, self.second, self.change)
        )
        states = [self._state(parameter) for parameter in gradients.parameters]
        self.steps = int(states[0]["step"])
        for place, state in enumerate(states):
            self.first_views[place][...] = state["exp_avg"].numpy()
            self.second_views[place][...] = state["exp_avg_sq"].numpy()

    @staticmethod
    def fits(optimiser: Optimizer) -> bool:
        """Whether the optimiser is a plain Adam without hooks."""
        hooked = optimiser._optimizer_step_pre_hooks or optimiser._optimizer_step_post_hooks
        return (
            type(optimiser) is Adam
            and not hooked
            and not any(
                group[name] for group in optimiser.param_groups for name in ("amsgrad", "maximize", "differentiable")
            )
            and all(isinstance(group["lr"], float) for group in optimiser.param_groups)
        )

    def step(self) -> None:
        group, gradient, change, scratch = self.group, self.gradients.flat, self.change, self.scratch
        (decay, square_decay), self.steps = group["betas"], self.steps + 1
        if group["weight_decay"]:
            for weight, own in zip(self.weights, self.gradients.views, strict=True):
                own += np.float32(group["weight_decay"]) * weight
        self.first *= np.float32(decay)
        self.first += np.multiply(gradient, np.float32(1 - decay), out=scratch)
        self.second *= np.float32(square_decay)
        np.multiply(gradient, gradient, out=scratch)
        scratch *= np.float32(1 - square_decay)
        self.second += scratch
        np.sqrt(self.second, out=scratch)
        scratch *= np.float32(1 / np.sqrt(1 - square_decay**self.steps))
        scratch += np.float32(group["eps"])
        np.divide(self.first, scratch, out=change)
        change *= np.float32(group["lr"] / (1 - decay**self.steps))
        for weight, difference in zip(self.weights, self.change_views, strict=True):
            weight -= difference

    def close(self) -> None:
        """Give the state back to the torch optimiser."""
        for place, parameter in enumerate(self.gradients.parameters):
            state = self._state(parameter)
            state["step"].fill_(self.steps)
            state["exp_avg"].copy_(torch.from_numpy(self.first_views[place]))
            state["exp_avg_sq"].copy_(torch.from_numpy(self.second_views[place]))

    def _state(self, parameter: torch.nn.Parameter) -> dict[str, Any]:
        """The optimiser's own state of a parameter, made as Adam makes it before its first step."""
        state = self.optimiser.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        return state
