import numpy as np
import pytest

from prefrl.rewards.controls import ConstantReward, RandomReward, TrueReward


@pytest.fixture
def rollout(answered, steps):
    return steps(answered(100))


def test_true_and_constant_rewards_are_what_they_say(rollout):
    assert TrueReward(raw=True).rewards(rollout) is rollout.true_rewards
    assert (ConstantReward(-2.0).rewards(rollout) == np.full((200, 8), -2.0)).all()


def test_the_scaled_true_reward_has_the_spread_of_a_learned_one_and_keeps_its_zero(rollout, answered, steps):
    control = TrueReward()
    rewards = control.rewards(rollout)
    assert rewards.std() == pytest.approx(1) and np.allclose(
        rewards / rewards.max(), rollout.true_rewards / rollout.true_rewards.max()
    )
    other = steps(answered(30, seed=5))
    resumed = TrueReward()
    resumed.restore({}, control.state())
    assert np.array_equal(resumed.rewards(other), control.rewards(other))


def test_random_rewards_are_standardised_over_the_first_rollout_and_then_stay(rollout, make_model, answered, steps):
    control = make_model(make=RandomReward)
    rewards = control.rewards(rollout)
    assert rewards.mean() == pytest.approx(0, abs=1e-3) and rewards.std() == pytest.approx(1, abs=0.01)
    control.rewards(steps(answered(30, seed=5)))
    assert np.array_equal(control.rewards(rollout), rewards)


@pytest.mark.parametrize("control", [TrueReward(), ConstantReward(1.0)])
def test_controls_ask_and_learn_nothing(control, answered):
    assert control.member_rewards(answered(3).segments) is None
    control.hear(answered(3))
    assert not control.due()
