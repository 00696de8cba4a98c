"""The networks of an ensemble called as one, and in bfloat16: the same rewards and the same learning."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from prefrl.rewards.ensemble import RewardEnsemble
from prefrl.rewards.networks import ALL_NETWORKS, PICTURE_NETWORKS


def ensemble(name, dropout=0.0, **how):
    """Three networks, and six rows of inputs for each. Dropout draws anew in every call, so most tests go without."""
    torch.manual_seed(0)
    features = 5 if name not in PICTURE_NETWORKS else (4, 84, 84) if name in ("cnn", "nature") else (4, 12, 12)

    def network(size):
        made = ALL_NETWORKS[name][0](size, (8,))
        for layer in made.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = dropout
        return made

    made = RewardEnsemble(features, network, 3, **how)
    return made, torch.rand(3, 6, *((features,) if isinstance(features, int) else features))


@pytest.mark.parametrize("name", ALL_NETWORKS)
def test_as_one_networks_give_and_learn_what_each_does_alone(name):
    (one, inputs), (each, _) = ensemble(name, together=True), ensemble(name)
    one.train()
    each.train()
    rewards, alone = one.of_all(inputs), torch.stack([each.of(e, inputs[e]) for e in range(3)])
    assert torch.allclose(rewards, alone, atol=1e-5)
    rewards.square().sum().backward()
    alone.square().sum().backward()
    for own, other in zip(one.parameters(), each.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, atol=1e-4)
    for own, other in zip(one.buffers(), each.buffers(), strict=True):  # what batch norm has learned
        assert torch.allclose(own, other, atol=1e-5)


def test_networks_that_draw_dropout_draw_each_their_own():
    made, inputs = ensemble("cnn", dropout=0.5, together=True)
    made.members[1], made.members[2] = (copy.deepcopy(made.members[0]) for _ in range(2))
    made.train()
    first, second, third = made.of_all(inputs[0])
    assert not torch.allclose(first, second) and not torch.allclose(second, third)


def test_a_pass_as_one_is_the_pass_one_by_one(make_model, answered):
    """A pass, and by plain descent: Adam turns the rounding of a gradient near zero into a whole step, and a fit goes on
    from there, so that whole fits may differ by more than rounding, on some processors and not on others."""
    learned = []
    for together in (False, True):
        model = make_model(together=together, first_epochs=1)
        model.add(answered(70))  # members draw 41 to 46 of them: the last minibatch of each is of another length
        before = torch.cat([own.detach().clone().flatten() for own in model.ensemble.members.parameters()])
        model.fitter.optimiser = torch.optim.SGD(model.ensemble.parameters(), lr=0.1)
        assert model.fit(0).epochs == 1
        learned.append(torch.cat([own.detach().flatten() for own in model.ensemble.members.parameters()]) - before)
    assert learned[0].abs().mean() > 0.01
    assert torch.allclose(*learned, atol=1e-5)


def test_bfloat16_learns_what_is_preferred(make_model, answered):
    exact, coarse = make_model(), make_model(precision="bfloat16")
    for model in (exact, coarse):
        model.add(answered(150))
        model.fit(0)
    unseen = answered(200, seed=1)
    returns = coarse.member_returns(unseen.segments.flat())
    assert returns.dtype == np.float32 and not np.array_equal(returns, exact.member_returns(unseen.segments.flat()))
    first, second = returns.mean(0).reshape(-1, 2).T
    assert ((first > second) == unseen.answer["preference"]).mean() > 0.9


def test_in_bfloat16_rewards_that_differ_little_and_are_far_from_zero_are_told_apart():
    made, inputs = ensemble("nature", precision="bfloat16")
    rewards = made.per_member(255 * inputs.flatten(0, 1))  # of an untrained network: all near its last bias
    assert all(len(each.unique()) == 18 for each in rewards)
