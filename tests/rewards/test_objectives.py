"""What a reward model is fitted to: preferences, or as an ablation the true returns."""

import numpy as np
import pytest
import torch

from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.errors import UserError
from prefrl.kinds import kind_of
from prefrl.rewards.fits.base import OBJECTIVES

REWARDS = torch.tensor([[[0.75, 0.25], [-1.0, 0.0]], [[0.5, 0.0], [1.0, 1.0]]])  # of two pairs, in two steps
ANSWERS, RETURNS = torch.tensor([1.0, 0.5]), torch.tensor([[0.0, 0.0], [0.5, 1.0]])


def test_losses_by_hand():
    told = kind_of("pair"), REWARDS, {"preference": ANSWERS}, RETURNS, 0.1
    assert OBJECTIVES["returns"][0](*told).tolist() == [1.0, 0.5]
    first = 0.9 * torch.sigmoid(torch.tensor([2.0, -1.5])) + 0.05
    expected = -ANSWERS * first.log() - (1 - ANSWERS) * (1 - first).log()
    assert torch.allclose(OBJECTIVES["preferences"][0](*told), expected)


def test_true_returns_teach_though_the_answers_are_noise(make_model, answered):
    answers, rng = answered(200), np.random.default_rng(0)
    answers.answer["preference"][:] = rng.permutation(answers.answer["preference"])
    known = {}
    for objective in OBJECTIVES:
        model = make_model(objective=objective, first_epochs=40)
        model.hear(answers)
        model.fit(0)
        told = answered(100, seed=7).segments.flat()
        predicted = model.member_rewards(told).sum(-1).mean(0)
        known[objective] = np.corrcoef(predicted, told.true_rewards.sum(-1))[0, 1]
    assert known["returns"] > 0.9 and abs(known["preferences"]) < 0.5, known


def test_people_are_not_asked_for_what_is_not_learned():
    config = update(Config(), {"reward.objective": "returns", "teacher.name": "human"})
    with pytest.raises(UserError, match=r"reward.objective=returns learns from true rewards, not from people"):
        config.check()
