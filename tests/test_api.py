import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from short import SHORT
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnvWrapper, VecFrameStack
from torch import nn

import prefrl
from prefrl.config.settings import Config
from prefrl.core.errors import UserError
from prefrl.evaluation.returns import Returns
from prefrl.rewards.model import RewardModel
from prefrl.runs.api import evaluate
from prefrl.runs.folder import claim, next_free
from prefrl.runs.metrics import read_metrics
from prefrl.runs.plots import write_plots


class Line(gym.Env):
    """Walk along a line to 1."""

    observation_space = gym.spaces.Box(-10, 10, (1,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.age = self.np_random.uniform(-0.1, 0.1, 1).astype(np.float32), 0
        return self.at, {}

    def step(self, action):
        self.at, self.age = np.clip(self.at + 0.1 * action, -10, 10).astype(np.float32), self.age + 1
        return self.at, -float(abs(self.at[0] - 1)), False, self.age == 50, {}


def digest(result) -> list[float]:
    return [float(values.double().sum()) for values in result.model.policy.state_dict().values()]


def test_your_own_environment(short):
    result = short(Line)
    assert result.run.config.env == "own" and result.run.recorder.observation_space.shape == (1,)
    assert result.run.asker.asked == 24


def test_your_own_teacher(short):
    seen = []

    def likes_the_first(queries):
        seen.append(len(queries))
        return np.ones(len(queries))

    run = short(Line, teacher=likes_the_first).run
    assert sum(seen) == 24 and (run.store.feedback()[0].answer["preference"] == 1).all()
    assert {row["labeller"] for row in run.store.history()} == {"likes_the_first"}


def test_a_file_of_settings_names_method_environment_and_teacher(tmp_path, short):
    file = tmp_path / "mine.yaml"
    file.write_text("preset: uniform\nenv: prefrl/CartPole-v0\nteacher: mistake\nquestions: {length: 12}\n")
    config = short(None, config=file, **{"questions.length": 14}).run.config
    assert (config.env, config.questions.strategy, config.teacher.name) == ("prefrl/CartPole-v0", "uniform", "mistake")
    assert config.questions.length == 14  # what is said in Python goes first


def test_nothing_is_tuned_for_an_environment_of_your_own(tmp_path, short):
    (tmp_path / "mine.yaml").write_text("questions: {budget: 20}\n")
    agents = [
        short(Line, name, config=file).run.config.agent for name, file in (("a", None), ("b", tmp_path / "mine.yaml"))
    ]
    assert [agent.gamma for agent in agents] == [Config().agent.gamma] * 2


def test_only_an_oracle_is_told_that_the_true_reward_says_little(short):
    class Blank(Line):
        def step(self, action):
            return *super().step(action)[:1], 0.0, False, self.age == 50, {}

    with pytest.warns(UserWarning, match="100% of segment pairs tie under the true reward"):
        short(Blank, "oracle")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        short(Blank, "own", teacher=lambda queries: np.full(len(queries), 1.0))
    assert not [one for one in told if "tie under" in str(one.message)]


def test_your_own_reward_network(short):
    made = []

    def linear(features: int) -> nn.Module:
        made.append(features)
        return nn.Linear(features, 1)

    run = short(Line, reward_network=linear).run
    assert set(made) == {3}  # the observation, its change and the action
    assert all(isinstance(member, nn.Linear) for member in run.reward_model.ensemble.members)


def test_your_own_strategy(short):
    shapes = []

    def closest(returns):
        shapes.append(returns.shape)
        return -np.abs(returns[..., 0] - returns[..., 1]).mean(0)

    run = short(Line, strategy=closest).run
    assert {(members, sides) for members, _, sides in shapes} == {(3, 2)}
    assert run.asker.asked == 24 and "closest" in {row["strategy"] for row in run.store.history()}


def test_your_own_schedule(short):
    run = short(Line, schedule=lambda progress: float(progress >= 0.5), **{"questions.until": 0.5}).run
    first = min(row["asked_step"] for row in run.store.history())
    assert first == pytest.approx(
        0.5 * 0.5 * 2048, abs=256
    )  # half of the share of the run in which questions are asked


def test_your_own_agent_by_a_function(short):
    result = short(Line, agent=lambda venv: A2C("MlpPolicy", venv, n_steps=8, seed=0))
    assert isinstance(result.model, A2C) and result.run.asker.asked == 24


def test_the_result_tells_what_came_out(short):
    result = short(Line)
    assert isinstance(result.true_return, Returns) and len(result.true_return.episodes) == 2
    assert np.isfinite([result.true_return.mean, result.random_return.mean]).all()
    assert isinstance(result.reward_model, RewardModel) and result.model is result.run.model
    assert f"{result.true_return.mean:.4g}" in str(result) and str(result.folder) in str(result)
    assert {"config.yaml", "run.json", "result.json", "metrics.csv", "labels.db"} <= {
        file.name for file in result.folder.iterdir()
    }


def test_evaluating_a_folder_gives_what_the_run_gave(short):
    result = short()
    assert evaluate(result.folder) == result.true_return


@pytest.mark.parametrize("source", ["zero", "constant", "random", "true"])
def test_controls_ask_nothing(short, source):
    run = short(Line, **{"reward.source": source}).run
    assert run.store.counts().asked == 0
    rewards = run.reward_model.rewards(run.agent.rollout())
    spread = {"zero": 0, "constant": 0}.get(source)
    assert spread is None or (rewards.std() == spread and rewards.mean() == (source == "constant"))


def test_the_random_control_pays_a_standardised_reward_and_keeps_it(short):
    run = short(Line, **{"reward.source": "random"}).run
    first = read_metrics(run.folder / "metrics.csv")[0]
    assert first["reward/mean"] == pytest.approx(0, abs=1e-3)
    assert float(run.reward_model.ensemble.scale) > 0 and run.reward_model.version == 0


def test_the_shuffled_control_asks_and_learns_from_others_answers(short):
    run = short(Line, **{"reward.source": "shuffled", "questions.budget": 60, "questions.length": 5}).run
    [asked] = run.store.feedback()
    right = (asked.segments.true_returns[:, 0] > asked.segments.true_returns[:, 1]) == (asked.answer["preference"] == 1)
    assert len(asked) == 60 and 0.25 < right.mean() < 0.75  # .5 give or take four standard errors
    assert run.reward_model.version > 0


def test_the_same_seed_is_the_same_run_and_another_is_another(short):
    runs = [short(Line, folder, seed=seed) for folder, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert digest(runs[0]) == digest(runs[1]) != digest(runs[2])
    assert runs[0].true_return == runs[1].true_return


def test_a_run_leaves_nothing_to_chance_but_its_seed(short):
    found = []
    for folder, noise in (("a", 1), ("b", 2)):
        torch.manual_seed(noise)
        np.random.seed(noise)
        found.append(digest(short(Line, folder)))
    assert found[0] == found[1]


def test_all_can_be_reached_from_the_package():
    assert {"train", "resume", "evaluate"} <= set(dir(prefrl))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"teacher": "orakle"}, "did you mean 'oracle'"),
        ({"reward.source": "tru"}, "did you mean 'true'"),
        ({"strategy": "disagreement2"}, "did you mean 'disagreement'"),
        ({"agent.gama": 0.9}, "did you mean 'agent.gamma'"),
        ({"steps": 0}, "steps=0 is out of range"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(short, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        short(Line, **settings)
    assert not (tmp_path / "run").exists()


def test_a_model_needs_the_name_of_its_environment(short):
    model = PPO("MlpPolicy", "prefrl/PendulumSpin-v0")
    with pytest.raises(UserError, match="name the same one for evaluation"):
        prefrl.train(agent=model)


def test_a_wrapper_that_an_evaluation_would_lack_is_refused(short):
    venv = VecFrameStack(make_vec_env("Pendulum-v1", 4), 2)
    with pytest.raises(UserError, match="through VecFrameStack, which an evaluation would lack"):
        short(agent=PPO("MlpPolicy", venv, n_steps=64, batch_size=64))


def test_a_model_can_be_trained_again(short):
    model = PPO("MlpPolicy", make_vec_env("Pendulum-v1", 4), n_steps=64, batch_size=64, n_epochs=1)
    short(folder="first", agent=model)
    short(folder="second", agent=model)
    layers, venv = [], model.get_env()
    while isinstance(venv, VecEnvWrapper):
        layers.append(type(venv).__name__)
        venv = venv.venv
    assert layers == ["Recorder"]


class Squeeze(BaseFeaturesExtractor):
    def __init__(self, space):
        super().__init__(space, 5)
        self.layer = torch.nn.Linear(space.shape[0], 5)

    def forward(self, observations):
        return self.layer(observations)


def test_a_policy_that_shares_layers_is_checkpointed(short):
    def agent(venv):
        settings = {"features_extractor_class": Squeeze}
        return PPO("MlpPolicy", venv, n_steps=64, batch_size=64, n_epochs=1, policy_kwargs=settings)

    result = short(agent=agent)
    again = prefrl.load_run(result.folder, agent=agent)
    assert torch.equal(
        again.model.policy.features_extractor.layer.weight, result.model.policy.features_extractor.layer.weight
    )
    again.close()


def test_parts_of_your_own_are_asked_for_when_a_folder_is_read(short):
    result = short(lambda: gym.make("Pendulum-v1"))
    with pytest.raises(UserError, match="trained with env of your own; bring it along again"):
        prefrl.evaluate(result.folder)


def test_settings_of_a_part_can_be_given_as_a_dict(short):
    result = short(agent={"gamma": 0.5}, teacher={"name": "mistake", "mistake": 0.3})
    assert result.run.config.agent.gamma == 0.5 and result.run.config.teacher.mistake == 0.3


def test_two_runs_that_choose_the_same_folder_at_once_get_two(short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = []

    def meanwhile_somebody_takes_it(plan):
        chosen.append(next(part for part in str(plan).split() if part.startswith("runs/")))
        Path(chosen[0]).mkdir(parents=True)

    found = prefrl.train(Line, tell=meanwhile_somebody_takes_it, quiet=True, **SHORT)
    assert chosen == ["runs/own-christiano-s0"] and found.folder == Path("runs/own-christiano-s0-2")
    assert not any(Path(chosen[0]).iterdir())


def test_the_folder_of_a_run_whose_disk_is_away_is_not_free(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "away")
    assert next_free(tmp_path / "run") == claim(tmp_path / "run") == tmp_path / "run-2"


def test_a_run_may_do_without_plots(short):
    folder = short(**{"record.plots": False}).folder
    assert not list(folder.glob("*.png"))
    assert [path.name for path in write_plots(folder)] == ["curve.png", "reward.png"]


def test_a_plot_that_is_drawn_again_is_the_same(short):
    folder = short(**{"record.plots": True}).folder
    before = (folder / "curve.png").read_bytes()
    write_plots(folder)
    assert (folder / "curve.png").read_bytes() == before
