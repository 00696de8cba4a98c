"""Openings: what an episode's reset drew its randomness from, so that another process can reproduce the episode."""

from __future__ import annotations

import base64
import json
import zlib
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import Any

import gymnasium as gym
import numpy as np

NOTES = {
    "state": "every reset is seeded, and the emulator's state is noted now and then: for Atari games",
    "rng": "the state of the environment's random generator: the run stays what it would be without notes",
    "seed": "every reset is seeded, for environments that draw from more than this one generator",
}
FILMED = b'{"film"'  # prefix of the opening of a filmed episode, which cannot be reproduced
STATE_INTERVAL = 64  # steps of an environment between two emulator states: 34 us and some 5 kB each
STICKY_REPEATS = 16  # times an action is repeated, until it is surely the one that sticks


def opening(env: gym.Env, seed: int | None) -> bytes:
    """What the next reset will draw its randomness from; empty where it cannot be known."""
    if seed is not None:
        return json.dumps({"seed": int(seed)}).encode()
    try:
        return json.dumps({"rng": env.unwrapped.np_random.bit_generator.state}, default=np.ndarray.tolist).encode()
    except (AttributeError, TypeError, ValueError):  # an environment with a random generator of its own kind
        return b""


def snapshot(env: gym.Env, action: int) -> bytes:
    """An opening in the middle of an episode: the whole state of an Atari game, with its random generator's.

    action: the last one, which may stick, and is not in the state
    """
    ale: Any = env.unwrapped.ale  # type: ignore[attr-defined]
    content = zlib.compress(ale.cloneState(include_rng=True).serialize(), 1)
    return json.dumps({"state": base64.b64encode(content).decode(), "action": int(action)}).encode()


def possible_notes(env: gym.Env) -> list[str]:
    """The names of NOTES that an environment supports, the best first."""
    return ["state"] if hasattr(env.unwrapped, "ale") else ["rng", "seed"]


def reopen(env: gym.Env, opening: bytes) -> Any:
    """Reset an environment to an opening. Returns the first observation; raises ValueError if that is impossible."""
    try:
        how = json.loads(opening)
        if "seed" in how:
            return env.reset(seed=how["seed"])[0]
        if "state" in how:
            return _restore_state(env, how)  # observations are valid after the next step
        env.unwrapped.np_random.bit_generator.state = how["rng"]
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as fault:
        raise ValueError(f"{opening[:60]!r} is no opening for {env}: {fault!r}") from fault
    return env.reset()[0]


def _restore_state(env: gym.Env, noted: dict[str, Any]) -> None:
    """Restore a game's state. The screen is the old one until the next step. Raises ValueError for no state of it."""
    ale, actions, text = env.unwrapped.ale, env.unwrapped._action_set, noted["state"]  # type: ignore[attr-defined]
    own = ale.cloneState(include_rng=True)
    kind: Any = type(own)
    size = len(own.serialize())
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(text, validate=True), 2 * size)
        if not size / 2 < len(content) < 2 * size:  # the generator's state is written in decimals
            raise ValueError(f"{len(content)} bytes, a state of this game has about {size}")
        last, state = actions[noted["action"]], kind.__new__(kind)
        state.__setstate__(content)  # ALE's own reader of its own bytes, no pickle
    except (ValueError, TypeError, RuntimeError, IndexError, zlib.error) as fault:
        raise ValueError(f"{text[:40]!r} is no state of {env}: {fault}") from fault
    for _ in range(STICKY_REPEATS):
        ale.act(last)
    ale.restoreState(state)


class Openings:
    """Start step and opening of each environment's episodes. Costs nothing between two episodes."""

    def __init__(self, n_envs: int):
        self.noted: list[list[tuple[int, bytes]]] = [[] for _ in range(n_envs)]  # in the order of steps

    def add(self, env: int, start: int, opening: bytes) -> None:
        """Record that an episode begins at a step; it replaces one without steps that began there."""
        noted = self.noted[env]
        if noted and noted[-1][0] == start:
            noted.pop()
        noted.append((start, opening))

    def find(self, env: int, step: int) -> tuple[int, bytes] | None:
        """Start and opening of the episode that this step lies in."""
        place = bisect_right(self.noted[env], step, key=itemgetter(0))
        return self.noted[env][place - 1] if place else None

    def forget(self, oldest: int) -> None:
        """Drop the episodes that began before this step."""
        for noted in self.noted:
            del noted[: bisect_left(noted, oldest, key=itemgetter(0))]
