from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback
from prefrl.rewards.encoding import Features
from prefrl.rewards.model import FEW, PAUSE, RewardModel

FEATURES = Features(spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (1,)), "observation")


def learn(model, answers: Feedback, step: int = 0):
    """Hear answers and fit to all so far. Returns the report."""
    model.hear(answers)
    return model.fit(step)


def drawn(model):
    """Which member draws which answer."""
    (found,) = model.fitter.splits(model.training_data())
    return found


def accuracy(model, answers: Feedback) -> float:
    """Share of answers that the paid reward predicts."""
    features = model.inputs.of_segments(answers.segments.flat())  # (2 Q, T, d)
    returns = model.ensemble.per_member(features).sum(-1).mean(0).reshape(-1, 2)
    return float(((returns[:, 0] > returns[:, 1]).numpy() == (answers.answer["preference"] == 1)).mean())


@pytest.fixture(scope="module")
def fitted(make_model, answered):
    """A model after one fit to 200 answers. Read only."""
    model = make_model()
    report = learn(model, answered(200))
    return model, report


def test_two_hundred_answers_teach_a_linear_reward(fitted, answered, make_model):
    unseen = answered(400, seed=1)
    found = accuracy(fitted[0], unseen)
    untrained = [accuracy(make_model(seed), unseen) for seed in range(100)]
    assert found > 0.9
    assert found > np.quantile(untrained, 0.95)


def test_the_learned_reward_of_a_step_goes_with_the_true_one(fitted, answered, steps):
    unseen = steps(answered(100, seed=1))
    assert np.corrcoef(fitted[0].rewards(unseen).ravel(), unseen.true_rewards.ravel())[0, 1] > 0.9


def test_the_held_out_accuracy_is_honest(fitted, answered):
    assert fitted[1].metrics["accuracy"] == pytest.approx(accuracy(fitted[0], answered(400, seed=1)), abs=0.08)
    assert fitted[1].metrics["pairs"] == pytest.approx(100 * (1 - (1 - np.exp(-1)) ** 3), abs=15)


def test_rewards_are_zero_before_the_first_fit(make_model, answered, steps):
    model = make_model()
    rewards = model.rewards(steps(answered(10)))
    assert rewards.shape == (20, 8) and not rewards.any()
    assert model.member_rewards(answered(10).segments.flat()) is None


def test_rewards_are_standardised_over_what_was_learned_from_last(fitted, answered, steps):
    rewards = fitted[0].rewards(steps(answered(200)[100:]))
    assert rewards.mean() == pytest.approx(0, abs=1e-4)
    assert rewards.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("scale", [0.05, 100.0])
def test_rewards_have_the_spread_that_was_asked_for(make_model, answered, steps, scale):
    model, answers = make_model(scale=scale), answered(60)
    learn(model, answers)
    assert model.rewards(steps(answers)).std() == pytest.approx(scale, rel=0.02)


def test_rewards_are_constant_between_fits(make_model, answered, steps):
    model, unseen = make_model(), steps(answered(20, seed=2))
    learn(model, answered(40))
    before = model.rewards(unseen)
    model.member_rewards(answered(20, seed=3).segments.flat())
    model.hear(answered(20, seed=4))
    assert np.array_equal(model.rewards(unseen), before)


def test_dropout_and_batch_norm_do_not_flicker_between_fits(answered, steps):
    def network(size):
        return nn.Sequential(nn.Linear(size, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1))

    model, unseen = RewardModel(RewardConfig(inputs="observation"), FEATURES, network, 0), steps(answered(20, seed=2))
    learn(model, answered(40))
    paid = model.rewards(unseen)
    part = SimpleNamespace(**{name: array[:3] for name, array in vars(unseen).items()})
    assert np.array_equal(model.rewards(unseen), paid) and np.allclose(model.rewards(part), paid[:3], atol=1e-5)


def test_a_feature_that_never_varied_does_not_swamp_the_others_once_it_does(make_model, answered, steps):
    answers = answered(100)
    answers.segments.observations[..., 3] = 0.0
    model, seen = make_model(), steps(answers)
    learn(model, answers)
    before = model.rewards(seen)
    seen.observations[..., 3] = 1e-3
    assert np.abs(model.rewards(seen) - before).max() < 0.1


