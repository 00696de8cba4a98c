"""A reward network for numbers and pictures together, and the layout of both in one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

FLOAT = 4  # bytes of a number


class Layout(tuple):
    """How a step lies in a row of bytes, (1, width): its numbers as float32 first, then its pictures, pixel by pixel."""

    numbers: int
    pictures: tuple[tuple[int, ...], ...]  # the shape of each, (C, H, W)

    def __new__(cls, numbers: int, pictures: Sequence[tuple[int, ...]]) -> Layout:
        width = FLOAT * numbers + sum(map(_pixels, pictures))
        made = super().__new__(cls, (1, width))
        made.numbers, made.pictures = numbers, tuple(pictures)
        return made

    def pack(self, numbers: Tensor, pictures: Sequence[Tensor]) -> Tensor:
        """(..., d) float32 and a (..., C, H, W) uint8 of each picture -> (..., 1, width) uint8"""
        lead = numbers.shape[:-1]
        each = [numbers.contiguous().view(torch.uint8), *(picture.reshape(*lead, -1) for picture in pictures)]
        return torch.cat(each, -1).unsqueeze(-2)

    def unpack(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 1, width) uint8 -> numbers (..., d) float32, and the pixels of all pictures (..., P) uint8"""
        flat, end = rows.squeeze(-2), FLOAT * self.numbers
        numbers = flat[..., :end].clone(memory_format=torch.contiguous_format).view(torch.float32)
        return numbers, flat[..., end:]


class MixedNetwork(nn.Module):
    """Convolutions for each picture; their features go, with the numbers, through the dense layers of a head."""

    def __init__(self, layout: Layout, bodies: Sequence[nn.Module], head: Callable[[int], nn.Module]):
        """bodies: for each picture, (N, C, H, W) -> (N, d'); head: number of features -> (N, features) to (N, 1)"""
        super().__init__()
        self.numbers, self.shapes, self.bodies = layout.numbers, layout.pictures, nn.ModuleList(bodies).eval()
        with torch.no_grad():
            each = [body(torch.zeros(1, *shape)) for body, shape in zip(self.bodies, self.shapes, strict=True)]
        self.bodies.train()
        self.head = head(layout.numbers + sum(found.shape[1] for found in each))

    def forward(self, rows: Tensor) -> Tensor:
        """(N, 1, d + P) -> (N, 1)"""
        numbers, *pixels = rows.squeeze(-2).split([self.numbers, *map(_pixels, self.shapes)], -1)
        pictures = (flat.unflatten(-1, shape) for flat, shape in zip(pixels, self.shapes, strict=True))
        features = [body(picture) for body, picture in zip(self.bodies, pictures, strict=True)]
        return self.head(torch.cat([numbers, *features], -1))


def _pixels(shape: Sequence[int]) -> int:
    return int(torch.Size(shape).numel())
