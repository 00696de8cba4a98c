"""Reward networks by name. A network maps features (N, d), or pictures (N, C, H, W), to rewards (N,) or (N, 1)."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from prefrl.rewards.mixed import Layout

Network = Callable[[int, Sequence[int]], nn.Module]
PictureNetwork = Callable[[tuple[int, ...], Sequence[int]], nn.Module]
SMALL = 48  # pixels on a side, below which the paper's convolutions would leave too little


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


def cnn(shape: tuple[int, ...], hidden: Sequence[int] = (64,)) -> nn.Module:
    """Four convolutions with batch norm and dropout, as for Atari in Christiano et al. 2017, appendix A.2."""
    layers: list[nn.Module] = []
    channels = shape[0]
    for size, stride in ((7, 3), (5, 2), (3, 1), (3, 1)):
        layers += [nn.Conv2d(channels, 16, size, stride), nn.BatchNorm2d(16), nn.Dropout(0.5), nn.LeakyReLU(0.01)]
        channels = 16
    return _with_head(layers, shape, hidden)


def small_cnn(shape: tuple[int, ...], hidden: Sequence[int] = (64,)) -> nn.Module:
    """One convolution, as for the ten pixels of MinAtar's games (Young and Tian 2019)."""
    return _with_head([nn.Conv2d(shape[0], 16, 3), nn.LeakyReLU(0.01)], shape, hidden)


def nature(shape: tuple[int, ...], hidden: Sequence[int] = (64,)) -> nn.Module:
    """Three convolutions without batch norm and dropout (Mnih et al. 2015, methods): SB3's own for policies."""
    layers: list[nn.Module] = []
    channels = shape[0]
    for width, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        layers += [nn.Conv2d(channels, width, size, stride), nn.ReLU()]
        channels = width
    return _with_head(layers, shape, hidden)


def impala(shape: tuple[int, ...], hidden: Sequence[int] = (64,)) -> nn.Module:
    """Fifteen convolutions with residual connections (Espeholt et al. 2018, figure 3 right)."""
    layers: list[nn.Module] = []
    channels = shape[0]
    for width in (16, 32, 32):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.MaxPool2d(3, 2, padding=1)]
        layers += [_Residual(width), _Residual(width)]
        channels = width
    return _with_head([*layers, nn.ReLU()], shape, hidden)


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        convolutions = [nn.Conv2d(width, width, 3, padding=1) for _ in range(2)]
        self.change = nn.Sequential(nn.ReLU(), convolutions[0], nn.ReLU(), convolutions[1])

    def forward(self, seen: Tensor) -> Tensor:
        return seen + self.change(seen)


def _with_head(layers: Sequence[nn.Module], shape: tuple[int, ...], hidden: Sequence[int]) -> nn.Module:
    """The layers, then dense ones down to the reward. Dropout and batch norm see one picture here, and learn nothing."""
    body = nn.Sequential(*layers, nn.Flatten()).eval()
    with torch.no_grad():
        features = body(torch.zeros(1, *shape)).shape[1]
    return nn.Sequential(body.train(), mlp(features, hidden))


PICTURE_NETWORKS: dict[str, tuple[PictureNetwork, str]] = {
    "cnn": (cnn, "pictures: four convolutions, batch norm, dropout (Christiano et al. 2017, for Atari)"),
    "small_cnn": (small_cnn, "pictures of a few pixels: one convolution"),
    "nature": (nature, "pictures: three convolutions, no dropout (Mnih et al. 2015)"),
    "impala": (impala, "pictures: fifteen convolutions with residual connections (Espeholt et al. 2018)"),
}


class MixedNetwork(nn.Module):
    """The usual convolutions for each picture of a Dict; dense layers for their features and all other parts."""

    def __init__(self, layout: Layout, hidden: Sequence[int] = (64, 64)):
        super().__init__()
        made: list[Any] = [PICTURE_NETWORKS[default_network(shape)][0](shape, hidden) for shape in layout.pictures]
        bodies = [body for body, _ in made]  # without their heads
        self.numbers, self.shapes, self.bodies = layout.numbers, layout.pictures, nn.ModuleList(bodies).eval()
        with torch.no_grad():
            each = [body(torch.zeros(1, *shape)) for body, shape in zip(self.bodies, self.shapes, strict=True)]
        self.bodies.train()
        self.head = mlp(layout.numbers + sum(features.shape[1] for features in each), hidden)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, 1, d + P) -> (N, 1)"""
        numbers, *pixels = rows.squeeze(-2).split([self.numbers, *map(prod, self.shapes)], -1)
        pictures = (flat.unflatten(-1, shape) for flat, shape in zip(pixels, self.shapes, strict=True))
        features = [body(picture) for body, picture in zip(self.bodies, pictures, strict=True)]
        return self.head(torch.cat([numbers, *features], -1))


MIXED_NETWORKS: dict[str, tuple[Callable[..., nn.Module], str]] = {
    "mixed": (
        MixedNetwork,
        "a Dict with pictures: the usual convolutions for each, dense layers for all parts together",
    ),
}


ALL_NETWORKS: Mapping[str, tuple[Callable[..., nn.Module], str]] = ChainMap(PICTURE_NETWORKS, NETWORKS, MIXED_NETWORKS)  # type: ignore[arg-type]
"""All of them. One of your own: NETWORKS["mine"] = (make, "what it is"). See `prefrl.rewards.sequences` for more."""


def default_network(size: int | tuple[int, ...]) -> str:
    """The name that `auto` stands for. size: number of features, or shape of pictures (C, H, W)"""
    if isinstance(size, int):
        return "mlp"
    if isinstance(size, Layout):
        return "mixed"
    return "small_cnn" if min(size[1:]) < SMALL else "cnn"
