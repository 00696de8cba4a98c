"""The reward ensemble: E networks whose standardised rewards are averaged."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn

from prefrl.rewards.sequences import first_steps, looks_at_sequences

Size = int | tuple[int, ...]
"""What a reward network is made for: the number of features, or the shape of a step's input, (C, H, W) of pictures."""
MakeNetwork = Callable[[Size], nn.Module]

COLLAPSED = 1e-3  # standard deviation of raw rewards, below which they are noise and are not standardised
WHITE = 255.0  # the brightest pixel: networks see pictures from 0 to 1
AT_ONCE = 1024  # pictures per forward pass, so that a long rollout takes no more memory than a short one
CLIP = 10.0  # standard deviations; standardised rewards beyond are extrapolation


class RewardEnsemble(nn.Module):
    """Members see standardised features. What the agent gets is the mean of members standardised one by one.

    Standardisation (Christiano et al. 2017, 2.2) changes only in `standardise`, which is called after a fit; before
    the first one every reward is zero.
    """

    feature_mean: Tensor
    feature_std: Tensor
    reward_mean: Tensor
    reward_std: Tensor
    scale: Tensor

    def __init__(self, features: Size, network: MakeNetwork, members: int = 3):
        super().__init__()
        self._network = lambda: network(features)
        self.members = nn.ModuleList(self._network() for _ in range(members))
        self.axes = 1 if isinstance(features, int) else len(features)
        self.sequential = any(looks_at_sequences(member) for member in self.members)
        self.register_buffer("feature_mean", torch.zeros(features if self.axes == 1 else ()))
        self.register_buffer("feature_std", torch.ones(features) if self.axes == 1 else torch.tensor(WHITE))
        self.register_buffer("reward_mean", torch.zeros(members))
        self.register_buffer("reward_std", torch.ones(members))
        self.register_buffer("scale", torch.zeros(()))  # zero: nothing has been learned yet
        self.eval()  # dropout and batch norm train in fits only; the agent's rewards are deterministic

    def scaled(self, features: Tensor) -> Tensor:
        """Features as members take them; pictures are laid out pixel by pixel, which convolutions on a CPU like best."""
        if self.axes == 1:
            return (features - self.feature_mean) / self.feature_std
        pixels = features.movedim(-3, -1).to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        return pixels.div_(self.feature_std).movedim(-1, -3)

    def numbers(self, features: Tensor) -> Tensor:
        """The features that are standardised: (..., *features) -> (..., d)"""
        return features

    def of(self, member: int, inputs: Tensor, begins: Tensor | None = None) -> Tensor:
        """One member's rewards, not standardised, for inputs from `scaled`: (N, T, *features), begins (N, T) -> (N, T)

        begins: of `prefrl.rewards.sequences`; by default at the first step of each sequence.
        """
        if begins is None and self.sequential:
            begins = first_steps(inputs)
        network = self.members[member]
        if looks_at_sequences(network):
            return network(inputs, begins).float()
        return network(inputs.flatten(0, 1)).reshape(inputs.shape[:2]).float()

    @torch.no_grad()
    def per_member(self, features: Tensor, begins: Tensor | None = None) -> Tensor:
        """Sequences (..., T, *features) -> (E, ..., T); of steps, too, unless networks look at sequences.

        Features may be on another device, and so may `begins` (..., T).
        """
        lead, device = features.shape[: -self.axes], self.scale.device
        steps = lead[-1] if self.sequential else 1
        count = prod(lead) // steps
        sequences = features.reshape(count, steps, *features.shape[-self.axes :])
        at_once = max(1, count if self.axes == 1 else AT_ONCE // steps)
        parts = sequences.split(at_once)
        marks = [None] * len(parts) if begins is None else begins.reshape(count, steps).to(device).split(at_once)
        rewards = []
        for part, begin in zip(parts, marks, strict=True):
            inputs = self.scaled(part.to(device))
            rewards.append(torch.stack([self.of(e, inputs, begin) for e in range(len(self.members))]))
        return torch.cat(rewards, 1).reshape(-1, *lead)

    @torch.no_grad()
    def rewards(self, features: Tensor, begins: Tensor | None = None) -> Tensor:
        """What the agent is paid: (..., T, *features) -> (..., T)"""
        member_rewards = self.per_member(features, begins)
        each = (member_rewards.flatten(1) - self.reward_mean[:, None]) / self.reward_std[:, None]
        return (each.mean(0).clamp(-CLIP, CLIP) * self.scale).reshape(member_rewards.shape[1:])

    def standardise(self, each: Tensor, spread: float = 1.0, collapsed: float = COLLAPSED) -> bool:
        """Give members' rewards like these (E, N) zero mean and this spread. Returns False, and changes nothing, if all are alike.

        collapsed: the spread up to which they count as alike.
        """
        means, stds = each.mean(1), each.std(1)
        if not (stds > collapsed).all():
            return False
        mean = ((each - means[:, None]) / stds[:, None]).mean(0)
        self.reward_mean, self.reward_std, self.scale = means, stds, spread / mean.std().clamp(min=0.1)
        return True

    def start_over(self) -> None:
        """Re-initialise the members' weights."""
        for member in self.members:
            member.load_state_dict(self._network().state_dict())

    def set_input_scale(self, mean: Tensor, std: Tensor, weight: Tensor) -> None:
        """Standardise features by these statistics from now on, and weigh them: (d,) each"""
        constant = std < 1e-4 * (1 + mean.abs())  # a feature that was never seen to vary would blow up when it does
        self.feature_mean, self.feature_std = mean, torch.where(constant, 1.0, std) / weight
