"""Whole short runs on pictures, and what is said where they cannot be."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from test_resume import weights

from prefrl.config.settings import PixelConfig
from prefrl.core.errors import UserError
from prefrl.environments.making import env_maker
from prefrl.evaluation import learned_reward
from prefrl.runs.api import load_run, resume

PICTURES = {"steps": 512, "agent.n_envs": 2, "agent.n_steps": 64, "agent.n_epochs": 1, "questions.budget": 20}
MINATAR = {**PICTURES, "questions.length": 10, "agent.endless": True, "reward.first_epochs": 2}


def shape(env, **pixels):
    made = env_maker(env, pixels=PixelConfig(**pixels))()
    seen, _ = made.reset(seed=0)
    assert seen in made.observation_space
    made.close()
    return seen.shape


@pytest.mark.parametrize(
    "env, pixels, expected",
    [
        ("MinAtar/Breakout-v1", {}, (4, 10, 10)),
        ("MinAtar/Breakout-v1", {"show": "raw"}, (10, 10, 4)),
        ("MiniGrid-Empty-5x5-v0", {"grey": False, "stack": 1}, (3, 56, 56)),
        ("MiniGrid-Empty-5x5-v0", {}, (4, 56, 56)),
        ("Pendulum-v1", {"show": "drawn", "size": 40, "stack": 3}, (3, 40, 40)),
        ("Pendulum-v1", {"show": "drawn", "grey": False, "stack": 2}, (6, 84, 84)),
        ("Pendulum-v1", {}, (3,)),
        ("CarRacing-v3", {}, (4, 84, 84)),
    ],
)
def test_any_picture_is_small_with_channels_first_and_stacked(env, pixels, expected):
    pytest.importorskip(
        {"Mi": "minigrid", "Ca": "Box2D"}.get(env[:2], "numpy") if "Grid" in env or "Car" in env else "minatar"
    )
    assert shape(env, **pixels) == expected


def test_a_task_with_a_known_reward_is_learned_from_its_pictures_to_the_end(short, monkeypatch):
    monkeypatch.setattr(learned_reward, "STEPS", 8)
    run = short(
        "Pendulum-v1", **{**PICTURES, "steps": 256, "questions.length": 8, "pixels.show": "drawn", "pixels.size": 16}
    )
    found = json.loads((run.folder / "result.json").read_text())["reward_model"]
    assert -1 <= found["step_pearson"] <= 1 and "epic" not in found  # whose reward is a function of states


def test_a_run_on_pictures_is_resumed_bit_for_bit(short, tmp_path):
    pytest.importorskip("minatar")
    whole = short("MinAtar/SpaceInvaders-v1", "whole", **MINATAR)
    assert whole.run.asker.asked == 20 and whole.run.reward_model.version
    part = tmp_path / "part"
    part.mkdir()
    for name in ("config.yaml", "run.json", "labels.db"):
        (part / name).write_bytes((whole.folder / name).read_bytes())
    (part / "segments").mkdir()
    for file in (whole.folder / "segments").iterdir():
        (part / "segments" / file.name).write_bytes(file.read_bytes())
    steps = sorted((whole.folder / "checkpoints").iterdir())
    (part / "checkpoints").mkdir()
    steps[0].rename(part / "checkpoints" / steps[0].name)
    last = weights(whole.folder)
    resume(part, quiet=True)
    assert weights(part) == last


def test_policy_and_reward_networks_are_convolutions_and_live_where_told(short):
    pytest.importorskip("minatar")
    run = short("MinAtar/SpaceInvaders-v1", **{**MINATAR, "agent.device": "cpu"}).run
    for network in (run.model.policy, run.reward_model.ensemble):
        assert any(isinstance(layer, torch.nn.Conv2d) for layer in network.modules())
        assert {values.device.type for values in network.parameters()} == {"cpu"}
    again = load_run(run.folder)
    assert again.reward_model.version == run.reward_model.version
    again.close()


def test_auto_is_the_gpu_for_pictures_only(monkeypatch):
    from prefrl.environments.vector import make_venv
    from prefrl.runs.build import torch_device

    pytest.importorskip("minatar")
    numbers, pictures = (make_venv(env_maker(env), 1) for env in ("Pendulum-v1", "MinAtar/Breakout-v1"))
    for gpu, expected in ((True, ["cpu", "cuda"]), (False, ["cpu", "cpu"])):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        assert [torch_device("auto", venv).type for venv in (numbers, pictures)] == expected


class Screen(gym.Env):
    """Pictures of any shape that a user may show."""

    observation_space = gym.spaces.Box(0, 255, (40, 40, 3), np.uint8)
    action_space = gym.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self._seen(), {}

    def step(self, action):
        self.at += 1
        return self._seen(), float(action), False, self.at >= 30, {}

    def _seen(self):
        return np.full(self.observation_space.shape, self.at, self.observation_space.dtype)

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


def test_a_users_own_pictures_with_channels_last_and_own_network_and_model_work(short):
    made = []

    def network(shape):
        made.append(shape)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(shape)), 1))

    assert short(Screen, reward_network=network, **PICTURES).run.reward_model.version
    assert set(made) == {(3, 40, 40)}
    model = PPO("CnnPolicy", Screen(), n_steps=64, batch_size=32, n_epochs=1)
    assert short(Screen, "model", agent=model, **PICTURES).run.reward_model.version


class Viewing(torch.nn.Linear):
    """As many people write it: `view` takes only what lies row by row."""

    def forward(self, pictures):
        return super().forward(pictures.view(len(pictures), -1))


def test_a_users_own_network_may_view_its_pictures(short):
    def network(shape):
        return Viewing(int(np.prod(shape)), 1)

    assert short(Screen, reward_network=network, **PICTURES).run.reward_model.version


class Floats(Screen):
    observation_space = gym.spaces.Box(0, 1, (84, 84, 4), np.float32)


@pytest.mark.parametrize(
    "env, settings, words",
    [
        ("Pendulum-v1", {"agent.policy": "CnnPolicy"}, "PPO with agent.policy='CnnPolicy' cannot be made here"),
        ("Pendulum-v1", {"reward.network": "cnn"}, "takes uint8 pictures .* choose --reward.network mlp"),
        ("MinAtar/Breakout-v1", {"reward.network": "cnn"}, "reward.network='cnn' cannot take pictures of shape"),
        ("MinAtar/Breakout-v1", {"pixels.show": "drwan"}, "pixels.show='drwan' does not exist; did you mean 'drawn'"),
        ("MinAtar/Breakout-v1", {"pixels.size": 2}, "pixels.size=2 is out of range"),
        ("MinAtar/Brekout-v1", {}, "unknown environment 'MinAtar/Brekout-v1'"),
        (Floats, {}, "of float32 has 28224 numbers; .* pictures are uint8 from 0 to 255"),
    ],
)
def test_what_cannot_be_says_what_to_do(short, env, settings, words):
    pytest.importorskip("minatar")
    with pytest.raises(UserError, match=words):
        short(env, **{**PICTURES, "questions.length": 5, **settings})


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    from envs import packages

    monkeypatch.setitem(packages.PACKAGES, "ALE/", packages.Package("ale_py_that_is_not_there", "", "atari"))
    with pytest.raises(UserError, match=r"ALE/Pong-v5 needs a package .* pip install 'prefrl\[atari\]'"):
        env_maker("ALE/Pong-v5")


def test_a_missing_rom_is_said_to_be_missing(monkeypatch, tmp_path):
    roms = pytest.importorskip("ale_py.roms")

    def nowhere(game):
        raise FileNotFoundError(tmp_path / f"{game}.bin")

    monkeypatch.setattr(roms, "get_rom_path", nowhere)
    with pytest.raises(UserError, match="cannot load the game of ALE/Pong-v5: .* reinstall it"):
        env_maker("ALE/Pong-v5")()
