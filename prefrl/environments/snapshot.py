"""Atari emulator states as bytes, for games whose random generator cannot be read from outside."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import gymnasium as gym

SURE = 16  # times an action is repeated, until it is surely the one that sticks
EVERY = 64  # steps of an environment between two states: 34 us and some 5 kB each


def has_state(env: gym.Env) -> bool:
    """Whether an environment's state can be taken and put back: one of the Arcade Learning Environment."""
    return hasattr(env.unwrapped, "ale")


def take(env: gym.Env, action: int) -> dict[str, Any]:
    """The whole state of a game, its random generator's too; `action` is the last one, which may stick, and is not in the state."""
    ale: Any = env.unwrapped.ale  # type: ignore[attr-defined]
    content = ale.cloneState(include_rng=True).serialize()
    return {"state": base64.b64encode(zlib.compress(content, 1)).decode(), "action": int(action)}


def put_back(env: gym.Env, noted: dict[str, Any]) -> None:
    """Restore a state. The screen is the old one until the next step. Raises ValueError for no state of this game."""
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
    for _ in range(SURE):
        ale.act(last)
    ale.restoreState(state)
