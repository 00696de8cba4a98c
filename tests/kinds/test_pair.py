import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefrl.kinds import _old as pair

gaps, shares = st.floats(-1e4, 1e4), st.sampled_from([0.0, 0.1, 0.5])


def loss(gap: float, preference: float, error: float) -> float:
    """In double precision."""
    return pair.loss(
        torch.tensor(gap, dtype=torch.float64), torch.tensor(preference, dtype=torch.float64), error
    ).item()


@given(st.floats(0, 1), shares)
def test_equal_segments_cost_log_two(preference, error):
    assert loss(0.0, preference, error) == pytest.approx(math.log(2))


@given(gaps, st.floats(0, 1), shares)
def test_mirrored_questions_cost_the_same(gap, preference, error):
    assert loss(gap, preference, error) == pytest.approx(loss(-gap, 1 - preference, error), abs=1e-9)


@pytest.mark.parametrize("gap, chosen", [(0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25), (math.log(9), 0.9)])
def test_odds_are_the_exponential_of_the_gap(gap, chosen):
    assert pair.probability(torch.tensor(gap), 0).item() == pytest.approx(chosen)


def test_a_tenth_of_answers_are_coin_flips():
    """P' = .9 P + .05 (Ibarz et al. 2018)"""
    assert pair.probability(torch.tensor(math.log(3))).item() == pytest.approx(0.9 * 0.75 + 0.05)
    assert pair.probability(torch.tensor([-1e4, 1e4])).tolist() == pytest.approx([0.05, 0.95])


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
    cost = pair.loss(gap, torch.full((2,), preference), error)
    cost.sum().backward()
    assert torch.isfinite(cost).all() and torch.isfinite(gap.grad).all()


def test_a_wrong_and_certain_prediction_costs_its_gap_or_what_a_coin_flip_allows():
    assert loss(1e4, 0.0, 0.0) == pytest.approx(1e4)
    assert loss(1e4, 0.0, 0.1) == pytest.approx(-math.log(0.05))


@given(st.floats(-20, 20), st.sampled_from([0.0, 0.1]))
def test_learning_moves_the_prediction_towards_the_answer(gap, error):
    for preference, direction in ((1.0, -1), (0.0, 1)):
        at = torch.tensor(gap, dtype=torch.float64, requires_grad=True)
        pair.loss(at, torch.tensor(preference).double(), error).backward()
        assert at.grad.item() * direction > 0


@given(st.floats(0.06, 0.94), st.sampled_from([0.0, 0.1]))
def test_soft_answers_are_cheapest_where_they_are_predicted(preference, error):
    chosen = (preference - error / 2) / (1 - error)
    best = math.log(chosen / (1 - chosen))
    assert loss(best, preference, error) <= min(
        loss(best + 0.01, preference, error), loss(best - 0.01, preference, error)
    )
