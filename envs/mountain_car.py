"""Mountain car of fixed length: up the hill, back to the valley, up again.

The energy of the car is v^2 / 2 + 0.0025 sin(3 x) / 3: the integral of Gymnasium's slope. What the engine adds in a
step is force times speed, so the true reward says, step by step, whether the car pushes with its motion or against it.

Pushing with the motion is all it takes, and half of all linear policies do: with a continuous force, PPO on a zero
reward drives 0 to 0.8 laps by accident (true reward: 2.0 to 2.3). Measure that control beside any result.
"""

import math

from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv

from envs.laps import Laps

GRAVITY = 0.0025


def energy(position: float, speed: float, goal: float) -> float:
    """0 at rest in the valley, 1 at rest at the goal; about 1.5 at top speed in the valley."""
    needed = GRAVITY / 3 * (math.sin(3 * goal) + 1)
    return (speed**2 / 2 + GRAVITY / 3 * (math.sin(3 * position) + 1)) / needed


class MountainCar(Laps, MountainCarEnv):
    """Observation (2,): position in [-1.2, 0.6], speed in [-0.07, 0.07]. Action: 0 left, 1 none, 2 right.

    300 steps, time for two good laps; Gymnasium's 200 allow one and a half, which makes returns jump. Reward: see Laps.
    """

    def energy(self) -> float:
        position, speed = self.state
        return energy(position, speed, self.goal_position)


class MountainCarContinuous(Laps, Continuous_MountainCarEnv):
    """Observation (2,): position in [-1.2, 0.6], speed in [-0.07, 0.07]. Action (1,): force in [-1, 1].

    300 steps instead of 999: three laps, and three times the episodes in the same budget. Gymnasium's cost of force is
    left out: it makes standing still a local optimum, and a person cannot see it. Reward: see Laps.
    """

    def energy(self) -> float:
        position, speed = self.state
        return energy(position, speed, self.goal_position)
