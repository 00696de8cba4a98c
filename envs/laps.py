"""Mountain car and Acrobot of fixed length: reach the goal as often as the time allows.

Both ask for the same thing: pump energy into a swing until it reaches a goal. Gymnasium rewards every step alike and
then ends the episode, so segments tie and the ending teaches. Here a step earns the energy that the action put in, and
a reached goal earns one and starts the next lap inside the episode.

Why energy *gained* rather than held, or height: it is a difference of potentials (Ng, Harada, Russell 1999), so it adds
up to the same for every way to the goal, and swinging below the goal for ever earns nothing. Energy beyond what the
goal takes does not count, so a lap is worth two at most and an episode's return is about twice its laps. Why the next
lap rather than a rest at the goal: a rest fills most of the episode with steps that all look alike.

In MountainCar pushing with the motion is all it takes, and half of all linear policies do: with a continuous force, PPO
on a zero reward drives 0 to 0.8 laps by accident (true reward: 2.0 to 2.3). Measure that control beside any result.
"""

import math

from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv

from envs.steps import Step

GRAVITY = 0.0025  # of the mountain car
REST = -19.6  # [J] both links of Acrobot hanging, motionless
NEEDED = 24.5  # [J] the least energy above rest with which the tip can touch the line: first link level, second upright
GOAL_REWARD = 1.0  # as much again as all the energy that a lap needs


class Laps:
    """Mixed in before a Gymnasium class whose `terminated` means "goal reached". The class supplies `energy`.

    Reward: energy gained in this step (up to 1.0 = what the goal takes from rest), plus one at the goal. So a step
    against the motion costs. `info["reached"]` says when the goal was; the observation then starts the next lap.
    """

    def energy(self) -> float:
        """Mechanical energy now: 0 at rest, 1 is just enough for the goal, more is possible."""
        raise NotImplementedError

    def step(self, action: object) -> Step:
        before = min(self.energy(), 1.0)
        observation, _, reached, _, _ = super().step(action)  # type: ignore[misc]
        reward = min(self.energy(), 1.0) - before
        if reached:
            reward += GOAL_REWARD
            observation, _ = super().reset()  # type: ignore[misc]  # draws from np_random: the seed still decides
        return observation, float(reward), False, False, {"reached": reached}


def car_energy(position: float, speed: float, goal: float) -> float:
    """v^2 / 2 + 0.0025 sin(3 x) / 3, the integral of Gymnasium's slope, scaled: 0 at rest in the valley, 1 at the goal.

    What the engine adds in a step is force times speed, so the true reward says, step by step, whether the car pushes
    with its motion or against it. At top speed in the valley the energy is about 1.5.
    """
    needed = GRAVITY / 3 * (math.sin(3 * goal) + 1)
    return (speed**2 / 2 + GRAVITY / 3 * (math.sin(3 * position) + 1)) / needed


class MountainCar(Laps, MountainCarEnv):
    """Observation (2,): position in [-1.2, 0.6], speed in [-0.07, 0.07]. Action: 0 left, 1 none, 2 right.

    300 steps, time for two good laps; Gymnasium's 200 allow one and a half, which makes returns jump. Reward: see Laps.
    """

    def energy(self) -> float:
        position, speed = self.state
        return car_energy(position, speed, self.goal_position)


class MountainCarContinuous(Laps, Continuous_MountainCarEnv):
    """Observation (2,): position in [-1.2, 0.6], speed in [-0.07, 0.07]. Action (1,): force in [-1, 1].

    300 steps instead of 999: three laps, and three times the episodes in the same budget. Gymnasium's cost of force is
    left out: it makes standing still a local optimum, and a person cannot see it. Reward: see Laps.
    """

    def energy(self) -> float:
        position, speed = self.state
        return car_energy(position, speed, self.goal_position)


class Acrobot(Laps, AcrobotEnv):
    """Observation (6,): cos and sin of both joint angles, both angular speeds. Action: torque -1, 0 or +1 on joint two.

    500 steps, as in Gymnasium: time for about five good laps. Reward: see Laps; the energy is that of Gymnasium's links
    (mass 1, length 1, moment of inertia 1, gravity 9.8).
    """

    def energy(self) -> float:
        assert self.state is not None
        first, second, speed, second_speed = (float(value) for value in self.state)
        bend = math.cos(second)
        kinetic = (3.5 + bend) * speed**2 / 2 + (1.25 + bend / 2) * speed * second_speed + 1.25 * second_speed**2 / 2
        potential = -9.8 * (1.5 * math.cos(first) + 0.5 * math.cos(first + second))
        return (kinetic + potential - REST) / NEEDED
