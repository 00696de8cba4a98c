"""Reach the goal as often as the time allows: what MountainCar and Acrobot share.

Both ask for the same thing: pump energy into a swing until it reaches a goal. Gymnasium rewards every step alike and
then ends the episode, so segments tie and the ending teaches. Here a step earns the energy that the action put in, and
a reached goal earns one and starts the next lap inside the episode.

Why energy *gained* rather than held, or height: it is a difference of potentials (Ng, Harada, Russell 1999), so it adds
up to the same for every way to the goal, and swinging below the goal for ever earns nothing. Energy beyond what the
goal takes does not count, so a lap is worth two at most and an episode's return is about twice its laps. Why the next
lap rather than a rest at the goal: a rest fills most of the episode with steps that all look alike.
"""

from typing import Any

import numpy as np

GOAL_REWARD = 1.0  # as much again as all the energy that a lap needs


class Laps:
    """Mixed in before a Gymnasium class whose `terminated` means "goal reached". The class supplies `energy`.

    Reward: energy gained in this step (up to 1.0 = what the goal takes from rest), plus one at the goal. So a step
    against the motion costs. `info["reached"]` says when the goal was; the observation then starts the next lap.
    """

    def energy(self) -> float:
        """Mechanical energy now: 0 at rest, 1 is just enough for the goal, more is possible."""
        raise NotImplementedError

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        before = min(self.energy(), 1.0)
        observation, _, reached, _, _ = super().step(action)  # type: ignore[misc]
        reward = min(self.energy(), 1.0) - before
        if reached:
            reward += GOAL_REWARD
            observation, _ = super().reset()  # type: ignore[misc]  # draws from np_random: the seed still decides
        return observation, float(reward), False, False, {"reached": reached}
