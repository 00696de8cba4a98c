"""A fit with gradients by hand is torch's fit, and leaves to torch the networks that it does not know."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from prefrl.rewards.encoding import Features
from prefrl.rewards.fits.bootstrap import Bootstrap
from prefrl.rewards.fits.fast_bootstrap import FastBootstrap
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import mlp, tanh_mlp


def fitted(model, answers, step):
    torch.manual_seed(step)  # from which networks that start over draw their weights
    model.hear(answers)
    return model.fit(step)


def assert_alike(found, wanted):
    """Weights, standardisation and the optimiser's state.

    The last bias cancels in the loss of pairs: its gradient is rounding alone, which Adam makes a step of any size. It
    cancels in the rewards as well, whose mean is subtracted.
    """
    free = [
        number
        for number, (name, _) in enumerate(wanted.ensemble.members.named_parameters())
        if is_last_bias(wanted, name)
    ]
    tensors = found.tensors()
    assert tensors.keys() == wanted.tensors().keys()
    for name, values in wanted.tensors().items():
        part, _, rest = name.partition(".")
        cancels = (
            is_last_bias(wanted, rest.removeprefix("members."))
            if part == "ensemble"
            else int(rest.split(".")[0]) in free
        )
        if wanted.settings.objective == "preferences" and (cancels or rest == "reward_mean"):
            continue
        torch.testing.assert_close(
            tensors[name], values, atol=2e-5, rtol=1e-4, msg=lambda said, name=name: f"{name}: {said}"
        )


def is_last_bias(model, name):
    member, _, rest = name.partition(".")
    return member.isdigit() and rest == [name for name, _ in model.ensemble.members[int(member)].named_parameters()][-1]


CASES = {
    "as it is": {},
    "no error": {"error": 0.0},
    "returns": {"objective": "returns"},
    "no hidden layer": {"hidden": ()},
    "three layers": {"hidden": (8, 8, 8)},
    "ten members": {"members": 10},
    "one member": {"members": 1},
    "minibatches that do not come out even": {"batch_size": 7},
    "from scratch": {"warm": False},
    "strong decay": {"l2": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_after_a_few_passes_the_weights_are_those_of_torch(make_model, answered, case):
    """Few, since a long fit amplifies rounding; two fits, so that the optimiser's state is handed on."""
    plain, fast = (make_model(fast=fast, first_epochs=2, epochs=2, **CASES[case]) for fast in ("off", "auto"))
    assert type(plain.fitter) is Bootstrap and type(fast.fitter) is FastBootstrap
    before = copy.deepcopy(plain.ensemble.state_dict())
    for answers, step in ((answered(40), 0), (answered(30, seed=1, first_step=10_000), 1)):
        one, other = (fitted(model, answers, step) for model in (plain, fast))
        assert (one.epochs, one.updates) == (other.epochs, other.updates)
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.held_out_loss == pytest.approx(one.held_out_loss, rel=1e-4)
    assert_alike(fast, plain)
    assert any(not torch.equal(plain.ensemble.state_dict()[name], values) for name, values in before.items())


def test_a_squashed_reward_is_differentiated_too(answered, make_model):
    def model(fast):
        class Squashed(RewardModel):
            def __init__(self, settings, inputs, network, seed):
                super().__init__(settings, inputs, lambda size: tanh_mlp(size, settings.hidden), seed)

        return make_model(make=Squashed, fast=fast, first_epochs=3)

    plain, fast = model("off"), model("auto")
    assert type(fast.fitter) is FastBootstrap
    for each in (plain, fast):
        fitted(each, answered(40), 0)
    assert_alike(fast, plain)


def test_torch_goes_on_with_what_it_leaves(make_model, answered):
    """Weights and the optimiser's state, in a checkpoint too."""
    first, again = make_model(fast="auto", first_epochs=2, epochs=2), make_model(fast="off", first_epochs=2, epochs=2)
    fitted(first, answered(40), 0)
    again.hear(answered(40))
    again.restore({name: value.clone() for name, value in first.tensors().items()}, first.state())
    for model in (first, again):
        fitted(model, answered(20, seed=1, first_step=10_000), 1)
    assert_alike(first, again)


