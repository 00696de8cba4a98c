"""Digests of segments: the same behaviour has the same digest, whichever run, file or side it is in."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from prefrl.core.data import Segments
from prefrl.core.observations import parts


def digests(segments: Segments) -> list[bytes]:
    """SHA-256 of each segment's observations and actions, bit for bit: batch shape (N,) -> N digests"""
    observed = parts(segments.observations)
    keys = sorted(observed)
    arrays = [np.ascontiguousarray(array) for array in (*(observed[key] for key in keys), segments.actions)]
    names = [json.dumps(key) if key else "" for key in keys] + [""]  # plain observations: as in the first release
    head = "".join(
        f"{name}{array.dtype.str}{array.shape[1:]}" for name, array in zip(names, arrays, strict=True)
    ).encode()
    return [hashlib.sha256(head + b"".join(a[n].tobytes() for a in arrays)).digest() for n in range(len(segments))]
