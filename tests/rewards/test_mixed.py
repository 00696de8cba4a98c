"""Reward models of a Dict of observations: numbers as features, pictures through convolutions, both in one row."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.rewards.controls import RandomReward
from prefrl.rewards.encoding import Features, Pictures
from prefrl.rewards.memory import AnswerMemory
from prefrl.rewards.mixed import Layout, Mixed, MixedEnsemble
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import MixedNetwork, default_network

ACTION = spaces.Box(-1, 1, (2,), np.float32)
PICTURE = spaces.Box(0, 255, (12, 12, 3), np.uint8)
VECTORS = spaces.Dict({"b": spaces.Box(-1, 1, (3,), np.float32), "a": spaces.Discrete(4)})
SPACE = spaces.Dict({**VECTORS.spaces, "picture": PICTURE})
TIME = 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def segments(rng, *batch):
    lead = (*batch, TIME + 1)
    observations = {
        "b": rng.normal(size=(*lead, 3)).astype(np.float32), "a": rng.integers(0, 4, lead),
        "picture": rng.integers(0, 256, (*lead, 12, 12, 3)).astype(np.uint8),
    }  # fmt: skip
    actions = rng.uniform(-1, 1, (*batch, TIME, 2)).astype(np.float32)
    numbers = np.arange(int(np.prod(batch))).reshape(batch)
    return Segments(observations, actions, rng.normal(size=(*batch, TIME)), numbers, 0 * numbers)


def model(inputs="all", space=SPACE, members=2, make=RewardModel, **settings):
    settings = RewardConfig(hidden=(8,), members=members, first_epochs=3, **settings)
    torch.manual_seed(0)
    return make(settings, Mixed(space, ACTION, inputs), lambda size: MixedNetwork(size, (8,)), 0)


def test_parts_of_a_dict_of_vectors_stand_side_by_side_in_the_order_of_keys(rng):
    made, batch = Features(VECTORS, ACTION), segments(rng, 2)
    before, after = ({key: part[:, cut] for key, part in batch.observations.items()} for cut in (np.s_[:-1], np.s_[1:]))

    def numbers(observations):
        return np.concatenate([np.eye(4)[observations["a"]], observations["b"]], -1)

    expected = np.concatenate([numbers(before), numbers(after) - numbers(before), batch.actions], -1)
    np.testing.assert_allclose(made.of_segments(batch).numpy(), expected, rtol=1e-6)
    assert made.size == 16 and list(made.feature_kinds) == ["state"] * 7 + ["change"] * 7 + ["push"] * 2


def test_a_row_gives_back_what_was_packed(rng):
    layout = Layout(3, [(2, 4, 4), (1, 3, 5)])
    numbers = torch.randn(6, 2, 3)
    pictures = [torch.randint(0, 256, (6, 2, *shape), dtype=torch.uint8) for shape in layout.pictures]
    rows = layout.pack(numbers, pictures)
    assert rows.shape == (6, 2, *layout) == (6, 2, 1, 12 + 32 + 15)
    again, pixels = layout.unpack(rows)
    assert torch.equal(again, numbers)
    assert torch.equal(pixels, torch.cat([picture.flatten(2) for picture in pictures], -1))


@pytest.mark.parametrize("inputs", ["all", "transition", "observation", "both"])
def test_inputs_keep_their_meaning(inputs, rng):
    made, batch = Mixed(SPACE, ACTION, inputs), segments(rng, 3)
    numbers, pixels = made.size.unpack(made.of_segments(batch))
    assert torch.equal(numbers, Features(VECTORS, ACTION, inputs).of_segments(batch))
    shown = (
        batch.observations["picture"][:, 1:]
        if inputs in ("all", "transition")
        else batch.observations["picture"][:, :-1]
    )
    assert torch.equal(pixels, torch.from_numpy(shown).movedim(-1, -3).flatten(2))


def test_steps_and_segments_are_encoded_alike(rng):
    made, batch = Mixed(SPACE, ACTION), segments(rng, 3)
    observations = {key: part.swapaxes(0, 1) for key, part in batch.observations.items()}
    rollout = SimpleNamespace(
        observations={key: part[:-1] for key, part in observations.items()},
        next_observations={key: part[1:] for key, part in observations.items()}, actions=batch.actions.swapaxes(0, 1),
    )  # fmt: skip
    assert torch.equal(made.of_steps(rollout).transpose(0, 1), made.of_segments(batch))


def test_pictures_alone_need_no_numbers(rng):
    made, batch = Mixed(spaces.Dict({"picture": PICTURE}), ACTION, "observation"), segments(rng, 3)
    assert made.size.numbers == 0 and made.of_segments(batch).shape == (3, TIME, 1, 12 * 12 * 3)
    memory = AnswerMemory(made, 9)
    memory.add(segments(rng, 4, 2))
    assert torch.cat(list(memory.latest(9))).shape == (4, 2, TIME, 1, 432)


def test_the_memory_gives_back_the_latest_answers_and_packs_their_frames(rng):
    made, batch = Mixed(SPACE, ACTION), segments(rng, 40, 2)
    memory = AnswerMemory(made, 36)
    memory.add(batch[:30])
    memory.add(batch[30:])
    assert len(memory) == 36 and memory.numbers.shape[2] == TIME
    expected = made.of_segments(batch[4:].flat()).unflatten(0, (36, 2))
    assert torch.equal(torch.cat(list(memory.latest(99))), expected)
    assert torch.equal(torch.cat(list(memory.latest(5))), expected[-5:])
    prepared = memory.prepared(MixedEnsemble(made.size, lambda size: MixedNetwork(size, (8,)), 2))
    assert torch.allclose(
        prepared(torch.tensor([3, 1]))[..., made.size.numbers :], expected[[3, 1]][..., 4 * made.size.numbers :] / 255
    )


def answers(rng, count):
    """Segments whose first frame is brighter are preferred."""
    batch = segments(rng, count, 2)
    bright = rng.integers(0, 2, count)
    for q, side in enumerate(bright):
        batch.observations["picture"][q, side] |= 128
        batch.observations["picture"][q, 1 - side] &= 127
    seq = np.arange(1, count + 1)
    return Feedback("pair", batch, {"preference": 1.0 - bright}, seq, seq)


def test_what_only_the_picture_shows_is_learned_and_what_varies_is_standardised(rng):
    made = model(learning_rate=3e-3)
    made.settings.first_epochs = 30
    made.hear(answers(rng, 60))
    report = made.fit(0)
    assert report.metrics["accuracy"] > 0.9
    numbers = made.answers["pair"].memory.numbers.flatten(0, 2)
    weighed = made.ensemble.feature_std[:4]  # of the state, whose weight is 1
    assert torch.allclose(made.ensemble.feature_mean, numbers.mean(0)) and torch.allclose(weighed, numbers.std(0)[:4])


def test_a_mixed_model_is_restored_bit_for_bit(rng):
    one, two, heard = model(), model(), answers(rng, 20)
    for each in (one, two):
        each.hear(heard)
    one.fit(0)
    two.restore(one.tensors(), one.state())
    batch = segments(rng, 4)
    assert torch.equal(one.member_rewards(batch), two.member_rewards(batch))


def test_a_control_with_an_untrained_model_standardises_numbers_over_a_rollout(rng):
    made, batch = model(make=RandomReward), segments(rng, 50)
    rollout = SimpleNamespace(
        observations={key: part[:, :-1] for key, part in batch.observations.items()},
        next_observations={key: part[:, 1:] for key, part in batch.observations.items()}, actions=batch.actions,
    )  # fmt: skip
    assert made.rewards(rollout).std() == pytest.approx(made.settings.scale, rel=0.1)


def test_auto_is_the_mixed_network_for_a_layout():
    assert default_network(Mixed(SPACE, ACTION).size) == "mixed"
    assert isinstance(Mixed(SPACE, ACTION).pictures["picture"], Pictures)