def test_one_in_e_answers_is_held_out_for_each_member(make_model, answered):
    model = make_model(members=5)
    model.hear(answered(2000))
    batch = drawn(model)
    held_out = [len(rows) / 2000 for rows in batch.held_out]
    assert held_out == pytest.approx([np.exp(-1)] * 5, abs=0.04)
    for mine, theirs in zip(batch.train, batch.held_out, strict=True):
        assert not set(mine) & set(theirs)
        assert len(mine) + len(theirs) == 2000


def overlap(one: tuple[int, int], other: tuple[int, int], length: int) -> bool:
    return one[0] == other[0] and abs(one[1] - other[1]) < length


def test_no_held_out_answer_shares_a_step_with_a_training_answer(make_model, answered):
    model, answers = make_model(), answered(120)
    rng = np.random.default_rng(0)
    env_index, start_step = rng.integers(0, 3, (120, 2)), rng.integers(0, 800, (120, 2))
    model.hear(replace(answers, segments=replace(answers.segments, env_index=env_index, start_step=start_step)))
    batch, places = drawn(model), np.stack([env_index, start_step], -1)
    for mine, theirs in zip(batch.train, batch.held_out, strict=True):
        taught = places[mine].reshape(-1, 2)
        shares = [any(overlap(place, other, 8) for place in places[row] for other in taught) for row in range(120)]
        undrawn = set(range(120)) - set(mine)
        assert set(theirs) == {row for row in undrawn if not shares[row]}
        assert len(theirs) < len(undrawn)  # or the test would show nothing


def test_an_answer_keeps_its_weight_for_life(make_model, answered):
    model = make_model()
    model.hear(answered(30))
    before = drawn(model).weights
    model.hear(answered(50, seed=1))
    assert torch.equal(drawn(model).weights[:, :30], before)


def test_an_answer_keeps_its_weight_when_older_ones_leave(make_model, answered):
    model = make_model(window=40)
    model.hear(answered(40))
    before = drawn(model).weights
    model.hear(answered(15, seed=1))
    assert torch.equal(drawn(model).weights[:, :25], before[:, 15:])


def test_without_bootstrap_every_answer_counts_once(make_model, answered):
    model = make_model(bootstrap=False)
    model.hear(answered(50))
    assert set(drawn(model).weights.unique().tolist()) == {0, 1}


def test_the_window_drops_the_oldest_answers(make_model, answered):
    model, answers = make_model(window=30), answered(50)
    model.hear(answers[:20])
    model.hear(answers[20:])
    expected = model.inputs.of_segments(answers[20:].segments.flat()).unflatten(0, (30, 2))
    assert torch.equal(torch.cat(list(model.answers["pair"].memory.latest(30))), expected)
    assert learn(model, answered(1, seed=1)).answers == 30


def test_skipped_answers_teach_nothing(make_model, answered, steps):
    told, unseen = answered(40), steps(answered(20, seed=2))
    skipped = Feedback.nothing("pair")
    with_skips, without = make_model(), make_model()
    with_skips.hear(skipped)
    learn(with_skips, told)
    learn(without, told)
    assert np.array_equal(with_skips.rewards(unseen), without.rewards(unseen))


def test_ties_draw_returns_together(make_model, answered):
    """The same pairs, once with every second answer, once with these pairs called equal."""
    answers = answered(200)
    preferences = np.where(np.arange(200) % 2, answers.answer["preference"], 0.5)
    tied = make_model()
    learn(tied, replace(answers, answer={"preference": preferences}))
    decided = make_model()
    learn(decided, answers)
    gap = {name: np.abs(np.diff(m.member_rewards(answers.segments.flat()).sum(-1).mean(0).reshape(-1, 2).numpy())).mean()
           for name, m in (("tied", tied), ("decided", decided))}  # fmt: skip
    assert gap["tied"] < 0.8 * gap["decided"]


def test_ties_alone_leave_the_reward_as_it_was(make_model, answered, steps):
    model, unseen = make_model(), steps(answered(20, seed=2))
    report = learn(model, replace(answered(30), answer={"preference": np.full(30, 0.5)}))
    assert "only 0 decisive answers" in report.note
    assert not model.rewards(unseen).any() and model.version == 0


