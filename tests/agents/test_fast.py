"""The fast PPO and A2C compute what Stable-Baselines3 computes, and leave to it what they do not know."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from prefrl.agents.fast import FastA2C, FastPPO
from prefrl.agents.numpy_policy import NumpyPolicy
from prefrl.agents.sb3_hooks import add_loss, put_learned_reward

BOX = spaces.Box(-1.0, 1.0, (3,))
DISCRETE = spaces.Discrete(4)
SEVERAL = spaces.MultiDiscrete([3, 2, 5])


class Noise(gym.Env):
    """Observations and rewards are noise; episodes end or are cut at random."""

    def __init__(self, action_space: spaces.Space = BOX, observation_space: spaces.Space | None = None):
        self.action_space = action_space
        self.observation_space = observation_space or spaces.Box(-np.inf, np.inf, (5,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        reward = float(self.np_random.normal() + np.sum(action))
        return self._observation(), reward, self.np_random.random() < 0.05, self.np_random.random() < 0.05, {}

    def _observation(self) -> np.ndarray:
        space = self.observation_space
        noise = self.np_random.normal(size=space.shape)
        return (
            (noise * 50 + 120).clip(0, 255).astype(np.uint8) if space.dtype == np.uint8 else noise.astype(space.dtype)
        )


def make(algorithm: type, action_space: spaces.Space = BOX, policy: dict | None = None, **settings: Any) -> Any:
    venv = DummyVecEnv([lambda: Noise(action_space)] * 3)
    venv.seed(0)
    sizes: dict[str, Any] = {"n_steps": 64, "batch_size": 48, "n_epochs": 1} if issubclass(algorithm, PPO) else {}
    kwargs = {"net_arch": [16, 16], **(policy or {})}
    return algorithm("MlpPolicy", venv, seed=0, device="cpu", policy_kwargs=kwargs, **{**sizes, **settings})


class Stop(BaseCallback):
    def _on_step(self) -> bool:
        return True


def collected(model: Any) -> Any:
    """The model, with a rollout in its buffer."""
    _, callback = model._setup_learn(10_000, Stop())
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    model.set_logger(Logger(None, []))
    return model


def train_alike(plain: Any, fast: Any, updates: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both train on copies of one rollout, from the same weights, several times. Returns what each has logged last."""
    collected(plain)
    collected(fast)
    fast.policy.load_state_dict(plain.policy.state_dict())
    for name, values in vars(plain.rollout_buffer).items():
        if isinstance(values, np.ndarray):
            setattr(fast.rollout_buffer, name, values.copy())
    for model in (plain, fast):
        for update in range(updates):
            np.random.seed(update)  # which samples a minibatch holds
            model.train()
    return plain.logger.name_to_value, fast.logger.name_to_value


