"""What a segment shows, as a digest: the same behaviour has the same one, whichever run, file or side it is in."""

from __future__ import annotations

import hashlib

import numpy as np

from prefrl.core.data import Segments

Pair = tuple[bytes, bytes]
"""Digests of the first and the second segment of a question."""


def digests(segments: Segments) -> list[bytes]:
    """Of each segment's observations and actions, bit for bit: batch shape (N,) -> N digests"""
    parts = [np.ascontiguousarray(segments.observations), np.ascontiguousarray(segments.actions)]
    head = "".join(f"{part.dtype.str}{part.shape[1:]}" for part in parts).encode()
    return [hashlib.sha256(head + b"".join(part[n].tobytes() for part in parts)).digest() for n in range(len(segments))]


def pair_digests(segments: Segments) -> list[Pair]:
    """Of both segments of each question: batch shape (Q, 2) -> Q pairs"""
    each = digests(segments.flat())
    return list(zip(each[::2], each[1::2], strict=True))
