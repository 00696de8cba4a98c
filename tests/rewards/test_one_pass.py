"""The networks of an ensemble called as one, and in bfloat16: the same rewards and the same learning."""

import copy

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


def test_in_bfloat16_rewards_that_differ_little_and_are_far_from_zero_are_told_apart():
    made, inputs = ensemble("nature", precision="bfloat16")
    rewards = made.per_member(255 * inputs.flatten(0, 1))  # of an untrained network: all near its last bias
    assert all(len(each.unique()) == 18 for each in rewards)
