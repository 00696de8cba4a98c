import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from prefrl.bench.statistics import (
    area_under_curve,
    bootstrap_band,
    bootstrap_interval,
    difference_in_iqm,
    failed_share,
    interquartile_mean,
    normalised_scores,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from prefrl.core.errors import NonFiniteError, UserError

scores_of_runs = arrays(
    float, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.floats(-100, 100, allow_subnormal=False)
)


def mean(table):
    return table.mean((-2, -1))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_iqm_by_hand():
    assert interquartile_mean(np.array([8, 1, 7, 2, 6, 3, 5, 4.0])) == 4.5  # the mean of 3, 4, 5, 6
    assert interquartile_mean(np.array([[-1000, 1, 2], [3, 4, 1000.0]])) == 2.5  # 6 runs: one off at each end
    assert interquartile_mean(np.array([1, 2, 6.0])) == 3  # nothing to cut off


@given(scores_of_runs)
def test_iqm_is_the_trimmed_mean_of_rliable(scores):
    assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None), abs=1e-9)


def test_probability_of_improvement_by_hand():
    first, second = np.array([1, 2, 3.0]), np.array([2, 2, 0.0])
    assert probability_of_improvement(first, second) == pytest.approx((1 + 2 + 3) / 9)  # 1>0; 2=2, 2=2, 2>0; all
    both = np.stack([first, first], 1), np.stack([second, second - 10], 1)
    assert probability_of_improvement(*both) == pytest.approx((6 / 9 + 1) / 2)  # the mean over environments


def test_probability_of_improvement_is_mann_whitney_u(rng):
    first, second = rng.normal(size=7), rng.normal(0.5, size=5)
    u = stats.mannwhitneyu(first, second).statistic
    assert probability_of_improvement(first, second) == pytest.approx(u / 35)


@given(scores_of_runs)
def test_improvement_over_oneself_is_a_coin_flip(scores):
    assert probability_of_improvement(scores, scores) == pytest.approx(0.5)


def test_bootstrap_by_hand(rng):
    """Of three runs 0, 0, 1 the sum of a resample is Binomial(3, 1/3): P(<= 1) = 20/27, P(<= 2) = 26/27 = .963."""
    runs = np.array([0, 0, 1.0])
    wide, narrow = (bootstrap_interval(mean, runs, rng=rng, level=level) for level in (0.95, 0.9))
    assert wide.estimate == narrow.estimate == pytest.approx(1 / 3)
    assert (wide.low, wide.high) == (0, 1)
    assert (narrow.low, narrow.high) == (0, pytest.approx(2 / 3))


def test_bootstrap_agrees_with_scipy(rng):
    runs = rng.normal(size=15)
    ours = bootstrap_interval(interquartile_mean, runs, rng=rng)
    theirs = stats.bootstrap(
        (runs,), lambda x, axis: stats.trim_mean(x, 0.25, axis=axis), method="percentile", n_resamples=10_000, rng=rng
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)  # width about 1


def test_seeds_are_drawn_within_their_environment(rng):
    easy_and_hard = np.tile([0.0, 10.0], (5, 1))  # no spread between seeds: mixing the columns would show one
    found = bootstrap_interval(mean, easy_and_hard, rng=rng, replicates=100)
    assert found.low == found.high == found.estimate == 5


def test_environments_are_resampled_independently(rng):
    mirrored = np.stack([np.arange(10.0), -np.arange(10.0)], 1)  # whole rows would cancel to 0 in every resample
    assert bootstrap_interval(mean, mirrored, rng=rng, replicates=200).high > 0.5


def test_intervals_of_comparisons(rng):
    good, bad = rng.normal(1, 0.1, (10, 2)), rng.normal(0, 0.1, (12, 2))
    chance = bootstrap_interval(probability_of_improvement, good, bad, rng=rng, replicates=500)
    gap = bootstrap_interval(difference_in_iqm, good, bad, rng=rng, replicates=500)
    assert chance.estimate == chance.low == 1 and chance.seeds == 10
    assert 0.8 < gap.low < gap.estimate < gap.high < 1.2


