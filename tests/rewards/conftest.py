from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from prefrl.config.settings import RewardConfig
from prefrl.core.data import Feedback, Segments
from prefrl.rewards.encoding import Features
from prefrl.rewards.model import RewardModel
from prefrl.rewards.networks import mlp

WISHED = np.array([1.0, -2.0, 0.5, 0.0])  # the true reward of a step is this times the observation
LENGTH = 8
BOX, ACTION = spaces.Box(-np.inf, np.inf, (len(WISHED),)), spaces.Box(-1, 1, (1,))


def _answered(count: int, seed: int = 0, first_step: int = 0) -> Feedback:
    """Pairs of random segments, answered by the sign of the true gap; no two share a step."""
    rng = np.random.default_rng([7, seed])
    shape = (count, 2)
    observations = rng.normal(size=(*shape, LENGTH + 1, len(WISHED)))
    observations += rng.normal(size=(*shape, 1, len(WISHED)))
    rewards = observations[..., :-1, :] @ WISHED
    starts = first_step + LENGTH * np.arange(2 * count).reshape(shape)
    segments = Segments(observations, rng.uniform(-1, 1, (*shape, LENGTH, 1)), rewards, np.zeros(shape, int), starts)
    returns = segments.true_returns
    return Feedback(
        "pair", segments, {"preference": (returns[:, 0] > returns[:, 1]).astype(float)}, *[np.arange(1, count + 1)] * 2
    )


def _model(seed: int = 0, make: type[RewardModel] = RewardModel, **settings) -> RewardModel:
    torch.manual_seed(seed)
    settings = {"hidden": (16,), "inputs": "observation", "first_epochs": 30, "epochs": 8, **settings}
    chosen = RewardConfig(**settings)
    return make(chosen, Features(BOX, ACTION, chosen.inputs), lambda size: mlp(size, chosen.hidden), seed)


def _steps(answers: Feedback) -> SimpleNamespace:
    """The steps of all segments as if they were a rollout."""
    segments = answers.segments.flat()
    return SimpleNamespace(
        observations=segments.observations[:, :-1], actions=segments.actions,
        next_observations=segments.observations[:, 1:], true_rewards=segments.true_rewards,
    )  # fmt: skip


@pytest.fixture(scope="session")
def answered():
    """A function: count -> answers about random segments whose true reward is linear."""
    return _answered


@pytest.fixture(scope="session")
def make_model():
    """A function: settings -> a small reward model."""
    return _model


@pytest.fixture(scope="session")
def steps():
    """A function: answers -> the steps they show, as a rollout."""
    return _steps
