"""Atari games as agents play them: frames skipped, pooled, shrunk and grey, with the score blacked out.

Two protocols by name. An episode is one game; losing a life does not end it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.wrappers import AtariPreprocessing

from envs.masks import Masked

SKIP = 4  # frames of the emulator in a step; the screen is the brighter of the last two (Mnih et al. 2015)
FRAMES = 60.0  # that the console draws in a second


class Protocol(NamedTuple):
    """What keeps an agent from learning one sequence of actions by heart."""

    sticky: float  # probability that the emulator repeats the action before, in every frame
    noops: int  # most actions without effect at the start of an episode


PROTOCOLS: dict[str, Protocol] = {
    "v5": Protocol(sticky=0.25, noops=0),  # Machado et al. 2018, and the defaults of ALE/*-v5
    "paper": Protocol(sticky=0.0, noops=30),  # Mnih et al. 2015; Christiano et al. 2017
}


def is_atari(env_id: str) -> bool:
    """Whether an id that Gymnasium knows is a game of the Arcade Learning Environment."""
    return str(gym.spec(env_id).entry_point).endswith(":AtariEnv")


def make_atari(env_id: str, protocol: Protocol, size: int, mask: bool, render_mode: str | None = None) -> gym.Env:
    """One game. Observations: (size, size) uint8; drawn for people: (210, 160, 3), 15 frames a second."""
    from ale_py import ALEInterface, LoggerMode  # an optional package

    ALEInterface.setLoggerMode(LoggerMode.Error)  # else it greets once for every environment
    game = gym.make(env_id, frameskip=1, repeat_action_probability=protocol.sticky, render_mode=render_mode)
    env: gym.Env[Any, Any] = AtariPreprocessing(game, noop_max=protocol.noops, frame_skip=SKIP, screen_size=size)
    if mask:
        env = Masked(env, game.unwrapped._game)  # type: ignore[attr-defined]  # ALE tells its game nowhere else
    env.metadata = {**env.metadata, "render_fps": FRAMES / SKIP}
    return env