class Own(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, 1)

    def forward(self, features):
        return self.layer(features)


def twice(size):
    layer = nn.Linear(4, 4)
    return nn.Sequential(nn.Linear(size, 4), nn.ReLU(), layer, nn.ReLU(), layer, nn.ReLU(), nn.Linear(4, 1))


def with_(what):
    """A function that makes a plain MLP and does something to it."""

    def make(size):
        network = nn.Sequential(nn.Linear(size, 4), nn.ReLU(), nn.Linear(4, 1))
        what(network)
        return network

    return make


@pytest.mark.parametrize(
    "network",
    [
        twice,
        with_(lambda network: network.register_forward_hook(lambda *_: None)),
        with_(lambda network: network[0].register_forward_pre_hook(lambda *_: None)),
        with_(lambda network: network[0].weight.register_hook(lambda gradient: 0 * gradient)),
        with_(lambda network: setattr(network[2], "forward", network[2].forward)),
        with_(lambda network: network.register_parameter("unused", nn.Parameter(torch.ones(2)))),
        with_(lambda network: nn.utils.weight_norm(network[0])),
        with_(lambda network: nn.utils.parametrizations.spectral_norm(network[0])),
        with_(lambda network: network[0].requires_grad_(False)),
        Own,
        lambda size: nn.Sequential(nn.Linear(size, 4), nn.ELU(), nn.Linear(4, 1)),
        lambda size: nn.Sequential(nn.Linear(size, 4), nn.Dropout(0.1), nn.ReLU(), nn.Linear(4, 1)),
        lambda size: nn.Sequential(nn.Linear(size, 4), nn.ReLU(), nn.Linear(4, 1, bias=False)),
        lambda size: nn.Sequential(nn.LayerNorm(size), nn.ReLU(), nn.Linear(size, 1)),
    ],
    ids=[
        "a layer twice",
        "hook",
        "pre-hook",
        "hook of a weight",
        "another forward",
        "a further parameter",
        "weight norm",
        "spectral norm",
        "a frozen layer",
        "own class",
        "elu",
        "dropout",
        "no bias",
        "layer norm",
    ],
)
def test_other_networks_are_left_to_torch(make_model, network):
    made = make_model(fast="auto")
    other = RewardModel(made.settings, made.inputs, network, 0)
    assert type(made.fitter) is FastBootstrap and type(other.fitter) is Bootstrap


@pytest.mark.filterwarnings("ignore:.*weight_norm")
def test_what_is_done_to_a_network_later_is_seen_at_the_next_fit(make_model, answered):
    plain, fast = make_model(fast="off", first_epochs=2), make_model(fast="auto", first_epochs=2)
    for model in (plain, fast):
        model.ensemble.members[0][0].requires_grad_(False)
    frozen = fast.ensemble.members[0][0].weight.clone()
    for model in (plain, fast):
        fitted(model, answered(40), 0)
    assert torch.equal(fast.ensemble.members[0][0].weight, frozen)
    for name, values in plain.ensemble.state_dict().items():
        assert torch.equal(fast.ensemble.state_dict()[name], values), name  # by torch, both


def test_a_fit_that_is_broken_off_leaves_the_optimiser_at_the_weights(make_model, answered, monkeypatch):
    model = make_model(fast="auto", first_epochs=9, patience=9)
    checks = []

    def stop(*_):
        checks.append(0)
        if len(checks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(model.fitter, "_adapt_l2", stop)
    model.hear(answered(40))
    with pytest.raises(KeyboardInterrupt):
        model.fit(0)
    steps = {float(state["step"]) for state in model.fitter.optimiser.state.values()}
    assert min(steps) >= 3 and not model.fitter.members


def test_members_of_different_forms_are_known_one_by_one(make_model, answered):
    made = make_model(fast="auto")
    sizes = iter([(4,), (), (8, 8)])
    model = RewardModel(made.settings, made.inputs, lambda size: mlp(size, next(sizes)), 0)
    model.hear(answered(40))
    assert type(model.fitter) is FastBootstrap and np.isfinite(model.fit(0).train_loss)
    assert isinstance(model.inputs, Features)
