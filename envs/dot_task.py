"""A dot in a small picture: the smallest task that has to be seen, learned in minutes without a GPU."""

from __future__ import annotations

import gymnasium
import numpy as np

from envs.steps import Info, Reset, Step

CELLS = 8  # on a side
PIXELS = 2  # of a cell, on a side
TARGET = (2, 5)  # row and column: no corner, so the dot has to stop
MOVES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
ZOOM = 24  # pixels of a cell, on a side, as drawn for people
GROUND, MARK, DOT = (24, 26, 32), (240, 160, 40), (240, 240, 240)


class Dot(gymnasium.Env):
    """Bring the dot onto the mark and stay there.

    Observation (16, 16) uint8: the dot is white, the mark grey. Action: 0 stay, 1 up, 2 down, 3 left, 4 right.
    Reward: minus the distance to the mark, over 8. The dot starts anywhere.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(0, 255, (CELLS * PIXELS, CELLS * PIXELS), np.uint8)
    action_space = gymnasium.spaces.Discrete(len(MOVES))

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode
        self.cell = np.zeros(2, int)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> Reset:
        super().reset(seed=seed)
        self.cell = self.np_random.integers(0, CELLS, 2)
        return self._observation(), {}

    def step(self, action: int) -> Step:
        self.cell = np.clip(self.cell + MOVES[int(action)], 0, CELLS - 1)
        return self._observation(), -float(np.hypot(*(self.cell - TARGET))) / CELLS, False, False, {}

    def _observation(self) -> np.ndarray:
        picture = np.zeros((CELLS, CELLS), np.uint8)
        picture[TARGET] = 128
        picture[tuple(self.cell)] = 255
        return picture.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)

    def render(self) -> np.ndarray:
        """(192, 192, 3) uint8"""
        picture = np.full((CELLS, CELLS, 3), GROUND, np.uint8)
        picture[TARGET] = MARK
        picture[tuple(self.cell)] = DOT
        return picture.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
