"""The user's own reward network, checked before the run starts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prefrl.core.errors import UserError
from prefrl.rewards.ensemble import MakeNetwork, Size
from prefrl.rewards.sequences import first_steps, looks_at_sequences

EXPECTED = (
    "a function of the number of features that gives a torch module (N, d) -> (N, 1); of the shape (C, H, W) where"
    " observations are pictures, (N, C, H, W) -> (N, 1). With the attribute `sequential = True` it takes sequences instead:"
    " (N, T, d) and where they begin, (N, T), -> (N, T)"
)


def checked(make: MakeNetwork, features: Size) -> MakeNetwork:
    """The user's function, whose networks get pictures row by row, as `view` needs them.

    Raises UserError unless its networks take features, give a reward for each row, and can learn.
    """
    if isinstance(make, nn.Module):
        raise UserError("reward_network= is a module, and every member of the ensemble needs its own; pass a function"
                        f" that makes one: lambda features: {type(make).__name__}(...)")  # fmt: skip
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            made = make(features)
        except (RuntimeError, ValueError, TypeError) as fault:
            raise UserError(f"reward_network= cannot be made for {features} features: {fault}") from fault
        if not isinstance(made, nn.Module):
            raise UserError(f"reward_network= gave {type(made).__name__}; expected {EXPECTED}")
        if make(features) is made:
            raise UserError("reward_network= gives the same module each time; every member needs one of its own")
        if not any(parameter.requires_grad for parameter in made.parameters()):
            raise UserError("reward_network= gives a module without trainable parameters; nothing could be learned")
        _check_rewards(made, (features,) if isinstance(features, int) else features)

    def row_by_row(features: Size) -> nn.Module:
        network = make(features)
        network.register_forward_pre_hook(lambda _network, inputs: (inputs[0].contiguous(), *inputs[1:]))
        return network

    return make if isinstance(features, int) else row_by_row


def _check_rewards(network: nn.Module, features: tuple[int, ...]) -> None:
    """Try a network, of either form, on five steps or three sequences of five."""
    sequential = looks_at_sequences(network)
    inputs = torch.zeros(*((3, 5) if sequential else (5,)), *features)
    expected = [(3, 5)] if sequential else [(5,), (5, 1)]
    try:
        rewards = network(inputs, first_steps(inputs)) if sequential else network(inputs)
    except (RuntimeError, ValueError, TypeError) as fault:
        raise UserError(f"reward_network= cannot take features of shape {tuple(inputs.shape)}: {fault}") from fault
    shape = tuple(rewards.shape) if isinstance(rewards, Tensor) else type(rewards).__name__
    if shape not in expected:
        raise UserError(
            f"reward_network= gives {shape} for {'3 sequences of 5 steps' if sequential else '5 steps'}; expected one"
            f" reward for each, shape {' or '.join(map(str, expected))}"
        )
