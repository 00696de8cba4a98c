"""Atari games as agents play them: frames skipped, pooled, shrunk and grey, with the score blacked out.

Two protocols by name. An episode is one game; losing a life does not end it.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import AtariPreprocessing

from envs.masks import Masked
from envs.steps import Info, Reset

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


class Seeded(gym.Wrapper):
    """A seed plays the same game here and in ale-py's own vector, which takes no negative one for the emulator."""

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Reset:
        return self.env.reset(seed=None if seed is None else _non_negative(seed), options=options)


def ale_seed(seed: int) -> int:
    """The emulator's seed for a seed of the environment, as AtariEnv derives it."""
    return int(np.random.SeedSequence(_non_negative(seed)).generate_state(2)[1])


def _non_negative(seed: int) -> int:
    """The first of some seeds that does not become negative in the emulator."""
    while np.random.SeedSequence(seed).generate_state(2)[1] >= 2**31:
        seed += 2**32
    return seed


def make_atari(env_id: str, protocol: Protocol, size: int, mask: bool, render_mode: str | None = None) -> gym.Env:
    """One game. Observations: (size, size) uint8; drawn for people: (210, 160, 3), 15 frames a second."""
    from ale_py import ALEInterface, LoggerMode  # an optional package

    ALEInterface.setLoggerMode(LoggerMode.Error)  # else it greets once for every environment
    game = gym.make(env_id, frameskip=1, repeat_action_probability=protocol.sticky, render_mode=render_mode)
    env: gym.Env = AtariPreprocessing(Seeded(game), noop_max=protocol.noops, frame_skip=SKIP, screen_size=size)
    if mask:
        env = Masked(env, game.unwrapped._game)  # type: ignore[attr-defined]  # ALE tells its game nowhere else
    env.metadata = {**env.metadata, "render_fps": FRAMES / SKIP}
    return env
