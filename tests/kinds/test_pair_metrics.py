import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.core.errors import NonFiniteError
from prefrl.kinds.pair_metrics import preference_metrics

ANSWERS = [1.0, 1.0, 0.0, 0.0, 0.5, np.nan]
PREDICTIONS = [0.9, 0.5, 0.2, 0.7, 0.6, 0.4]

# multiples of 1/64, so that 1 - P is exact
told_pairs = st.lists(
    st.tuples(st.integers(1, 63).map(lambda k: k / 64), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1
)


def metrics(predicted, preferences):
    return preference_metrics(np.array(predicted), np.array(preferences))


def test_values_worked_out_by_hand():
    found = metrics(PREDICTIONS, ANSWERS)
    assert found["pairs"] == 6
    assert found["tie_share"] == found["skip_share"] == pytest.approx(1 / 6)
    assert found["accuracy"] == pytest.approx(2.5 / 4)  # right, half right, right, wrong
    assert found["precision"] == pytest.approx(1.5 / 2.5)  # said first: 1 + .5 + 0 + 1
    assert found["recall"] == pytest.approx(1.5 / 2)
    assert found["f1"] == pytest.approx(3 / 4.5)
    assert found["three_way_accuracy"] == pytest.approx(3 / 5)  # .9 first, .2 second, .6 equal; .5 and .7 say equal
    assert found["brier"] == pytest.approx((0.01 + 0.25 + 0.04 + 0.49 + 0.01) / 5)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.5, 0.8, 0.3]).sum() / 5 - 0.5 * np.log(0.6 * 0.4) / 5)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.5 + 0.2 + 0.7 + 0.1) / 5)  # each in its own bin


def test_the_calibration_error_by_hand():
    found = metrics(
        [0.0, 0.04, 0.31, 1.0, 0.5], [0, 1, 0.5, 1, np.nan]
    )  # two in the first bin, one in the fourth and last
    assert found["calibration_error"] == pytest.approx((2 * (0.5 - 0.02) + (0.5 - 0.31) + 0) / 4)


def test_calibrated_predictions_have_a_small_calibration_error():
    rng = np.random.default_rng(0)
    chance = rng.random(20_000)
    answers = (rng.random(20_000) < chance).astype(float)
    assert preference_metrics(chance, answers)["calibration_error"] < 0.015  # 10 bins, sd of each about .008
    assert preference_metrics(chance**3, answers)["calibration_error"] > 0.2  # the mean of p - p^3 is .25


def test_perfect_predictions_are_perfect():
    found = metrics([1, 0, 0.5], [1, 0, 0.5])
    assert found["accuracy"] == found["three_way_accuracy"] == found["f1"] == 1
    assert found["brier"] == found["calibration_error"] == 0
    assert found["log_loss"] == pytest.approx(np.log(2) / 3, abs=1e-6)  # a tie is uncertain by itself


def test_one_certain_mistake_costs_a_finite_log_loss():
    assert metrics([0.0], [1.0])["log_loss"] == pytest.approx(16.118, abs=1e-3)


def test_a_constant_reward_scores_half():
    found = metrics(np.full(10, 0.5), [1] * 5 + [0] * 5)
    assert found["accuracy"] == found["precision"] == 0.5
    assert found["brier"] == 0.25 and found["log_loss"] == pytest.approx(np.log(2))


@pytest.mark.parametrize("answers", [[], [np.nan, np.nan]])
def test_without_answers_every_metric_is_undefined(answers):
    found = metrics(np.full(len(answers), 0.5), np.array(answers, float))
    known = {"pairs", "tie_share", "skip_share"} if answers else {"pairs"}
    assert {name for name, value in found.items() if not np.isnan(value)} == known


def test_ties_alone_leave_decisions_undefined_and_probabilities_defined():
    found = metrics([0.5, 0.7], [0.5, 0.5])
    assert all(np.isnan(found[name]) for name in ("accuracy", "precision", "recall", "f1"))
    assert found["brier"] == pytest.approx(0.02) and found["tie_share"] == 1


def test_never_saying_first_leaves_precision_undefined():
    found = metrics([0.1, 0.2], [1, 0])
    assert np.isnan(found["precision"]) and found["recall"] == 0 and found["f1"] == 0


@given(told_pairs)
def test_swapping_the_sides_changes_no_symmetric_metric(pairs):
    predicted, preferences = np.array(pairs).T
    here, there = metrics(predicted, preferences), metrics(1 - predicted, 1 - preferences)
    names = ["accuracy", "three_way_accuracy", "brier", "log_loss", "tie_share"]
    names += [] if 0.5 in predicted else ["calibration_error"]  # .5 is an edge: of ten bins none lies in the middle
    for name in names:
        assert here[name] == pytest.approx(there[name], abs=1e-9, nan_ok=True)


@given(told_pairs)
def test_skips_change_nothing_but_their_share(pairs):
    predicted, preferences = np.array(pairs).T
    alone, skipped = metrics(predicted, preferences), metrics([*predicted, 0.9], [*preferences, np.nan])
    for name in set(alone) - {"pairs", "tie_share", "skip_share"}:
        assert alone[name] == pytest.approx(skipped[name], nan_ok=True)


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"one shape \(N,\), got \(2,\) and \(3,\)"):
        metrics([0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match=r"predicted preferences are probabilities in \[0, 1\], got 3"):
        metrics([3.0], [1.0])
    with pytest.raises(ValueError, match="answered preferences .* got -1"):
        metrics([0.5], [-1.0])
    with pytest.raises(NonFiniteError, match="1 of 2 predicted preferences .* at pair 1"):
        metrics([0.5, np.nan], [1, 0])
