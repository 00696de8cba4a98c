"""A person changes her mind: the reward model learns from the answers that stand, and from no others."""

from dataclasses import replace

import numpy as np
import torch

from prefrl.core.data import Feedback


def state_of(model) -> list[torch.Tensor]:
    return [values.clone() for values in model.ensemble.state_dict().values()]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_corrected_answer_takes_the_place_of_the_old_one(make_model, answered):
    wrong = answered(40)
    wrong.answer["preference"][:20] = 1 - wrong.answer["preference"][:20]
    one, other = make_model(), make_model()
    one.hear(wrong)
    one.hear(replace(answered(40), whole=True))
    other.hear(answered(40))
    one.fit(0), other.fit(0)
    assert same(state_of(one), state_of(other))


def test_a_corrected_answer_keeps_its_bootstrap_weight(make_model, answered):
    """It comes last now, and would be drawn anew if weights went by place: members would train on what validates them."""
    told = answered(40)
    order = np.r_[1:40, 0]
    moved = replace(told[order], whole=True)
    one, other = make_model(), make_model()
    one.hear(told)
    other.hear(told)
    other.hear(moved)
    weights = [model.fitter.splits(model.training_data())[0].weights for model in (one, other)]
    assert torch.equal(weights[0][:, order], weights[1])


def test_a_correction_is_worth_a_fit(make_model, answered):
    model = make_model()
    model.hear(answered(40))
    model.fit(0)
    corrected = answered(40)
    corrected.answer["preference"][3] = 1 - corrected.answer["preference"][3]
    model.hear(replace(corrected, whole=True))
    assert model.due()


def test_when_all_answers_are_withdrawn_the_reward_stays_as_it_was(make_model, answered):
    model = make_model()
    model.hear(answered(40))
    model.fit(0)
    before = state_of(model)
    model.hear(Feedback.nothing("pair", whole=True))
    report = model.fit(1)
    assert report.answers == 0 and "only 0 decisive" in report.note
    assert same(before, state_of(model))
    model.hear(answered(10, seed=1))
    assert model.fit(2).answers == 10
