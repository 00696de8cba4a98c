"""The kind `best`: its likelihood by numbers worked out by hand, its symmetry, and the error rates of its oracle."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import prefrl
from prefrl.core.errors import UserError
from prefrl.kinds import Perceived, inverse, kind_of

BEST = kind_of("best")
RETURNS = np.log([1.0, 2.0, 3.0, 4.0])  # chances of .1, .2, .3, .4


def rewards(*returns: float) -> torch.Tensor:
    """Of one question, each return spread over two steps: (1, 4, 2)"""
    return torch.tensor([[[each / 2, each / 2] for each in returns]], dtype=torch.float64)


def perceived(returns: np.ndarray, **slips: float) -> Perceived:
    perfect = {"unit": 1.0, "skip_below": -np.inf, "equal_within": 0.0, "beta": np.inf, "mistake": 0.0}
    return Perceived(returns[..., None], returns, returns, np.abs(returns), **{**perfect, **slips})


def answers(returns: np.ndarray, **slips: float) -> list[int | None]:
    said = BEST.oracle(perceived(returns, **slips), np.random.default_rng(0))
    return [answer and answer["best"] for answer in said]


@pytest.mark.parametrize("error, chances", [(0.0, [0.1, 0.2, 0.3, 0.4]), (0.2, [0.13, 0.21, 0.29, 0.37])])
def test_chances_are_a_softmax_of_returns_and_a_share_is_random(error, chances):
    assert BEST.predict(rewards(*RETURNS), error)[0].tolist() == pytest.approx(chances)
    for best, chance in enumerate(chances):
        loss = BEST.loss(rewards(*RETURNS), {"best": torch.tensor([best])}, error)
        assert loss.item() == pytest.approx(-np.log(chance))


def test_the_loss_has_leading_axes_and_stays_finite_at_any_gap():
    members = torch.stack([rewards(0, 0, 0, 1000), rewards(1, 2, 3, 4)]).requires_grad_()
    loss = BEST.loss(members, {"best": torch.tensor([0])}, 0.0)
    assert loss.shape == (2, 1) and loss[0].item() == pytest.approx(1000)
    loss.sum().backward()
    assert torch.isfinite(members.grad).all()


@given(st.permutations(range(4)), st.integers(0, 3))
def test_an_answer_is_about_the_same_segment_in_any_order(order, best):
    displayed = BEST.as_displayed({"best": best}, order)
    assert order[displayed["best"]] == best
    assert BEST.stored(displayed, order) == {"best": best} == BEST.reordered(displayed, inverse(inverse(order)))
    assert BEST.stored(None, order) is None


@pytest.mark.parametrize(
    "wrong", [{"best": 4}, {"best": -1}, {"best": 1.0}, {"best": True}, {}, {"best": 1, "x": 1}, 2]
)
def test_answers_out_of_bounds_are_refused(wrong):
    with pytest.raises(UserError, match="is no answer of kind 'best'"):
        BEST.checked(wrong)


# the oracle, on 20,000 questions: a share of p has a standard error of at most .0035

RANDOM = np.random.default_rng(1).normal(size=(20_000, 4))


def test_the_perfect_oracle_names_the_best_and_of_several_one_at_random():
    assert answers(RANDOM) == RANDOM.argmax(-1).tolist()
    tied = np.tile([0.3, 0.1 + 0.2, 0.0, -1.0], (20_000, 1))  # .1 + .2 is .3 but for rounding
    assert np.bincount(answers(tied), minlength=4) / 20_000 == pytest.approx([0.5, 0.5, 0, 0], abs=0.015)


def test_mistakes_are_as_frequent_as_set_and_spread_over_the_others():
    said = np.array(answers(np.tile([0.0, 3.0, 1.0, 2.0], (20_000, 1)), mistake=0.3))
    assert np.bincount(said, minlength=4) / 20_000 == pytest.approx([0.1, 0.7, 0.1, 0.1], abs=0.015)


def test_with_a_beta_it_chooses_by_a_softmax_in_its_unit():
    said = np.array(answers(np.tile(2 * RETURNS, (20_000, 1)), beta=1.0, unit=2.0))
    assert np.bincount(said) / 20_000 == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.015)


def test_it_cannot_tell_what_is_too_close_or_too_poor():
    close, poor = np.array([[0.0, 1.0, 1.4, -5.0]]), np.array([[-3.0, -2.0, -4.0, -9.0]])
    assert answers(close, equal_within=0.5) == [None] and answers(close, equal_within=0.4 - 1e-9) == [2]
    assert answers(poor, skip_below=-1.0) == [None] and answers(poor, skip_below=-2.5) == [1]


def test_each_question_draws_the_same_random_numbers_whatever_the_answers_before_it():
    other = RANDOM.copy()
    other[:10_000] = 0
    one, two = answers(RANDOM, beta=1.0, mistake=0.1), answers(other, beta=1.0, mistake=0.1, equal_within=1e-9)
    assert two[:10_000] == [None] * 10_000
    assert one[15_000:] == two[15_000:]


@pytest.mark.parametrize("network", ["mlp", "tanh_mlp"])
def test_a_run_learns_the_reward_from_it(short, network):
    settings = {"steps": 8192, "questions.budget": 40, "reward.first_epochs": 40, "reward.epochs": 20}
    done = short(**settings, **{"questions.kinds": ("best",), "reward.network": network})
    found = json.loads((done.folder / "result.json").read_text())
    assert found["asked"] == 40 and found["reward_model"]["step_pearson"] > 0.5
    with prefrl.LabelStore.open(done.folder) as store:
        [feedback] = store.feedback()
    assert feedback.kind == "best" and feedback.segments.true_rewards.shape == (40, 4, 10)
    assert (feedback.answer["best"] == feedback.segments.true_returns.argmax(-1)).all()


def test_the_page_and_models_are_asked_which_is_best(short):
    run = short(**{"questions.kinds": ("best",)}).run
    assert run.config.teacher.question.startswith("Which clip is best? The task: swing")
    several = short(folder="two", **{"questions.kinds": ("pair", "best")}).run
    assert several.config.teacher.question.startswith("The task: swing")