def test_more_ties_than_answers_keep_a_reward_that_tells_states_apart(make_model, answered):
    model = make_model()
    learn(model, answered(100))
    before = accuracy(model, answered(200, seed=2))
    learn(model, replace(answered(30, seed=1), answer={"preference": np.full(30, 0.5)}), 1)
    assert accuracy(model, answered(200, seed=2)) > before - 0.05


def test_three_decisive_answers_are_too_few(make_model, answered):
    model = make_model()
    assert "only 3 decisive" in learn(model, answered(3)).note
    assert learn(model, answered(1, seed=1), 1).note == ""


@pytest.mark.parametrize("count", [4, 5, 6])
def test_few_answers_are_fitted_without_complaint(make_model, answered, steps, count):
    with np.errstate(all="raise"):
        for seed in range(10):
            model = make_model(seed)
            learn(model, answered(count))
            assert np.isfinite(model.rewards(steps(answered(20, seed=1)))).all()
            assert np.isfinite(model.fitter.l2).all()


def test_permuted_answers_cannot_be_predicted(make_model, answered):
    """Mean of 4 draws; one has a standard error of sqrt(.25 / 150) = .04."""
    answers, rng = answered(200), np.random.default_rng(0)
    found = []
    for seed in range(4):
        permuted = replace(answers, answer={"preference": rng.permutation(answers.answer["preference"])})
        found.append(learn(make_model(seed), permuted).metrics["accuracy"])
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_a_restored_model_pays_the_same_and_learns_the_same(make_model, answered, steps):
    model, unseen = make_model(), steps(answered(20, seed=2))
    learn(model, answered(40))
    tensors = {name: values.clone() for name, values in model.tensors().items()}
    again = make_model(seed=0)
    for values in again.ensemble.parameters():
        torch.nn.init.constant_(values, 0.3)
    again.hear(answered(40))
    again.restore(tensors, model.state())
    assert np.array_equal(again.rewards(unseen), model.rewards(unseen))
    for each in (model, again):
        learn(each, answered(20, seed=1), 1)
    assert np.array_equal(again.rewards(unseen), model.rewards(unseen))
    assert again.state()["l2"] == model.state()["l2"]


def test_cold_fits_forget_the_weights_before(make_model, answered):
    def moved(warm: bool) -> float:
        model = make_model(warm=warm, learning_rate=1e-8, epochs=1)
        learn(model, answered(20))
        before = [values.detach().clone() for values in model.ensemble.parameters()]
        learn(model, answered(20, seed=1), 1)
        after = model.ensemble.parameters()
        return max(float((new.detach() - old).abs().max()) for new, old in zip(after, before, strict=True))

    assert moved(warm=True) < 1e-5
    assert moved(warm=False) > 0.1


class Line(nn.Module):
    """Its weights are no layer's."""

    def __init__(self, features):
        super().__init__()
        self.slope = nn.Parameter(torch.randn(features))

    def forward(self, rows):
        return rows @ self.slope


def test_cold_fits_forget_also_weights_that_belong_to_no_layer(answered):
    settings = RewardConfig(inputs="observation", warm=False, learning_rate=1e-8, first_epochs=1)
    model = RewardModel(settings, FEATURES, Line, 0)
    learn(model, answered(20))
    before = model.ensemble.members[0].slope.detach().clone()
    learn(model, answered(20, seed=1), 1)
    assert (model.ensemble.members[0].slope - before).abs().max() > 0.1


def test_a_fit_that_broke_is_named(make_model, answered, steps):
    model = make_model()
    learn(model, answered(20))
    with torch.no_grad():
        next(model.ensemble.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"reward model \(fit 1\) gave NaN or infinite rewards"):
        model.rewards(steps(answered(5)))


def test_a_fit_is_due_when_enough_answers_are_new_or_no_more_come(make_model, answered):
    model = make_model(refit=0.2)

    def due_with(*feedback) -> bool:
        for each in feedback:
            model.hear(each)
        return model.due()

    assert not model.due()
    learn(model, answered(FEW))
    assert due_with(answered(1, seed=1))  # there are few, so each counts
    learn(model, answered(50, seed=2))
    assert not due_with(answered(9, seed=3))
    assert due_with(answered(2, seed=4))  # 11 of the 51 that are more than few
    model.fit(1)
    assert not due_with(answered(1, seed=5))
    assert [model.due() for _ in range(PAUSE)] == [False] * (PAUSE - 1) + [True]  # all is quiet
    model.fit(2)
    assert not model.due()
