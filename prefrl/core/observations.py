"""Observations: one array, or a dict of arrays (a Dict space).

A plain array is treated as a dict with one part, whose key is PLAIN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from prefrl.core.frames import Frames, join

Part = np.ndarray | Frames
Observations = Any  # Part | dict[str, Part]; most callers know which
PLAIN = ""  # no key of a dict of observations is empty


def parts(observations: Observations) -> Mapping[str, Any]:
    """The parts by key; a plain array is the only one."""
    return observations if isinstance(observations, dict) else {PLAIN: observations}


def whole(each: Mapping[str, Any]) -> Observations:
    """The inverse of `parts`."""
    return each[PLAIN] if PLAIN in each else dict(each)


def mapped(function: Callable[[Any], Any], observations: Observations) -> Observations:
    """The function of the array, or of each part of the dict."""
    if isinstance(observations, dict):
        return {key: function(part) for key, part in observations.items()}
    return function(observations)


def combined(function: Callable[[list[Any]], Any], several: Sequence[Observations]) -> Observations:
    """The function of a list of arrays (np.stack, ...), for each part of observations with the same keys."""
    first = several[0]
    if not isinstance(first, dict):
        return function(list(several))
    if any(not isinstance(other, dict) or other.keys() != first.keys() for other in several):
        raise ValueError(f"observations have different parts: {sorted({str(sorted(parts(each))) for each in several})}")
    return {key: function([other[key] for other in several]) for key in first}


def concatenated(arrays: list[Part]) -> Part:
    """Arrays, or lazy frames, joined along their first axis."""
    frames = [array for array in arrays if isinstance(array, Frames)]
    return join(frames) if len(frames) == len(arrays) else np.concatenate([np.asarray(array) for array in arrays])


def flattened(array: Part, batch_axes: int) -> Part:
    """One batch axis in place of several: (Q, K, ...) -> (Q * K, ...)"""
    return array.flat() if isinstance(array, Frames) else array.reshape(-1, *array.shape[batch_axes:])


def nbytes(observations: Observations) -> int:
    """Bytes of all parts."""
    return sum(part.nbytes for part in parts(observations).values())


def shapes(observations: Observations, skipped: int = 0) -> tuple[Any, ...]:
    """The shape behind the first `skipped` axes; of a dict, keys and shapes in the order of keys."""
    if isinstance(observations, dict):
        return tuple((key, tuple(observations[key].shape[skipped:])) for key in sorted(observations))
    return tuple(observations.shape[skipped:])


def count(observations: Observations) -> int:
    """Number of rows (environments, say) of the observations."""
    return len(next(iter(parts(observations).values())))
