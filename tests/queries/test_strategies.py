import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefrl.queries.strategies import (
    STRATEGIES,
    bald,
    binary_entropy,
    bpref_entropy,
    disagreement,
    entropy,
    first_better,
    volume,
)

SCORED = {name: strategy.score for name, strategy in STRATEGIES.items() if strategy.score}
RETURNS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(2)), elements=st.floats(-1e4, 1e4))


def sure_that(*probabilities):
    """Returns of one pair for which each member gives the first this probability: (E, 1, 2)"""
    odds = np.log(probabilities) - np.log1p(-np.array(probabilities))
    return np.stack([odds, np.zeros_like(odds)], axis=-1)[:, None]


def test_scores_by_hand():
    pair = sure_that(0.2, 0.8)
    assert first_better(pair)[:, 0] == pytest.approx([0.2, 0.8])
    assert disagreement(pair) == pytest.approx([0.3])
    assert bpref_entropy(pair) == pytest.approx([0.500402])  # -.2 ln .2 - .8 ln .8, for both members
    assert entropy(pair) == pytest.approx([np.log(2)])
    assert bald(pair) == pytest.approx([np.log(2) - 0.500402], abs=1e-6)
    assert volume(pair) == pytest.approx([0.5])  # 1 - (.25 + .25)


def test_members_who_all_shrug_are_entropic_but_teach_nothing():
    shrug, quarrel = sure_that(0.5, 0.5), sure_that(0.01, 0.99)
    assert bpref_entropy(shrug) > bpref_entropy(quarrel)
    assert entropy(shrug) == pytest.approx(entropy(quarrel))
    assert bald(shrug) == pytest.approx([0.0]) and bald(quarrel) > 0.6
    assert disagreement(shrug) == 0.0 and disagreement(quarrel) > 0.4


@given(RETURNS)
def test_no_score_cares_which_segment_is_shown_first(returns):
    for name, score in SCORED.items():
        assert score(returns) == pytest.approx(score(returns[..., ::-1]), abs=1e-9), name


@given(RETURNS)
def test_scores_are_finite_and_bounded_even_for_enormous_returns(returns):
    for name, score in SCORED.items():
        assert score(returns).shape == returns.shape[1:2], name
        assert np.all((score(returns) >= -1e-12) & (score(returns) <= np.log(2) + 1e-12)), name


def test_volume_removal_is_largest_for_the_least_predictable_pair():
    returns = np.concatenate([sure_that(0.5), sure_that(0.7), sure_that(0.99)], axis=1)
    assert np.argmax(volume(returns)) == 0
    mean = first_better(returns).mean(0)
    assert np.argmax(mean**2 + (1 - mean) ** 2) == 2  # what APReL maximises


@given(RETURNS)
def test_for_pairs_volume_ranks_as_entropy(returns):
    order = np.argsort(volume(returns), kind="stable")
    assert np.all(np.diff(entropy(returns)[order]) >= -1e-9)


def test_entropy_of_certainty_is_zero():
    assert binary_entropy(np.array([0.0, 1.0])).tolist() == [0.0, 0.0]


def test_every_strategy_describes_itself_in_a_line():
    for strategy in STRATEGIES.values():
        assert 10 < len(strategy.about) < 80 and "\n" not in strategy.about
