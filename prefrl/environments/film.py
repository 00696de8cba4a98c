"""Filming while the agent acts, for environments that cannot be reproduced, or not in another process."""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.environments.vector import OpeningMonitor


class Film:
    """The latest frames of one environment, compressed, within a bound of memory. Frames are numbered consecutively."""

    def __init__(self, most: int):
        """most: bytes"""
        self.most, self.held = most, 0
        self.first = 0  # the number of the oldest frame that is kept
        self.shape: tuple[int, ...] = ()
        self._packed: deque[bytes] = deque()

    @property
    def next(self) -> int:
        """The number of the frame that will be added next."""
        return self.first + len(self._packed)

    def add(self, frame: np.ndarray) -> None:
        """frame: (H, W, 3) uint8"""
        self.shape = frame.shape
        self._packed.append(zlib.compress(frame.tobytes(), 1))
        self.held += len(self._packed[-1])
        while self.held > self.most and len(self._packed) > 1:
            self.held -= len(self._packed.popleft())
            self.first += 1

    def frames(self, first: int, count: int) -> np.ndarray:
        """`count` frames from the number `first` on: (count, H, W, 3)"""
        if not self.first <= first <= first + count <= self.next:
            raise ValueError(f"frames {first} to {first + count} are not kept, only {self.first} to {self.next}")
        packed = [self._packed[place] for place in range(first - self.first, first - self.first + count)]
        return np.stack([np.frombuffer(zlib.decompress(frame), np.uint8).reshape(self.shape) for frame in packed])


class Filmed(OpeningMonitor):
    """Films every state. An episode's opening is the number of its first frame."""

    def __init__(self, env: gym.Env, film: Film):
        super().__init__(env)
        self.film = film

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        returned = super().reset(**how)
        self.opening = json.dumps({"film": self.film.next}).encode()
        self.film.add(np.asarray(self.env.render()))
        return returned

    def step(self, action: Any) -> Any:
        returned = super().step(action)
        self.film.add(np.asarray(self.env.render()))
        return returned


def number(opening: bytes) -> int:
    """The number of the first frame of a filmed episode, from its opening."""
    return int(json.loads(opening)["film"])