CASES: dict[str, tuple[type, type, dict[str, Any]]] = {
    "box": (PPO, FastPPO, {}),
    "box, fused": (PPO, FastPPO, {"policy": {"optimizer_kwargs": {"fused": True}}}),
    "discrete": (PPO, FastPPO, {"action_space": DISCRETE}),
    "multidiscrete": (PPO, FastPPO, {"action_space": SEVERAL}),
    "relu": (PPO, FastPPO, {"policy": {"activation_fn": nn.ReLU}}),
    "unequal layers": (PPO, FastPPO, {"policy": {"net_arch": {"pi": [8], "vf": [32, 16, 8]}}}),
    "linear": (PPO, FastPPO, {"policy": {"net_arch": []}}),
    "separate extractors": (PPO, FastPPO, {"policy": {"share_features_extractor": False}}),
    "clipped values": (PPO, FastPPO, {"clip_range_vf": 0.1}),
    "target_kl": (PPO, FastPPO, {"target_kl": 0.001, "n_epochs": 4, "learning_rate": 3e-3}),
    "entropy": (PPO, FastPPO, {"ent_coef": 0.1}),
    "entropy of choices": (PPO, FastPPO, {"ent_coef": 0.1, "action_space": SEVERAL}),
    "tight clipping": (PPO, FastPPO, {"clip_range": 0.01, "max_grad_norm": 0.05, "learning_rate": 3e-3}),
    "advantages as they are": (PPO, FastPPO, {"normalize_advantage": False}),
    "a last minibatch of one": (PPO, FastPPO, {"batch_size": 191}),
    "schedules": (PPO, FastPPO, {"learning_rate": lambda left: 1e-3 * left, "clip_range": lambda left: 0.3 * left}),
    "sgd": (PPO, FastPPO, {"policy": {"optimizer_class": torch.optim.SGD}}),
    "weight decay": (PPO, FastPPO, {"policy": {"optimizer_kwargs": {"weight_decay": 0.01}}}),
    "a2c": (A2C, FastA2C, {}),
    "a2c, discrete, entropy": (A2C, FastA2C, {"action_space": DISCRETE, "ent_coef": 0.1}),
    "a2c, adam, normalised": (A2C, FastA2C, {"use_rms_prop": False, "normalize_advantage": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_after_ten_updates_from_the_same_buffer_the_weights_are_those_of_sb3(case):
    plain, fast, settings = CASES[case]
    one, other = make(plain, **settings), make(fast, **settings)
    assert other.is_fast
    before = copy.deepcopy(one.policy.state_dict())
    logged, logged_fast = train_alike(one, other, updates=10)
    for name, weights in one.policy.state_dict().items():
        assert not torch.equal(weights, before[name]), name
        torch.testing.assert_close(other.policy.state_dict()[name], weights, atol=1e-5, rtol=0)
    assert logged.keys() == logged_fast.keys()
    for name, value in logged.items():
        assert logged_fast[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    states, states_fast = (model.policy.optimizer.state_dict()["state"] for model in (one, other))
    for place, state in states.items():
        for name, value in state.items():
            if value is not None:
                torch.testing.assert_close(states_fast[place][name], value, atol=1e-5, rtol=1e-3)


def test_a_further_loss_is_added_to_the_gradients():
    one, other = make(PPO, ent_coef=0.01), make(FastPPO, ent_coef=0.01)
    for model in (one, other):
        put_learned_reward(model, lambda actions, bootstraps: np.ones(bootstraps.shape, np.float32))
        add_loss(model, lambda batch, distribution: -0.1 * distribution.log_prob(batch.actions).mean())
    train_alike(one, other, updates=5)
    for name, weights in one.policy.state_dict().items():
        torch.testing.assert_close(other.policy.state_dict()[name], weights, atol=1e-5, rtol=0)
    assert "train/further_loss" in other.logger.name_to_value


# Gradients by hand


@given(
    space=st.sampled_from([BOX, DISCRETE, SEVERAL]),
    activation=st.sampled_from([nn.Tanh, nn.ReLU]),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    n=st.integers(1, 20),
    of_entropy=st.sampled_from([0.0, 0.3, -1.0]),
    seed=st.integers(0, 1000),
)
def test_gradients_are_those_of_autograd(space, activation, hidden, n, of_entropy, seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = make(PPO, space, {"net_arch": hidden, "activation_fn": activation, "log_std_init": -0.3})
    policy, observations = model.policy, torch.randn(n, 5)
    actions = policy(observations)[0].detach()
    of_log_prob, of_values = torch.randn(n), torch.randn(n)

    values, chances, entropy = policy.evaluate_actions(observations, actions)
    loss = (chances * of_log_prob).sum() + (values[:, 0] * of_values).sum() + of_entropy * entropy.mean()
    expected = torch.autograd.grad(loss, list(policy.parameters()), materialize_grads=True)

    network = NumpyPolicy(policy)
    x = network.features(observations)
    flat = actions.reshape(n, -1).float().numpy()
    np.testing.assert_allclose(
        network.distribution.log_prob(network.actor(x), flat), chances.detach(), atol=2e-5, rtol=1e-5
    )
    np.testing.assert_allclose(network.critic(x), values.detach(), atol=1e-5, rtol=1e-5)
    assert network.distribution.entropy() == pytest.approx(entropy.mean().item(), abs=1e-5)
    network.actor.backward(network.distribution.backward(of_log_prob.numpy(), of_entropy))
    network.critic.backward(of_values.numpy()[:, None])
    for (name, parameter), gradient in zip(policy.named_parameters(), expected, strict=True):
        np.testing.assert_allclose(network.gradients.of(parameter), gradient, atol=3e-4, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("space", [BOX, DISCRETE, SEVERAL])
def test_actions_are_drawn_from_the_policys_distribution(space):
    policy = make(PPO, space, {"log_std_init": -0.5}).policy
    observation = torch.randn(1, 5).expand(20_000, 5).contiguous()
    with torch.no_grad():
        policy.action_net.bias += torch.linspace(-1, 1, len(policy.action_net.bias))
        theirs = policy(observation)
        ours = NumpyPolicy(policy).act(observation)
    for mine, sb3 in zip(ours, theirs, strict=True):
        assert mine.shape == sb3.shape and mine.dtype == sb3.dtype
        spread = max(float(sb3.double().std()), 0.1)
        assert mine.double().mean(0).numpy() == pytest.approx(sb3.double().mean(0).numpy(), abs=0.04 * spread)
        assert mine.double().std(0).numpy() == pytest.approx(sb3.double().std(0).numpy(), abs=0.04 * spread)


# The models stay SB3's


def test_what_it_saves_is_opened_by_sb3(tmp_path):
    model = make(FastPPO, n_epochs=2).learn(400)
    model.save(tmp_path / "model.zip")
    opened = PPO.load(tmp_path / "model.zip", device="cpu")
    observation = np.ones((4, 5), np.float32)
    assert type(opened) is PPO
    assert np.array_equal(
        opened.predict(observation, deterministic=True)[0], model.predict(observation, deterministic=True)[0]
    )
    opened.set_env(model.env)
    opened.learn(400)  # its optimiser's state is whole
    again = FastPPO.load(tmp_path / "model.zip", env=model.env, device="cpu")
    assert again.is_fast and again.learn(400)


class OwnPolicy(PPO.policy_aliases["MlpPolicy"]):  # type: ignore[misc]
    pass


def test_what_it_does_not_know_is_left_to_sb3():
    gsde = make(FastPPO, use_sde=True)
    own = FastPPO(OwnPolicy, gsde.env, n_steps=64, batch_size=48, device="cpu")
    elu = make(FastPPO, policy={"activation_fn": nn.ELU})
    bits = make(FastPPO, spaces.MultiBinary(3))
    pixels = DummyVecEnv([lambda: Noise(DISCRETE, spaces.Box(0, 255, (36, 36, 1), np.uint8))])
    pictures = FastPPO("CnnPolicy", pixels, n_steps=64, batch_size=32, device="cpu")
    flat_pictures = FastPPO("MlpPolicy", pixels, n_steps=64, batch_size=32, device="cpu")
    numbered = FastPPO(
        "MlpPolicy", DummyVecEnv([lambda: gym.make("FrozenLake-v1")]), n_steps=64, batch_size=32, device="cpu"
    )
    for model in (gsde, own, elu, bits, pictures, flat_pictures, numbered):
        assert not model.is_fast
        before = copy.deepcopy(model.policy.state_dict())
        model.learn(64)
        assert any(not torch.equal(weights, before[name]) for name, weights in model.policy.state_dict().items())
