"""The fit of `bootstrap` with the members evaluated and differentiated in numpy, where they are MLPs on vectors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from prefrl.core.numpy_adam import NumpyAdam
from prefrl.core.numpy_layers import Activation, Array, Gradients, Layers, activation_of, is_plain
from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.fits.base import Fitted, Labelled, TrainingData
from prefrl.rewards.fits.bootstrap import Bootstrap, Part, Split, weighted


class FastBootstrap(Bootstrap):
    """The same fit: weights differ by rounding. Losses of the kinds are differentiated by torch, networks by hand."""

    members: list[_Member] = []  # during a fit; none where something was done to the networks that only torch knows

    def _fit(self, data: TrainingData, rng: np.random.Generator) -> Fitted:
        if is_known(self.ensemble) and NumpyAdam.fits(self.optimiser):
            self.members = [_Member(member, self.optimiser) for member in self.ensemble.members]
        try:
            return super()._fit(data, rng)
        finally:
            for member in self.members:
                member.adam.close()
            self.members = []

    def _update(self, block: list[Part], answers: Split) -> list[Tensor]:
        if not self.members:
            return super()._update(block, answers)
        rewards = torch.cat([self._rewards(part, answers.labelled) for part in block]).requires_grad_()
        sizes = [len(rows) for _, rows in block]
        each = self.loss_of(rewards, torch.cat([rows for _, rows in block]), answers.labelled).split(sizes)
        losses = [weighted(own, answers.weights[part]) for own, part in zip(each, block, strict=True)]
        torch.stack(losses).sum().backward()
        assert rewards.grad is not None
        for gradient, (member, _) in zip(rewards.grad.split(sizes), block, strict=True):
            self.members[member].update(gradient.numpy().ravel())
        return losses

    def _rewards(self, part: Part, labelled: Labelled) -> Tensor:
        if not self.members:
            return super()._rewards(part, labelled)
        member, rows = part
        inputs = labelled.inputs(rows)  # (B, K, T, d)
        return torch.from_numpy(self.members[member](inputs.flatten(0, -2).numpy())).reshape(inputs.shape[:-1])


class _Member:
    """A reward network on its own parameters: forward as torch does, and a step of Adam with gradients by hand."""

    def __init__(self, network: nn.Module, optimiser: torch.optim.Optimizer):
        parsed = _parse(network)
        assert parsed is not None
        layers, activations, self.squashed = parsed
        self.gradients = Gradients(network)
        self.layers = Layers(layers, activations, self.gradients)
        self.adam = NumpyAdam(optimiser, self.gradients)

    def __call__(self, inputs: Array) -> Array:
        """(N, d) -> (N,)"""
        rewards = self.layers(inputs)[:, 0]
        self.rewards = np.tanh(rewards) if self.squashed else rewards
        return self.rewards

    def update(self, gradient: Array) -> None:
        """A step against the gradient of the last call's rewards (N,)."""
        if self.squashed:
            gradient = gradient * (1.0 - self.rewards * self.rewards)
        self.layers.backward(gradient[:, None])
        self.adam.step()


def is_known(ensemble: RewardEnsemble) -> bool:
    """Whether all members are MLPs on vectors of a form that is known here, on the CPU."""
    plain = ensemble.axes == 1 and not ensemble.sequential and ensemble.scale.device.type == "cpu"
    return plain and all(
        _parse(member) is not None
        and all(each.dtype is torch.float32 and each.requires_grad for each in member.parameters())
        for member in ensemble.members
    )


def _parse(network: nn.Module) -> tuple[list[nn.Linear], list[Activation], bool] | None:
    """Linear layers with activations between them, and whether tanh squashes the reward. None: another network."""
    modules = list(_flat(network))
    squashed = len(modules) > 1 and type(modules[-1]) is nn.Tanh
    modules = modules[: len(modules) - squashed]
    layers = [module for module in modules[::2] if type(module) is nn.Linear and module.bias is not None]
    activations = [known for module in modules[1::2] if (known := activation_of(module))]
    whole = len(layers) == len(activations) + 1 and len(layers) + len(activations) == len(modules)
    parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias)]
    others = {*map(id, network.parameters())} ^ {*map(id, parameters)}
    plain = whole and is_plain(network) and not others and len({*map(id, parameters)}) == len(parameters)
    return (layers, activations, squashed) if plain and layers[-1].out_features == 1 else None


def _flat(network: nn.Module) -> list[nn.Module]:
    """The modules of nested nn.Sequential, in their order."""
    if type(network) is not nn.Sequential:
        return [network]
    return [module for part in network for module in _flat(part)]
