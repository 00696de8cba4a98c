"""Layers of small networks evaluated and differentiated in numpy, several times faster than in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

Array = np.ndarray
Activation = tuple[Callable[[Array], Array], Callable[[Array], Array]]
"""An activation in place, and its derivative as a function of its output."""


def activation_of(module: nn.Module) -> Activation | None:
    """Of a module that is an activation known here; None: it is none."""
    if type(module) is nn.Tanh:
        return lambda x: np.tanh(x, out=x), lambda y: 1.0 - y * y
    if type(module) is nn.ReLU:
        return lambda x: np.maximum(x, 0.0, out=x), lambda y: (y > 0.0).astype(np.float32)
    if type(module) is nn.LeakyReLU and 0 <= module.negative_slope <= 1:
        slope = np.float32(module.negative_slope)

        def derivative(y: Array) -> Array:
            slopes = (y > 0.0).astype(np.float32)  # np.where takes six times as long
            slopes *= np.float32(1.0) - slope
            slopes += slope
            return slopes

        return lambda x: np.maximum(x, slope * x, out=x), derivative
    return None


def is_plain(network: nn.Module) -> bool:
    """Whether calling a network computes what its modules' classes say, and nothing else: no hooks, no other forward."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return not any(
        "forward" in vars(module) or any(getattr(module, name) for name in hooks) for module in network.modules()
    ) and not any(parameter._backward_hooks for parameter in network.parameters())


class Gradients:
    """Gradients of a network's parameters: one flat array (P,), with a view in its shape for each parameter."""

    def __init__(self, network: nn.Module):
        self.parameters = list(network.parameters())
        self.flat = np.zeros(sum(each.numel() for each in self.parameters), np.float32)
        self.views = self.split(self.flat)

    def share(self) -> None:
        """Let torch have the views as its parameters' `.grad`."""
        for parameter, view in zip(self.parameters, self.views, strict=True):
            parameter.grad = torch.from_numpy(view)

    def split(self, flat: Array) -> list[Array]:
        """A view of a flat array for each parameter, in its shape."""
        ends = np.cumsum([each.numel() for each in self.parameters])
        return [
            flat[end - each.numel() : end].reshape(tuple(each.shape))
            for each, end in zip(self.parameters, ends, strict=True)
        ]

    def of(self, parameter: torch.Tensor) -> Array:
        [view] = [view for each, view in zip(self.parameters, self.views, strict=True) if each is parameter]
        return view

    def clip(self, most: float) -> None:
        """Scale the gradients to a norm of at most `most`, as torch's clip_grad_norm_."""
        norm = float(np.sqrt(self.flat @ self.flat))
        if norm + 1e-6 > most:
            self.flat *= np.float32(most / (norm + 1e-6))


class Layers:
    """Linear layers with an activation after each but the last. Reads the weights that torch holds, without a copy.

    Without `gradients` it can only be evaluated.
    """

    def __init__(self, layers: Sequence[nn.Linear], activations: Sequence[Activation], gradients: Gradients | None):
        self.weights = [layer.weight.detach().numpy() for layer in layers]
        self.biases = [layer.bias.detach().numpy() for layer in layers]
        self.activations = activations
        self.gradients = (
            [(gradients.of(layer.weight), gradients.of(layer.bias)) for layer in layers] if gradients else []
        )
        self.inputs: list[Array] = []

    def __call__(self, x: Array) -> Array:
        """(N, in) -> (N, out)"""
        self.inputs = [x]
        for weight, bias, (activate, _) in zip(self.weights[:-1], self.biases[:-1], self.activations, strict=True):
            x = x @ weight.T
            x += bias
            x = activate(x)
            self.inputs.append(x)
        return x @ self.weights[-1].T + self.biases[-1]

    def backward(self, gradient: Array) -> None:
        """Write the parameters' gradients of the last call, given the gradient of its output (N, out)."""
        ones = np.ones(len(gradient), np.float32)
        for place in range(len(self.weights) - 1, -1, -1):
            x, (of_weight, of_bias) = self.inputs[place], self.gradients[place]
            np.matmul(gradient.T, x, out=of_weight)
            np.matmul(ones, gradient, out=of_bias)  # the sum, in a third of the time
            if place:
                single = gradient.shape[1] == 1  # then broadcasting is faster
                gradient = gradient * self.weights[place] if single else gradient @ self.weights[place]
                gradient *= self.activations[place - 1][1](x)
