"""Reward models of pictures: what they see, the published networks, memory in which each frame is packed once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.core.errors import UserError
from prefrl.core.frames import Frames
from prefrl.rewards.controls import RandomReward
from prefrl.rewards.encoding import Pictures, is_image
from prefrl.rewards.memory import AnswerMemory
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import PICTURE_NETWORKS, cnn, default_network

ACTIONS = spaces.Discrete(3)


def space(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


def segments(count, length=5, history=3, size=12, seed=0):
    """Segments of a dot that is bright or dark; the reward of a step is the brightness that it leads to."""
    rng = np.random.default_rng(seed)
    bright = rng.integers(0, 2, (count, history + length + 1)).astype(np.uint8) * 255
    frames = np.zeros((count, history + length + 1, 1, size, size), np.uint8)
    frames[..., 3:9, 3:9] = bright[..., None, None, None]
    lazy = Frames(lambda places: frames[places], np.arange(count), frames.shape[1:])
    rewards = bright[:, history + 1 :] / 255
    return Segments(lazy, np.zeros((count, length), int), rewards, np.zeros(count, int), 10 * np.arange(count))


def answered(count, seed=0):
    shown = segments(2 * count, seed=seed)[np.arange(2 * count).reshape(-1, 2)]
    gap = shown.true_returns[:, 0] - shown.true_returns[:, 1]
    number = np.arange(1, count + 1)
    return Feedback("pair", shown, {"preference": (np.sign(gap) + 1) / 2}, number, number)


@pytest.mark.parametrize("inputs, first", [("all", 1), ("observation", 0)])
def test_a_step_is_judged_by_the_stack_it_led_to_or_as_published_by_the_one_before(inputs, first):
    pictures, some = Pictures(space(4, 12, 12), ACTIONS, inputs), segments(3)
    seen, frames = pictures.of_segments(some), torch.from_numpy(np.asarray(some.observations))
    assert seen.shape == (3, 5, 4, 12, 12)
    for step in range(5):
        assert torch.equal(seen[:, step], frames[:, first + step : first + step + 4, 0])


def test_pictures_with_channels_last_are_turned():
    pictures = Pictures(space(20, 30, 3), ACTIONS)
    shown = np.random.default_rng(0).integers(0, 256, (2, 6, 20, 30, 3)).astype(np.uint8)
    some = Segments(shown, np.zeros((2, 5)), np.zeros((2, 5)), np.zeros(2), np.zeros(2))
    assert pictures.size == (3, 20, 30)
    assert np.array_equal(pictures.of_segments(some), np.moveaxis(shown[:, 1:], -1, -3))


@pytest.mark.parametrize(
    "wrong, words",
    [
        (spaces.Box(0, 1, (4, 84, 84), np.float32), "takes uint8 pictures"),
        (space(84, 84), "takes uint8 pictures"),
        (spaces.Box(-1, 1, (3,), np.float32), "takes uint8 pictures .* --reward.network mlp"),
    ],
)
def test_what_is_no_picture_is_refused(wrong, words):
    assert not is_image(wrong)
    with pytest.raises(UserError, match=words):
        Pictures(wrong, ACTIONS)


def test_a_reward_of_the_action_alone_sees_no_picture():
    with pytest.raises(UserError, match="reward.inputs='action' leaves out the picture"):
        Pictures(space(4, 84, 84), ACTIONS, "action")


def test_the_papers_network_has_its_published_sizes():
    network = cnn((4, 84, 84), (64,))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers] == [
        (4, 16, 7, 3), (16, 16, 5, 2), (16, 16, 3, 1), (16, 16, 3, 1),
    ]  # fmt: skip
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert kinds.count("BatchNorm2d") == kinds.count("Dropout") == 4
    assert all(layer.p == 0.5 for layer in network.modules() if isinstance(layer, nn.Dropout))
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(d.in_features, d.out_features) for d in dense] == [(16 * 7 * 7, 64), (64, 1)]


@pytest.mark.parametrize("name", PICTURE_NETWORKS)
def test_every_picture_network_gives_one_reward_for_each_picture(name):
    shape = (4, 84, 84) if name in ("cnn", "nature") else (5, 10, 10)
    assert PICTURE_NETWORKS[name][0](shape, (8,))(torch.rand(3, *shape)).shape == (3, 1)


def test_auto_takes_the_network_that_fits():
    assert [default_network(s) for s in (7, (4, 84, 84), (6, 10, 10))] == ["mlp", "cnn", "small_cnn"]


def test_memory_gives_back_what_it_was_given_and_keeps_the_latest():
    pictures = Pictures(space(4, 12, 12), ACTIONS)
    memory, feedback = AnswerMemory(pictures, 40), answered(50)
    memory.add(feedback.segments[:30])
    memory.add(feedback.segments[30:])
    assert len(memory) == 40 and memory.numbers.shape[2] == 5
    expected = pictures.of_segments(feedback.segments.flat()).unflatten(0, (50, 2))[10:]
    assert torch.equal(memory.read([3, 39]), expected[[3, 39]])
    assert torch.equal(torch.cat(list(memory.latest(33))), expected[7:])


def test_a_frame_is_packed_once_and_not_once_for_every_stack():
    noise = np.random.default_rng(0).integers(0, 256, (40, 9, 1, 12, 12)).astype(np.uint8)  # cannot be packed
    lazy = Frames(lambda places: noise[places], np.arange(40).reshape(20, 2), noise.shape[1:])
    memory = AnswerMemory(Pictures(space(4, 12, 12), ACTIONS), 100)
    memory.add(Segments(lazy, np.zeros((20, 2, 5)), np.zeros((20, 2, 5)), np.zeros((20, 2)), np.zeros((20, 2))))
    assert (
        sum(len(side) for frames in memory.frames.values() for pair in frames.packed for side in pair)
        < 1.1 * noise.nbytes
    )


def model(network="small_cnn", **settings):
    torch.manual_seed(0)
    config = RewardConfig(network=network, hidden=(16,), members=2, batch_size=16, **settings)
    return RewardModel(config, Pictures(space(4, 12, 12), ACTIONS), lambda s: PICTURE_NETWORKS[network][0](s, (16,)), 0)


def test_a_model_of_pictures_learns_what_is_preferred():
    taught = model(first_epochs=30)
    taught.hear(answered(80))
    report = taught.fit(0)
    assert report.metrics["accuracy"] > 0.9
    unseen = answered(60, seed=1)
    returns = taught.member_rewards(unseen.segments.flat()).sum(-1).mean(0).reshape(60, 2)
    decisive = unseen.answer["preference"] != 0.5
    assert ((returns[:, 0] > returns[:, 1]).numpy() == (unseen.answer["preference"] == 1))[decisive].mean() > 0.9
    rewards, chances = taught.predict("pair", unseen.segments[:4])
    assert rewards.shape == (4, 2, 5) and chances.shape == (4, 2)


def test_untrained_networks_that_tell_pictures_apart_by_little_still_pay_a_reward_of_unit_spread():
    torch.manual_seed(0)
    screens = Pictures(space(4, 84, 84), ACTIONS)
    untrained = RandomReward(RewardConfig(), screens, lambda s: PICTURE_NETWORKS["nature"][0](s, (64,)), 0)
    seen = np.zeros((40, 1, 4, 84, 84), np.uint8)
    for step, row in enumerate(np.random.default_rng(0).integers(4, 80, 40)):
        seen[step, 0, :, row : row + 4, 40:44] = 255  # a ball
    nothing = np.zeros((40, 1))
    rewards = untrained.rewards(SimpleNamespace(
        observations=seen, actions=nothing, next_observations=seen, true_rewards=nothing
    ))  # fmt: skip
    assert float(untrained.ensemble.reward_std.min()) < 1e-3
    assert rewards.std() == pytest.approx(1, abs=0.05)


def test_many_segments_are_judged_as_few_are():
    taught = model(first_epochs=1)
    taught.hear(answered(10))
    taught.fit(0)
    some = segments(70)
    assert np.allclose(taught.member_rewards(some)[:, 65:], taught.member_rewards(some[65:]), atol=1e-5)


def test_saved_and_restored_it_pays_the_same():
    taught, other = model("impala", first_epochs=1), model("impala")
    taught.hear(answered(10))
    taught.fit(0)
    other.restore(taught.tensors(), taught.state())
    assert torch.equal(taught.member_rewards(segments(5)), other.member_rewards(segments(5)))
