import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.core.data import Feedback
from prefrl.rewards.fits.bootstrap import L2_LEAST, L2_MOST, PASS, draw


def learn(model, answers: Feedback, step: int = 0):
    """Hear answers and fit to all so far. Returns the report."""
    model.hear(answers)
    return model.fit(step)


@pytest.fixture
def fitter(make_model):
    return make_model(l2=0.01).fitter


def test_overfitting_raises_l2_and_underfitting_lowers_it(fitter):
    """One member each: held-out loss 2, 1.3 and 1 times the training loss."""
    fitter._adapt_l2(np.array([0.5, 0.5, 0.5]), np.array([1.0, 0.65, 0.5]))
    assert fitter.l2 == pytest.approx([0.015, 0.01, 0.01 / 1.5])
    assert [group["weight_decay"] for group in fitter.optimiser.param_groups] == pytest.approx(fitter.l2)


def test_l2_has_a_ceiling(fitter):
    for _ in range(50):
        fitter._adapt_l2(np.full(3, 0.1), np.full(3, 1.0))
    assert fitter.l2 == [L2_MOST] * 3


def test_l2_has_a_floor_from_which_it_can_come_back(fitter):
    for _ in range(50):
        fitter._adapt_l2(np.full(3, 0.1), np.full(3, 0.1))
    assert fitter.l2 == [L2_LEAST] * 3


def test_without_held_out_answers_l2_stays(fitter):
    fitter._adapt_l2(np.full(3, 0.1), np.full(3, np.nan))
    assert fitter.l2 == [0.01] * 3


def test_a_member_that_drew_no_answer_keeps_its_l2(fitter):
    fitter._adapt_l2(np.zeros(3), np.ones(3))
    assert fitter.l2 == [0.01] * 3


def test_noise_raises_l2_and_sense_does_not(make_model, answered):
    answers, rng = answered(150), np.random.default_rng(0)
    sense, noise = make_model(patience=30), make_model(patience=30)
    learn(sense, answers)
    answers.answer["preference"][:] = rng.permutation(answers.answer["preference"])
    learn(noise, answers)
    assert np.mean(noise.fitter.l2) > 3 * np.mean(sense.fitter.l2)


def test_a_fit_stops_when_held_out_answers_no_longer_improve(make_model, answered):
    answers = answered(100)
    answers.answer["preference"][:] = np.random.default_rng(0).permutation(answers.answer["preference"])
    impatient = learn(make_model(first_epochs=200, patience=2), answers)
    patient = learn(make_model(first_epochs=200, patience=200), answers)
    assert impatient.epochs < 50 and patient.epochs == 200


def test_updates_are_counted_for_each_pair_and_member(make_model, answered):
    model = make_model(first_epochs=3)
    report = learn(model, answered(50))
    (drawn,) = model.fitter.splits(model.training_data())
    assert report.updates == 3 * sum(len(rows) for rows in drawn.train)


@given(known=st.integers(0, 300), new=st.integers(0, 300), seed=st.integers(0, 99))
def test_half_of_a_pass_is_for_answers_that_no_fit_has_seen(known, new, seed):
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(2 * (known + new))[: known + new])
    first = int(rows[known]) if new else 2 * (known + new)
    drawn = draw(rows, first, rng)
    fresh = int((drawn >= first).sum())
    assert len(set(drawn)) == len(drawn) == min(PASS, known + new) and set(drawn) <= set(rows)
    assert fresh >= min(new, PASS // 2) and len(drawn) - fresh >= min(known, PASS // 2)
