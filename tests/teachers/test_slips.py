import numpy as np
import pytest

from prefrl.teachers import slips


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_mistake_turns_answers_but_neither_ties_nor_skips(rng):
    turned = slips.flip(np.array([1.0, 0.0, 0.5, np.nan]), 1.0, rng)
    assert np.array_equal(turned, [0.0, 1.0, 0.5, np.nan], equal_nan=True)


def test_without_mistakes_nothing_turns(rng):
    assert slips.flip(np.ones(1000), 0.0, rng).all()


def test_margins_are_strict():
    assert slips.tie(np.ones(3), np.array([-1.0, 0.9, 1.0]), 1.0).tolist() == [1.0, 0.5, 1.0]
    skipped = slips.skip(np.ones(2), np.array([[0.0, 1.0], [0.0, 0.9]]), 1.0)
    assert np.isnan(skipped).tolist() == [False, True]


def test_felt_returns_by_hand():
    assert slips.felt_returns(np.array([[4.0, 2.0, 1.0]]), 0.5).tolist() == [3.0]
    assert slips.felt_returns(np.array([[4.0, 2.0, 1.0]]), 1.0).tolist() == [7.0]


def test_enormous_gaps_do_not_overflow(rng):
    assert slips.choose(np.array([1e6, -1e6]), 1e3, rng).tolist() == [1.0, 0.0]
