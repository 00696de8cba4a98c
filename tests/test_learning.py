"""Learning, end to end: few runs, quick ones, and margins of several measured spreads."""

import gymnasium as gym
import numpy as np
import pytest

pytestmark = pytest.mark.slow  # each trains several runs long enough to learn something

QUICK = {"steps": 16_384, "questions.budget": 100, "agent.n_steps": 128, "agent.n_epochs": 5, "reward.hidden": (32,),
         "reward.first_epochs": 60, "reward.epochs": 20, "record.evaluation_episodes": 10}  # fmt: skip


class Near(gym.Env):
    """Stay near a target that is to the left or to the right; shown is how far it is."""

    observation_space = gym.spaces.Box(-2, 2, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.far, self.age = self.np_random.uniform(-1.5, 1.5, 1).astype(np.float32), 0
        return self.far, {}

    def step(self, action):
        self.far, self.age = np.clip(self.far - 0.1 * action, -2, 2).astype(np.float32), self.age + 1
        return self.far, -float(abs(self.far[0])), False, self.age == 50, {}


def test_preferences_teach_what_shuffled_answers_do_not(short):
    """Seeds 1000 to 1003: learned -4.9, -5.4, -6.5, -6.7 (spread .9); shuffled -93, -30, -77, -84 (28); random play -42.

    So a learned return lies seven spreads above -12, and the mean gap of two seeds, 65, has a spread of 20.
    """
    seeds = (1000, 1002)
    learned = [short(Near, f"learned{seed}", seed=seed, **QUICK).true_return.mean for seed in seeds]
    shuffled = [
        short(Near, f"shuffled{seed}", seed=seed, **{**QUICK, "reward.source": "shuffled"}).true_return.mean
        for seed in seeds
    ]
    assert min(learned) > -12
    assert np.mean(learned) > np.mean(shuffled) + 5
