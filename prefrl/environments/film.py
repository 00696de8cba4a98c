"""Pictures taken while it happens: for environments in which nothing happens twice, or that only this process can make."""

from __future__ import annotations

import json
import zlib
from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np

from prefrl.environments.vector import OpeningMonitor


class Film:
    """The latest frames of one environment, packed, within a bound of memory. Frames have numbers that only grow."""

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
        """So many frames from this number on: (count, H, W, 3)"""
        if not self.first <= first <= first + count <= self.next:
            raise ValueError(f"frames {first} to {first + count} are not kept, only {self.first} to {self.next}")
        packed = [self._packed[place] for place in range(first - self.first, first - self.first + count)]
        return np.stack([np.frombuffer(zlib.decompress(one), np.uint8).reshape(self.shape) for one in packed])


class Filmed(OpeningMonitor):
    """Takes a picture of every state. An episode's opening is the number of its first."""

    def __init__(self, env: gym.Env, film: Film):
        super().__init__(env)
        self.film = film

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        began = super().reset(**how)
        self.opening = json.dumps({"film": self.film.next}).encode()
        self.film.add(self._picture())
        return began

    def step(self, action: Any) -> Any:
        happened = super().step(action)
        self.film.add(self._picture())
        return happened

    def _picture(self) -> np.ndarray:
        return np.asarray(self.env.render())


def number(opening: bytes) -> int:
    """Of the first frame of an episode that was filmed."""
    return int(json.loads(opening)["film"])
