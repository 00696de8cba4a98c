"""Policy features where SB3's own do not do: small pictures, and Dict observations with pictures in them."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, NatureCNN
from torch import Tensor, nn

NATURE_CNN_SIDE = 36  # pixels on a side that SB3's NatureCNN needs


class SmallCNN(BaseFeaturesExtractor):
    """One convolution and a dense layer, as for MinAtar (Young and Tian 2019). Pictures: (N, C, H, W), scaled by SB3"""

    def __init__(self, observation_space: spaces.Box, features_dim: int = 128):
        super().__init__(observation_space, features_dim)
        channels, height, width = observation_space.shape
        convolution = nn.Sequential(nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten())
        with torch.no_grad():
            size = convolution(torch.zeros(1, channels, height, width)).shape[1]
        self.layers = nn.Sequential(*convolution, nn.Linear(size, features_dim), nn.ReLU())

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


class PartsExtractor(BaseFeaturesExtractor):
    """SB3's CombinedExtractor for keys of any name, which may have dots in them, and for pictures of any size."""

    def __init__(self, observation_space: spaces.Dict, features_dim: int = 256):
        """features_dim: of each picture"""
        sizes = {
            key: features_dim if is_image_space(part) else get_flattened_obs_dim(part)
            for key, part in observation_space.spaces.items()
        }
        super().__init__(observation_space, sum(sizes.values()))
        self.keys = list(sizes)
        self.parts = nn.ModuleList(_extractor(part, sizes[key]) for key, part in observation_space.spaces.items())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        each = [extractor(observations[key]) for key, extractor in zip(self.keys, self.parts, strict=True)]
        return torch.cat(each, dim=1)


def _extractor(space: spaces.Space, size: int) -> nn.Module:
    if not is_image_space(space):
        return nn.Flatten()
    convolutions = (
        NatureCNN if min((space.shape or ())[1:]) >= NATURE_CNN_SIDE else SmallCNN
    )  # SB3 has put channels first
    return convolutions(space, size)  # type: ignore[arg-type]
