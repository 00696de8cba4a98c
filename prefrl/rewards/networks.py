"""Reward networks by name. A network maps features (N, d) to a reward per step (N,) or (N, 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

Network = Callable[[int, Sequence[int]], nn.Module]


def mlp(features: int, hidden: Sequence[int] = (64, 64)) -> nn.Module:
    """Leaky-ReLU layers, as for MuJoCo in Christiano et al. 2017, appendix A.1."""
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(features, size), nn.LeakyReLU(0.01)]
        features = size
    return nn.Sequential(*layers, nn.Linear(features, 1))


def tanh_mlp(features: int, hidden: Sequence[int] = (64, 64)) -> nn.Module:
    """Leaky-ReLU layers with rewards squashed into (-1, 1), as in B-Pref (Lee et al. 2021)."""
    return nn.Sequential(mlp(features, hidden), nn.Tanh())


NETWORKS: dict[str, tuple[Network, str]] = {
    "mlp": (mlp, "leaky-ReLU layers (Christiano et al. 2017)"),
    "tanh_mlp": (tanh_mlp, "the same with rewards squashed into (-1, 1) (B-Pref)"),
}
