"""Random streams derived from (seed, name, step): no generator has a state that a checkpoint would have to keep."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """The generator for one purpose at one step of the run; independent of all others."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), step])


def number(seed: int, name: str, step: int = 0) -> int:
    """A seed below 2^31 for libraries that take one."""
    return int(stream(seed, name, step).integers(2**31 - 1))
