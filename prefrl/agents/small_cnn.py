"""Features of pictures that are too small for the usual Atari network."""

from __future__ import annotations

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

LEAST = 36  # pixels on a side that SB3's NatureCNN needs


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
