import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.core.errors import UserError
from prefrl.kinds import KINDS, Perceived
from prefrl.kinds.pair import choose, flip, skip, tie

PAIR = KINDS["pair"]
gaps, shares = st.floats(-1e4, 1e4), st.sampled_from([0.0, 0.1, 0.5])


def rewards(gap: torch.Tensor) -> torch.Tensor:
    """Segments of one step, of which the first earns the gap: (N,) -> (N, 2, 1)"""
    return torch.stack([gap, torch.zeros_like(gap)], -1)[..., None]


def costs(gap: torch.Tensor, preference: torch.Tensor, error: float) -> torch.Tensor:
    """(N,), (N,) -> (N,)"""
    return PAIR.loss(rewards(gap), {"preference": preference}, error)


def loss(gap: float, preference: float, error: float) -> float:
    """In double precision."""
    return costs(torch.tensor([gap]).double(), torch.tensor([preference]).double(), error).item()


def first_preferred(gap: list[float], error: float = 0.1) -> torch.Tensor:
    chances = PAIR.predict(rewards(torch.tensor(gap)), error)
    assert torch.allclose(chances.sum(-1), torch.ones(len(gap)))
    return chances[..., 0]


@given(st.floats(0, 1), shares)
def test_equal_segments_cost_log_two(preference, error):
    assert loss(0.0, preference, error) == pytest.approx(math.log(2))


@given(gaps, st.floats(0, 1), shares)
def test_mirrored_questions_cost_the_same(gap, preference, error):
    assert loss(gap, preference, error) == pytest.approx(loss(-gap, 1 - preference, error), abs=1e-9)


@pytest.mark.parametrize("gap, chosen", [(0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25), (math.log(9), 0.9)])
def test_odds_are_the_exponential_of_the_gap(gap, chosen):
    assert first_preferred([gap], 0).item() == pytest.approx(chosen)


def test_a_tenth_of_answers_are_coin_flips():
    """P' = .9 P + .05 (Ibarz et al. 2018)"""
    assert first_preferred([math.log(3)]).item() == pytest.approx(0.9 * 0.75 + 0.05)
    assert first_preferred([-1e4, 1e4]).tolist() == pytest.approx([0.05, 0.95])


@pytest.mark.parametrize(
    "preference, error, cost",
    [
        (1.0, 0.0, -math.log(0.75)),
        (0.0, 0.0, -math.log(0.25)),
        (0.5, 0.0, -0.5 * math.log(0.75 * 0.25)),
        (1.0, 0.1, -math.log(0.725)),
        (0.0, 0.1, -math.log(0.275)),
        (0.8, 0.1, -0.8 * math.log(0.725) - 0.2 * math.log(0.275)),
    ],
)
def test_costs_worked_out_by_hand(preference, error, cost):
    assert loss(math.log(3), preference, error) == pytest.approx(cost)


@pytest.mark.parametrize("error", [0.0, 0.1])
@pytest.mark.parametrize("preference", [0.0, 0.5, 1.0])
def test_enormous_gaps_stay_finite(preference, error):
    gap = torch.tensor([-1e4, 1e4], requires_grad=True)
    cost = costs(gap, torch.full((2,), preference), error)
    cost.sum().backward()
    assert torch.isfinite(cost).all() and torch.isfinite(gap.grad).all()


def test_a_wrong_and_certain_prediction_costs_its_gap_or_what_a_coin_flip_allows():
    assert loss(1e4, 0.0, 0.0) == pytest.approx(1e4)
    assert loss(1e4, 0.0, 0.1) == pytest.approx(-math.log(0.05))


@given(st.floats(-20, 20), st.sampled_from([0.0, 0.1]))
def test_learning_moves_the_prediction_towards_the_answer(gap, error):
    for preference, direction in ((1.0, -1), (0.0, 1)):
        at = torch.tensor([gap], dtype=torch.float64, requires_grad=True)
        costs(at, torch.tensor([preference]).double(), error).sum().backward()
        assert at.grad.item() * direction > 0


@given(st.floats(0.06, 0.94), st.sampled_from([0.0, 0.1]))
def test_soft_answers_are_cheapest_where_they_are_predicted(preference, error):
    chosen = (preference - error / 2) / (1 - error)
    best = math.log(chosen / (1 - chosen))
    assert loss(best, preference, error) <= min(
        loss(best + 0.01, preference, error), loss(best - 0.01, preference, error)
    )


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_mistake_turns_answers_but_neither_ties_nor_skips(rng):
    turned = flip(np.array([1.0, 0.0, 0.5, np.nan]), 1.0, rng)
    assert np.array_equal(turned, [0.0, 1.0, 0.5, np.nan], equal_nan=True)


def test_without_mistakes_nothing_turns(rng):
    assert flip(np.ones(1000), 0.0, rng).all()


def test_margins_are_strict():
    assert tie(np.ones(3), np.array([-1.0, 0.9, 1.0]), 1.0).tolist() == [1.0, 0.5, 1.0]
    skipped = skip(np.ones(2), np.array([[0.0, 1.0], [0.0, 0.9]]), 1.0)
    assert np.isnan(skipped).tolist() == [False, True]


def test_an_enormous_gap_does_not_overflow(rng):
    assert choose(np.array([1e6, -1e6]), 1e3, rng).tolist() == [1.0, 0.0]


def test_the_oracle_ties_skips_and_errs_in_this_order(rng):
    returns = np.array([[5.0, 1.0], [3.0, 2.5], [0.0, 0.4]])
    seen = Perceived(returns[..., None], returns, returns, returns, 1.0, 0.5, 1.0, math.inf, 1.0)
    assert PAIR.oracle(seen, rng) == [{"preference": 0.0}, {"preference": 0.5}, None]


def test_numbers_and_answers_are_read_alike():
    said = [{"preference": 1.0}, None, {"preference": 0.25}]
    assert PAIR.read([1, math.nan, 0.25], 3) == PAIR.read(said, 3) == PAIR.read(np.array([1, np.nan, 0.25]), 3) == said
    assert PAIR.read([None, 1.0], 2) == [None, said[0]]
    with pytest.raises(UserError, match="preference: Input should be less than or equal to 1"):
        PAIR.read([{"preference": 2.0}], 1)


def test_the_chances_that_questions_are_ranked_by_are_those_of_the_first_release():
    from scipy.special import expit

    gap = np.random.default_rng(0).normal(0, 3, 10_000).astype(np.float32)
    chances = PAIR.predict(rewards(torch.from_numpy(gap))).numpy()
    assert np.array_equal(chances[:, 0], expit(gap)) and np.array_equal(chances[:, 1], 1 - expit(gap))
