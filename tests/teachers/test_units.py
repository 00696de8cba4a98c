import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.teachers import make_teacher
from prefrl.teachers.units import BPrefCodeUnits, BPrefUnits, Spread

NOTHING = np.zeros((0, 2))


def walker():
    return 800.0, 1000.0  # mean return, steps per episode: segments of 50 steps return 40


def test_the_published_margin_is_a_share_of_the_average_segment_return():
    measures = BPrefUnits(walker).measures(0.1, 0.2, NOTHING, NOTHING, length=50)
    assert (measures.skip, measures.equal, measures.gap) == pytest.approx((4.0, 8.0, 1.0))


@given(st.floats(0.01, 1.0), st.integers(1, 100))
def test_the_released_code_applies_the_share_twice_after_the_first_session(eps, length):
    paper, code = BPrefUnits(walker), BPrefCodeUnits(walker)
    published, first, second = (u.measures(eps, eps, NOTHING, NOTHING, length) for u in (paper, code, code))
    assert first == published
    assert (second.skip, second.equal) == pytest.approx((eps * published.skip, eps * published.equal))


def test_published_margins_are_the_measured_ones(preferences, ask):
    rewards = np.random.default_rng(0).uniform(0, 0.2, (5000, 2, 50))  # returns 5 +- .4
    queries, returns = ask(rewards), rewards.sum(-1)
    teacher = make_teacher(
        "oracle", skip=0.12, equal=0.01, units="bpref", rng=np.random.default_rng(0), recent_return=walker
    )
    answers = preferences(teacher(queries))
    poor = returns.max(-1) < 0.12 * 40
    assert 0 < poor.mean() < 1
    assert np.array_equal(np.isnan(answers), poor)
    assert np.array_equal(answers[~poor] == 0.5, (np.abs(returns[:, 0] - returns[:, 1]) < 0.4)[~poor])


def pendulum(ask, units, **slips):
    """Answers about pendulum-like segments: returns of -300, of -1200 an episode."""
    queries = ask(np.random.default_rng(0).uniform(-12, 0, (1000, 2, 50)))
    teacher = make_teacher(
        "oracle", units=units, rng=np.random.default_rng(0), recent_return=lambda: (-1200.0, 200.0), **slips
    )
    return np.array([np.nan if answer is None else answer["preference"] for answer in teacher(queries)])


def test_with_negative_returns_the_published_skip_margin_skips_all_and_the_code_none(ask):
    with pytest.warns(UserWarning, match="recent return is negative.*use units='task'"):
        assert np.isnan(pendulum(ask, "bpref", skip=0.1)).all()
    with pytest.warns(UserWarning, match="use units='task'"):
        assert not np.isnan(pendulum(ask, "bpref-code", skip=0.1)).any()
    assert np.isnan(pendulum(ask, "task", skip=0.1)).mean() == pytest.approx(0.1, abs=0.04)


def test_without_slips_the_published_units_never_skip_whatever_the_sign(ask):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isnan(pendulum(ask, "bpref")).any()


def test_before_the_first_episode_ends_the_published_teacher_neither_skips_nor_ties(ask):
    teacher = make_teacher(
        "skip", equal=0.1, units="bpref", rng=np.random.default_rng(0), recent_return=lambda: (float("nan"), 200.0)
    )
    assert teacher(ask([[[0.0], [0.1]]])) == [{"preference": 0.0}]


def test_rounding_is_no_spread():
    spread = Spread()
    spread.add(np.array([0.1 + 0.2, 0.3] * 50))
    assert spread.squares > 0 and spread.size == 0.0


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=5), max_size=6))
def test_the_spread_of_batches_is_that_of_all_their_numbers(batches):
    spread, together = Spread(), np.array([x for batch in batches for x in batch])
    for batch in batches:
        spread.add(np.array(batch))
    assert spread.count == len(together)
    if len(together) > 1:
        assert spread.mean == pytest.approx(together.mean(), abs=1e-6)
        assert spread.size == pytest.approx(together.std(ddof=1), rel=1e-6, abs=1e-5)
