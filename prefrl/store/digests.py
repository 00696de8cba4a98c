"""What a segment shows, as a digest: the same behaviour has the same one, whichever run, file or side it is in."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from prefrl.core.data import Segments
from prefrl.core.observations import parts

Shown = tuple[bytes, ...]
"""Digests of the segments that a question shows, in its order."""


def digests(segments: Segments) -> list[bytes]:
    """Of each segment's observations and actions, bit for bit: batch shape (N,) -> N digests"""
    observed = parts(segments.observations)
    keys = sorted(observed)
    arrays = [np.ascontiguousarray(array) for array in (*(observed[key] for key in keys), segments.actions)]
    names = [json.dumps(key) if key else "" for key in keys] + [
        ""
    ]  # those of plain observations are as they always were
    head = "".join(
        f"{name}{array.dtype.str}{array.shape[1:]}" for name, array in zip(names, arrays, strict=True)
    ).encode()
    return [hashlib.sha256(head + b"".join(a[n].tobytes() for a in arrays)).digest() for n in range(len(segments))]


def shown_by(segments: Segments) -> list[Shown]:
    """What each question shows: batch shape (Q, K) -> Q times K digests"""
    each, size = digests(segments.flat()), segments.true_rewards.shape[1]
    return [tuple(each[at : at + size]) for at in range(0, len(each), size)]
