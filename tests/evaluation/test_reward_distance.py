import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.core.errors import NonFiniteError
from prefrl.evaluation import reward_distance
from prefrl.evaluation.reward_distance import (
    TRUE_REWARDS,
    canonical,
    epic,
    pearson,
    pearson_distance,
    reward_agreement,
    spearman,
)

STATES, ACTIONS, GAMMA = 40, 5, 0.9


def tabular(table):
    """A reward function from a table (STATES, ACTIONS, STATES)"""
    return lambda states, actions, next_states: table[states, actions, next_states]


def shaping(potential, gamma=GAMMA):
    return gamma * potential[None, None, :] - potential[:, None, None]


def tabular_epic(first, second, samples=256):
    rng = np.random.default_rng(0)
    every = np.indices((STATES, ACTIONS, STATES)).reshape(3, -1)  # 8,000 transitions
    some = every[:, rng.choice(every.shape[1], 2000, replace=False)]
    return epic(tabular(first), tabular(second), *some, rng=rng, gamma=GAMMA, samples=samples)


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(1).normal(size=(STATES, ACTIONS, STATES))


@pytest.fixture(scope="module")
def other():
    return np.random.default_rng(2).normal(size=(STATES, ACTIONS, STATES))


@pytest.fixture(scope="module")
def potential():
    return np.random.default_rng(3).normal(scale=2, size=STATES)


def test_epic_ignores_scale_shift_and_shaping(table, potential):
    assert tabular_epic(table, 3.7 * (table + shaping(potential)) + 2) == pytest.approx(0, abs=1e-12)


def test_epic_of_the_opposite_is_one(table):
    assert tabular_epic(table, -table) == pytest.approx(1)


def test_epic_of_an_independent_reward_is_the_root_of_a_half(table, other):
    assert tabular_epic(table, other) == pytest.approx(np.sqrt(0.5), abs=0.03)


def test_epic_of_a_mixture(table, other):
    assert tabular_epic(table, table + other) == pytest.approx(0.383, abs=0.02)  # correlation 1 / sqrt(2)


def test_the_pearson_distance_takes_shaping_for_a_difference(table, potential):
    assert pearson_distance(table, table + shaping(potential)) > 0.3


def test_the_canonical_form_of_a_constant_and_of_shaping_is_zero(potential):
    rng = np.random.default_rng(0)
    transitions, coverage = rng.integers(ACTIONS, size=(3, 100)), rng.integers(ACTIONS, size=(2, 7))
    values, _ = canonical(tabular(shaping(potential)[:, [0] * ACTIONS] + 3), tuple(transitions), tuple(coverage), GAMMA)
    np.testing.assert_allclose(values, 0, atol=1e-12)


@given(st.floats(0.01, 100), st.floats(-10, 10), st.integers(0, 2**32 - 1), st.integers(1, 20))
@settings(max_examples=25)
def test_epic_invariances_hold_for_any_number_of_samples(scale, shift, seed, samples):
    rng = np.random.default_rng(seed)
    table, other = rng.normal(size=(2, STATES, ACTIONS, STATES))
    copy = scale * (table + shaping(rng.normal(size=STATES))) + shift
    assert tabular_epic(table, copy, samples) == pytest.approx(0, abs=1e-9)
    assert tabular_epic(other, copy, samples) == pytest.approx(tabular_epic(other, table, samples), abs=1e-9)
    assert tabular_epic(copy, other, samples) == pytest.approx(tabular_epic(other, copy, samples))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_constant_reward_has_no_distance(table, potential, kind):
    constant = np.full_like(table, 0.1).astype(kind)
    assert np.isnan(tabular_epic(table, constant))
    assert np.isnan(tabular_epic(constant + shaping(potential).astype(kind), table))  # shaping alone is a constant too
    assert np.isnan(pearson(table, constant)) and np.isnan(spearman(constant, table))
    assert np.isnan(pearson_distance(constant, constant))


def test_a_large_shift_is_not_taken_for_a_constant(table):
    assert tabular_epic(table, 1e6 + table) == pytest.approx(0, abs=1e-6)


def test_batches_change_nothing(table, other, monkeypatch):
    whole = tabular_epic(table, other)
    monkeypatch.setattr(reward_distance, "LARGEST_BATCH", 1000)
    assert tabular_epic(table, other) == pytest.approx(whole, abs=1e-12)


def test_correlations_by_hand():
    a, b = np.array([1, 2, 3, 4.0]), np.array([1, 3, 2, 4.0])
    assert pearson(a, b) == pytest.approx(0.8)
    assert spearman(a, np.exp(b * 5)) == pytest.approx(0.8)  # ranks only
    assert pearson_distance(a, b) == pytest.approx(np.sqrt(0.1))
    assert pearson_distance(a, 3 * a + 5) == 0 and pearson_distance(a, -a) == 1
    assert spearman(np.array([1, 1, 2.0]), np.array([1, 2, 3.0])) == pytest.approx(np.sqrt(3) / 2)  # ranks 1.5 1.5 3


