"""Score, lives and counters of Atari games, and how they are blacked out, so that nobody can read the reward off them.

People are drawn the whole screen: this is about observations only (Christiano et al. 2017, appendix A.2).
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

SCREEN = (210, 160)  # height and width, pixels

Box = tuple[int, int, int, int]  # first row, end, first column, end

MASKS: dict[str, tuple[Box, ...]] = {
    "beam_rider": ((0, 32, 0, 160), (32, 41, 0, 64), (183, 191, 0, 160)),  # score and sector, enemies left, ships
    "breakout": ((0, 17, 0, 160),),  # score, lives and player
    "enduro": ((160, 192, 40, 120),),  # the panel: distance driven, cars to pass, day
    "pong": ((0, 24, 0, 160),),  # both scores
    "qbert": ((0, 15, 0, 160), (15, 29, 0, 66)),  # score, and lives left of the pyramid's top
    "seaquest": ((0, 31, 0, 160),),  # score and lives
    "space_invaders": ((0, 21, 0, 160),),  # both scores
}
"""What is hidden, by ALE's name of the game, in pixels of its screen."""


def hidden(game: str, height: int, width: int) -> np.ndarray:
    """Which cells of a shrunk screen hold any of what is to be hidden: (height, width) bool, all False without a profile"""
    cells = np.zeros((height, width), bool)
    for top, bottom, left, right in MASKS.get(game, ()):
        rows = slice(top * height // SCREEN[0], -(-bottom * height // SCREEN[0]))  # rounded outwards
        columns = slice(left * width // SCREEN[1], -(-right * width // SCREEN[1]))
        cells[rows, columns] = True
    return cells


class Masked(gym.ObservationWrapper):
    """Blacks out what a game's profile hides. Observations: (H, W) uint8"""

    def __init__(self, env: gym.Env, game: str):
        super().__init__(env)
        assert env.observation_space.shape
        self.hidden = hidden(game, *env.observation_space.shape)

    def observation(self, observation: Any) -> np.ndarray:
        seen = np.array(observation)
        seen[self.hidden] = 0
        return seen
