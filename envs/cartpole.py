"""Cart-pole of fixed length: after a fall the pole is set up again and the episode goes on.

In CartPole-v1 every step earns the same, so two segments always tie and only the episode's end teaches anything: a
constant reward solves it. Here an episode has 500 steps whatever happens, and falling is what costs.
"""

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from envs.steps import Step

LEAN_COST = 0.01  # at most 0.02 a step, so 50 steps of leaning never cost more than one fall


class CartPoleFalls(CartPoleEnv):
    """Reward: -1 for a fall, else 0, so an episode's return is minus its falls.

    Observation (4,): position [m], speed, angle [rad], angular speed. Action: 0 pushes left, 1 right. The observation
    after a fall is that of the pole set up again; `info["fell"]` says when. Of random pairs of 50 steps a third tie.
    """

    def step(self, action: int | np.ndarray) -> Step:
        observation, _, fell, _, _ = super().step(action)
        if fell:
            observation, _ = super().reset()  # draws from np_random, so the seed still determines the whole episode
        return observation, -1.0 if fell else 0.0, False, False, {"fell": fell}


class CartPole(CartPoleFalls):
    """Reward: -1 for a fall, else minus a small cost of leaning and straying, so that hardly any pair ties.

    The cost is 0.01 ((angle / limit)^2 + (position / limit)^2), between 0 and 0.02. Spaces as in CartPoleFalls.
    """

    def step(self, action: int | np.ndarray) -> Step:
        observation, reward, _, _, info = super().step(action)
        if not info["fell"]:
            position, _, angle, _ = observation
            lean = (angle / self.theta_threshold_radians) ** 2 + (position / self.x_threshold) ** 2
            reward -= LEAN_COST * float(lean)
        return observation, reward, False, False, info
