import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefrl.kinds import kind_of
from prefrl.queries.strategies import (
    STRATEGIES,
    bald,
    bpref_entropy,
    disagreement,
    entropy,
    entropy_of,
    mean_chances,
    volume,
)

SCORED = {name: strategy.score for name, strategy in STRATEGIES.items() if strategy.score}
RETURNS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5), st.just(2)), elements=st.floats(-1e4, 1e4))
CHANCES = RETURNS.map(lambda returns: kind_of("pair").predict(torch.from_numpy(returns)[..., None]).numpy())


def sure_that(*probabilities):
    """Chances of one pair of which each member gives the first this probability: (E, 1, 2)"""
    return np.stack([probabilities, 1 - np.array(probabilities)], axis=-1)[:, None]


def test_scores_by_hand():
    pair = sure_that(0.2, 0.8)
    assert disagreement(pair) == pytest.approx([0.3])
    assert bpref_entropy(pair) == pytest.approx([0.500402])  # -.2 ln .2 - .8 ln .8, for both members
    assert entropy(pair) == pytest.approx([np.log(2)])
    assert bald(pair) == pytest.approx([np.log(2) - 0.500402], abs=1e-6)
    assert volume(pair) == pytest.approx([0.5])  # 1 - (.25 + .25)


def test_scores_of_three_outcomes_by_hand():
    question = np.array([[[0.5, 0.5, 0.0]], [[0.5, 0.0, 0.5]]])  # two members
    assert mean_chances(question) == pytest.approx(np.array([[0.5, 0.25, 0.25]]))
    assert disagreement(question) == pytest.approx([np.sqrt((0 + 0.25**2 + 0.25**2) / 3)])
    assert entropy(question) == pytest.approx([1.5 * np.log(2)]) and bpref_entropy(question) == pytest.approx(
        [np.log(2)]
    )
    assert bald(question) == pytest.approx([0.5 * np.log(2)])
    assert volume(question) == pytest.approx([1 - 0.25 - 2 / 16])


def test_members_who_all_shrug_are_entropic_but_teach_nothing():
    shrug, quarrel = sure_that(0.5, 0.5), sure_that(0.01, 0.99)
    assert bpref_entropy(shrug) > bpref_entropy(quarrel)
    assert entropy(shrug) == pytest.approx(entropy(quarrel))
    assert bald(shrug) == pytest.approx([0.0]) and bald(quarrel) > 0.6
    assert disagreement(shrug) == 0.0 and disagreement(quarrel) > 0.4


@given(CHANCES)
def test_no_score_cares_which_segment_is_shown_first(chances):
    for name, score in SCORED.items():
        assert score(chances) == pytest.approx(score(chances[..., ::-1]), abs=1e-7), name


@given(CHANCES)
def test_scores_are_finite_and_bounded_even_for_enormous_returns(chances):
    for name, score in SCORED.items():
        assert score(chances).shape == chances.shape[1:2], name
        assert np.all((score(chances) >= -1e-12) & (score(chances) <= np.log(2) + 1e-12)), name


def test_volume_removal_is_largest_for_the_least_predictable_pair():
    chances = np.concatenate([sure_that(0.5), sure_that(0.7), sure_that(0.99)], axis=1)
    assert np.argmax(volume(chances)) == 0
    assert np.argmax(np.square(chances.mean(0)).sum(-1)) == 2  # what APReL maximises


@given(CHANCES)
def test_for_pairs_volume_ranks_as_entropy(chances):
    order = np.argsort(volume(chances), kind="stable")
    assert np.all(np.diff(entropy(chances)[order]) >= -1e-9)


def test_entropy_of_certainty_is_zero():
    assert entropy_of(np.array([[0.0, 1.0], [1.0, 0.0]])).tolist() == [0.0, 0.0]


def test_every_strategy_describes_itself_in_a_line():
    for strategy in STRATEGIES.values():
        assert 10 < len(strategy.about) < 80 and "\n" not in strategy.about