def test_agreement_of_steps_and_of_segments_differs():
    true = np.array([[1, 2], [3, 4], [5, 6.0]])
    swapped = true[:, ::-1]  # the same returns, earned in another order
    found = reward_agreement(swapped, true)
    assert found["segment_pearson"] == pytest.approx(1) and found["segment_spearman"] == pytest.approx(1)
    assert found["segment_pearson_distance"] == 0
    assert found["step_pearson"] == pytest.approx(29 / 35)
    assert found["step_spearman"] == pytest.approx(29 / 35)
    with pytest.raises(ValueError, match=r"\(N, T\), got \(6,\) and \(3, 2\)"):
        reward_agreement(true.ravel(), true)


def test_a_column_of_rewards_is_refused(table):
    with pytest.raises(ValueError, match=r"must return shape \(2000,\) for as many steps, got \(2000, 1\)"):
        tabular_epic(table[..., None], table)


def test_infinite_rewards_are_named(table):
    broken = table.copy()
    broken[:, :, 0] = np.inf
    with pytest.raises(NonFiniteError, match="non-finite values for 2000 steps"):
        tabular_epic(table, broken)


def roll_out(env_id, steps, seed=0, **options):
    """Transitions of a random policy whose actions also leave the bounds: observations, actions, next ones, rewards."""
    env, rng = gym.make(env_id, **options), np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        action = (rng.uniform(-1.5, 1.5, env.action_space.shape) * env.action_space.high).astype(np.float32)
        after, reward, terminated, truncated, _ = env.step(action)
        rows.append((observation, action, after, reward))
        observation = env.reset()[0] if terminated or truncated else after
    env.close()
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@pytest.mark.parametrize("env_id", sorted(TRUE_REWARDS))
def test_true_rewards_are_those_of_the_environment(env_id):
    *transitions, rewards = roll_out(env_id, 500)
    np.testing.assert_allclose(TRUE_REWARDS[env_id](*transitions), rewards, rtol=1e-5, atol=1e-5)


def test_the_reward_of_reaching_the_flag():
    env = gym.make("MountainCarContinuous-v0").unwrapped
    env.reset(seed=0)
    env.state = before = np.array([0.44, 0.03], np.float32)
    action = np.array([0.5], np.float32)
    after, reward, terminated, *_ = env.step(action)
    assert terminated
    assert TRUE_REWARDS["MountainCarContinuous-v0"](before[None], action[None], after[None]) == pytest.approx([reward])


@pytest.fixture(scope="module")
def pendulum():
    """2,000 transitions from states and torques drawn uniformly."""
    rng = np.random.default_rng(0)
    angle, speed, torque = rng.uniform(-np.pi, np.pi, 2000), rng.uniform(-8, 8, 2000), rng.uniform(-2, 2, 2000)
    faster = np.clip(speed + (15 * np.sin(angle) + 3 * torque) * 0.05, -8, 8)
    moved = angle + faster * 0.05
    observations, after = (np.stack([np.cos(x), np.sin(x), v], 1) for x, v in ((angle, speed), (moved, faster)))
    return observations, torque[:, None], after


def angle_only(observations, actions, next_observations):
    return -(np.arctan2(observations[:, 1], observations[:, 0]) ** 2)


def cosine(observations, actions, next_observations):
    return observations[:, 0]


@pytest.mark.parametrize(
    ("candidate", "expected"), [(angle_only, 0.286), (cosine, 0.315)], ids=["angle term only", "cos(theta)"]
)
def test_imperfect_pendulum_rewards_lie_in_between(pendulum, candidate, expected):
    found = epic(TRUE_REWARDS["Pendulum-v1"], candidate, *pendulum, rng=np.random.default_rng(0), gamma=0.99)
    assert found == pytest.approx(expected, abs=0.02)


def test_shaping_a_continuous_reward_costs_nothing_in_epic(pendulum):
    true = TRUE_REWARDS["Pendulum-v1"]

    def shaped(observations, actions, next_observations):
        gain = 0.99 * next_observations[:, 0] - observations[:, 0]
        return true(observations, actions, next_observations) + 5 * gain

    assert epic(true, shaped, *pendulum, rng=np.random.default_rng(0), gamma=0.99) == pytest.approx(0, abs=1e-6)


@given(st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=30), st.integers(0, 1000))
def test_the_rank_correlation_is_scipys(values, seed):
    from scipy.stats import spearmanr

    a, b = np.array(values), np.random.default_rng(seed).integers(-2, 3, len(values)).astype(float)
    if np.ptp(a) and np.ptp(b):
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
