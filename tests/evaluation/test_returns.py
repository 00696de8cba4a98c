"""True returns of policies, also in environments that never end."""

import gymnasium as gym
import pytest

from prefrl.evaluation import returns
from prefrl.evaluation.returns import RandomPolicy, true_returns


class Endless(gym.Env):
    """Pays one for a step, and never ends."""

    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low, {}

    def step(self, action):
        return self.observation_space.low, 1.0, False, False, {}


def test_episodes_that_never_end_are_cut_and_it_is_said(monkeypatch):
    monkeypatch.setattr(returns, "LONGEST", 300)
    with pytest.warns(UserWarning, match="3 of 3 evaluation episodes did not end in 300 steps"):
        found = true_returns(RandomPolicy(Endless.action_space), Endless, 3)
    assert found.episodes == [300.0] * 3


@pytest.mark.filterwarnings("error")
def test_whole_episodes_are_played_where_there_is_an_end():
    def make():
        return gym.make("CartPole-v1")

    found = true_returns(RandomPolicy(gym.spaces.Discrete(2)), make, 12)
    assert len(found.episodes) == 12 and all(8 <= one <= 200 for one in found.episodes)