def test_the_same_generator_gives_the_same_interval():
    runs = np.random.default_rng(1).normal(size=(10, 3))
    once, again = (bootstrap_interval(interquartile_mean, runs, rng=np.random.default_rng(7)) for _ in range(2))
    assert once == again and once.seeds == 10


@pytest.mark.parametrize("seeds", [1, 2])
def test_two_seeds_have_no_interval(rng, seeds):
    found = bootstrap_interval(interquartile_mean, np.ones((seeds, 5)), rng=rng)
    assert found.estimate == 1 and np.isnan(found.low) and np.isnan(found.high) and found.seeds == seeds


def test_normalised_scores_are_not_clipped():
    found = normalised_scores(np.array([-1200, -150, -675, 0, -1300]), floor=-1200, ceiling=-150)
    np.testing.assert_allclose(found, [0, 1, 0.5, 1200 / 1050, -100 / 1050])


@pytest.mark.parametrize("ceiling", [-1200, -1300, np.nan])
def test_a_ceiling_below_the_floor_is_refused(ceiling):
    with pytest.raises(UserError, match="must lie above the floor -1200"):
        normalised_scores(np.zeros(3), -1200, ceiling)


def test_failed_runs_include_crashed_ones():
    assert failed_share(np.array([0.1, 0.3, 0.9, np.nan])) == 0.5
    assert np.isnan(failed_share(np.array([])))


def test_bad_scores_are_named(rng):
    with pytest.raises(NonFiniteError, match="1 of 3 scores are not finite"):
        bootstrap_interval(mean, np.array([1, np.nan, 2]), rng=rng)
    with pytest.raises(ValueError, match=r"\(seeds, environments\), got \(0,\)"):
        bootstrap_interval(mean, np.zeros(0), rng=rng)


def test_performance_profile_by_hand():
    scores = np.array([[0.0, 1.0], [0.5, 1.5]])
    np.testing.assert_allclose(performance_profile(scores, np.array([-1, 0, 0.7, 1.5])), [1, 0.75, 0.5, 0])


def test_optimality_gap_by_hand():
    assert optimality_gap(np.array([[0.0, 0.5], [1.0, 3.0]])) == pytest.approx(1 - 2.5 / 4)  # above 1 is no more than 1


def test_area_is_the_mean_height_over_doublings():
    area = area_under_curve([100, 200, 800])
    flat, steps = [np.full((4, 1), 0.7)] * 3, [np.full((4, 1), height) for height in (0.0, 1.0, 1.0)]
    assert area(*flat) == pytest.approx(0.7)
    assert area(*steps) == pytest.approx((0.5 * 1 + 1.0 * 2) / 3)
    with pytest.raises(ValueError, match="two budgets or more that rise"):
        area_under_curve([100])


def test_a_band_is_an_interval_at_every_place(rng):
    scores, at = rng.normal(size=(12, 2)), np.array([-1.0, 0.0, 1.0])
    height, low, high = bootstrap_band(lambda tables: performance_profile(tables, at), scores, rng=rng)
    assert (low <= height).all() and (height <= high).all() and (high > low).all()
    np.testing.assert_allclose(height, performance_profile(scores, at))


def test_all_measures_are_those_of_rliable():
    """rliable.metrics 1.2.0 gave these numbers for these scores. (It cannot be imported beside pandas 3.)"""
    scores, others = np.random.default_rng(0).normal(size=(10, 3)), np.random.default_rng(1).normal(0.3, 1, (8, 3))
    assert interquartile_mean(scores) == pytest.approx(-0.14516161252622858)
    assert optimality_gap(scores) == pytest.approx(1.1452523959293939)
    assert probability_of_improvement(scores, others) == pytest.approx(0.2791666666666666)
