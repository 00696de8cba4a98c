"""Small tasks whose observations are dicts and tuples: a point on a line that should go to its middle."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

LINE = spaces.Box(-2, 2, (2,), np.float32)
TASKS = {
    "dict": spaces.Dict({"state": LINE, "side": spaces.Discrete(2)}),
    "tuple": spaces.Tuple([LINE, spaces.Tuple([spaces.Box(-2, 2, (), np.float32), spaces.MultiBinary(2)])]),
    "picture": spaces.Dict({"picture": spaces.Box(0, 255, (36, 36, 3), np.uint8), "state": LINE}),
}


class Line(gym.Env):
    """The reward is minus the distance from the middle. Episodes last 25 steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 25}
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, form: str = "dict", render_mode: str | None = None):
        self.form, self.render_mode, self.observation_space = form, render_mode, TASKS[form]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age, self.place = 0, np.float32(self.np_random.uniform(-1, 1))
        return self._observation(), {}

    def step(self, action):
        self.age += 1
        self.place = np.float32(np.clip(self.place + 0.2 * action[0], -2, 2))
        return self._observation(), -abs(float(self.place)), False, self.age == 25, {}

    def render(self):
        picture = np.zeros((36, 36, 3), np.uint8)
        column = int(9 * (self.place + 2) * 0.99)
        picture[:, column : column + 1] = 250
        return picture

    def _observation(self):
        state, right = np.array([self.place, self.age / 25], np.float32), int(self.place > 0)
        if self.form == "dict":
            return {"state": state, "side": right}
        if self.form == "tuple":
            return state, (self.place, np.array([right, 1 - right], np.int8))
        return {"picture": self.render(), "state": state}


def task(form: str):
    """A function that makes one such environment."""
    return lambda render_mode=None: Line(form, render_mode)
