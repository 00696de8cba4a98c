"""Acrobot of fixed length: swing the tip above the line, fall back to rest, swing up again."""

import math

from gymnasium.envs.classic_control.acrobot import AcrobotEnv

from envs.laps import Laps

REST = -19.6  # [J] both links hanging, motionless
NEEDED = 24.5  # [J] the least energy above rest with which the tip can touch the line: first link level, second upright


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
