"""What an environment, a teacher, a network or a folder can do wrong, and what the user then reads."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from patience import LONG
from short import SHORT
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from prefrl.core.errors import EnvironmentFailed, NonFiniteError, UserError
from prefrl.environments.probe import STEPS
from prefrl.labelling.backups import backup
from prefrl.runs import checkpoint
from prefrl.runs.api import evaluate, load_run, resume, train
from prefrl.runs.folder import locked
from prefrl.runs.metrics import read_metrics
from prefrl.store.store import LabelStore


class Task(gym.Env):
    """Shows samples of its space and pays noise; `at` step (counted over all copies) it does something else."""

    def __init__(self, counter, observation=None, action=None, at=None, reward=None, shown=None, do=None):
        self.counter, self.at, self.reward, self.shown, self.do = counter, at, reward, shown, do
        self.observation_space = spaces.Box(-1, 1, (3,), np.float32) if observation is None else observation
        self.action_space = spaces.Discrete(2) if action is None else action

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.counter.append(1)
        self.age += 1
        now = self.at is not None and len(self.counter) == self.at
        if now and self.do:
            self.do()
        shown = self.shown if now and self.shown is not None else self.observation_space.sample()
        reward = self.reward if now and self.reward is not None else float(self.np_random.normal())
        return shown, reward, False, self.age == 50, {}


def task(**how):
    """A function that makes copies of one Task; they share their count of steps."""
    counter = []
    return lambda: Task(counter, **how)


IN_TRAINING = STEPS + 4 * 128 * 2 + 2  # the second of four environments, after the second checkpoint


# Spaces


@pytest.mark.parametrize(
    ("spaces_", "message"),
    [
        (
            {"observation": spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Text(4)})},
            "the observation space 'b' is Text.*FilterObservation",
        ),
        (
            {"observation": spaces.Tuple([spaces.Sequence(spaces.Discrete(2))])},
            "the observation space '0' is Sequence.*prefrl takes Box, Discrete",
        ),
        ({"observation": spaces.Text(4)}, "the observation space is Text"),
        (
            {"observation": spaces.Box(0.0, 255.0, (64, 64, 3))},
            r"space \(64, 64, 3\) of float32 has 12288 numbers.*at most 4096",
        ),
        ({"observation": spaces.Discrete(5, start=1)}, "does not start at 0"),
        ({"observation": spaces.MultiDiscrete([[2, 3], [3, 4]])}, "has 2 axes.*Flatten it"),
        ({"action": spaces.Dict({"a": spaces.Discrete(2)})}, "the action space is Dict"),
        ({"action": spaces.Discrete(3, start=-1)}, "the action space .* does not start at 0"),
        (
            {"action": spaces.Box(-np.inf, np.inf, (2,))},
            "has no bounds; give it some with gymnasium.wrappers.RescaleAction",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_space_that_no_part_takes_is_named_before_a_folder_is_made(spaces_, message, short, tmp_path):
    with pytest.raises(UserError, match=message.replace("\n", " ")):
        short(task(**spaces_))
    assert not (tmp_path / "run").exists()


# Environments that fail


def explode():
    raise RuntimeError("motor on fire")


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ({"reward": float("nan")}, NonFiniteError, "environment 1 gave the reward nan in step 257"),
        ({"reward": float("inf")}, NonFiniteError, "environment 1 gave the reward inf in step 257"),
        ({"reward": 1e30}, NonFiniteError, r"environment 1 gave the reward 1\.0.*e\+30 .*\(rewards below 1e\+06\)"),
        ({"reward": "much"}, EnvironmentFailed, "environment 1 raised ValueError in step 257: could not convert"),
        (
            {"shown": np.full(3, np.nan, np.float32)},
            NonFiniteError,
            r"environment 1 gave the observation \[nan nan nan\]",
        ),
        (
            {"shown": np.zeros(4, np.float32)},
            EnvironmentFailed,
            "environment 1 raised ValueError in step 257: could not broadcast",
        ),
        ({"do": explode}, EnvironmentFailed, "environment 1 raised RuntimeError in step 257: motor on fire"),
        ({"do": sys.exit}, EnvironmentFailed, "environment 1 raised SystemExit in step 257"),
    ],
)
def test_a_fault_in_training_is_blamed_at_that_step_and_the_run_can_go_on(fault, error, message, short, tmp_path):
    with pytest.raises(error, match=message):
        short(task(at=IN_TRAINING, **fault))
    folder = tmp_path / "run"
    assert [int(path.name) for path in checkpoint.found(folder / "checkpoints")] == [1024, 512]
    checkpoint.read_newest(folder / "checkpoints")  # refuses numbers that are not finite
    with LabelStore.open(folder) as store:
        asked = store.counts().asked
    assert resume(folder, env=task(), quiet=True).run.asker.asked == SHORT["questions.budget"] >= asked


def test_the_original_error_is_the_cause(short):
    with pytest.raises(EnvironmentFailed) as caught:
        short(task(at=IN_TRAINING, do=explode))
    assert "motor on fire" in str(caught.value.__cause__)
    assert EnvironmentFailed.code == 70


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (task(at=100, do=explode), "environment 0 raised RuntimeError in step 100"),
        (task(at=100, reward=float("nan")), "environment 0 gave the reward nan in step 100"),
        (lambda: 1 / 0, "raised ZeroDivisionError while it was made: division by zero"),
        (lambda: None, "env= gave NoneType; expected a function that makes a gymnasium.Env"),
        (5, "env=5 is of type int; expected a name, or a function"),
    ],
)
def test_a_fault_in_the_probe_leaves_nothing_behind(make, message, short, tmp_path):
    with pytest.raises(UserError, match=message):
        short(make)
    assert not (tmp_path / "run").exists()


HANG = """
import sys, time
sys.path.insert(0, {tests!r})
from short import SHORT
from test_bad_input import task
from prefrl.runs.api import train
train(task(at={at}, do=lambda: time.sleep(600)), folder={folder!r}, quiet=True, **SHORT | {{"record.step_timeout": 4.0}})
"""


@pytest.mark.parametrize(("at", "checkpoints"), [(100, 0), (IN_TRAINING, 2)], ids=["in the probe", "in training"])
def test_an_environment_that_hangs_ends_the_process_with_70(at, checkpoints, tmp_path):
    code = HANG.format(tests=str(Path(__file__).parent), at=at, folder=str(tmp_path / "run"))
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=False)
    assert child.returncode == 70, child.stderr
    assert "has not answered for 4 s after step" in child.stderr
    assert len(checkpoint.found(tmp_path / "run" / "checkpoints")) == checkpoints


# Questions that do not fit


def test_a_segment_longer_than_every_episode_names_the_longest_that_fits(short):
    with pytest.raises(
        UserError, match=r"questions.length=51: only 0% .* 50 to 50 steps.*set --questions.length to 50 or less"
    ):
        short(task(), **{"questions.length": 51})


def test_a_segment_longer_than_most_episodes_is_refused_too(short):
    with pytest.raises(UserError, match=r"questions.length=60: only \d% of a random policy's steps .* or less"):
        short("CartPole-v1", **{"questions.length": 60})


def test_an_agent_of_your_own_with_short_rollouts_makes_no_room_for_questions(short):
    def agent(venv):
        return PPO("MlpPolicy", venv, n_steps=32, batch_size=32)

    with pytest.raises(UserError, match="segments of questions.length=150 need 300 steps, and the run has 256"):
        short(agent=agent, steps=256, **{"questions.length": 150})


def test_more_questions_than_segments_are_fewer_questions(short):
    with pytest.warns(UserWarning, match="questions.budget=5000, but 2048 steps hold only 102 questions of 2 segments"):
        result = short(**{"questions.budget": 5000})
    assert 0 < result.run.asker.asked < 200


def test_a_budget_that_only_fits_if_segments_went_on_past_episodes_is_warned_of(short):
    with pytest.warns(UserWarning, match=r"of 145 questions about (\d+) will be asked") as warned:
        asked = short(**{"questions.budget": 145, "questions.length": 7}).run.asker.asked
    [said] = [str(each.message) for each in warned if "will be asked" in str(each.message)]
    about = int(said.split("about ")[1].split()[0])
    assert 0.8 * about < asked <= about < 145
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*will be asked")
        assert short(folder="fewer", **{"questions.budget": 60, "questions.length": 7}).run.asker.asked == 60


def test_checkpoints_at_which_no_episode_finishes_are_warned_of_with_the_most_that_work(short, tmp_path):
    rollouts = {"steps": 2048, "agent.n_envs": 4, "agent.n_steps": 32}  # sixteen; an episode has 50 steps, so takes two
    with pytest.warns(UserWarning, match=r"record.checkpoints=9 they are cut every 32, .*; set it to 8 or less"):
        short(task(), "nine", **rollouts, **{"record.checkpoints": 9})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*are cut every")
        short(task(), "eight", **rollouts, **{"record.checkpoints": 8})

    def finished(folder):
        return any("rollout/ep_rew_mean" in row for row in read_metrics(tmp_path / folder / "metrics.csv"))

    assert finished("eight") and not finished("nine")


def test_no_room_for_a_single_question_is_an_error(short):
    with pytest.raises(UserError, match="no question fits into the run: 2 segments of questions.length=200 need 400"):
        short(steps=256, **{"questions.length": 200})


def test_a_budget_that_was_not_asked_is_reported(short, caplog):
    with caplog.at_level("INFO", "prefrl"):
        result = short(steps=512, **{"questions.budget": 25})
    asked = result.run.asker.asked
    assert asked < 25 and f"{asked} of 25 questions were asked: " in caplog.text


def test_too_few_members_for_a_strategy_is_known_before_the_run(short, tmp_path):
    with pytest.raises(
        UserError, match="'disagreement' compares ensemble members and needs reward.members=2 or more, got 1"
    ):
        short(**{"reward.members": 1})
    assert not (tmp_path / "run").exists()


def test_too_little_memory_for_a_rollout_says_how_much_is_needed(short):
    with pytest.raises(
        UserError, match=r"record.memory_mb=1 holds \d+ steps of each environment; a rollout .* need 100000"
    ):
        short(steps=400_000, **{"record.memory_mb": 1.0, "agent.n_steps": 100_000})


# Teachers


@pytest.mark.parametrize("answer", [0.5, float("nan")], ids=["ties", "skips"])
def test_a_teacher_that_tells_nothing_leaves_the_reward_at_zero_and_is_reported(answer, short):
    with pytest.warns(UserWarning, match=r"nothing was learned from 24 questions .*; the policy is untaught"):
        result = short(teacher=lambda queries: np.full(len(queries), answer))
    model = result.reward_model
    assert model.version == 0 and float(model.ensemble.scale) == 0.0
    assert not model.rewards(result.run.recorder.latest(64)).any()


def test_ties_are_said_to_be_ties_while_they_come(short):
    with pytest.warns(UserWarning, match="only 0 decisive answers so far; the reward model starts at 4 of them"):
        short(teacher=lambda queries: np.full(len(queries), 0.5))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (lambda n: np.zeros((n, 2)), r"answers have shape \(12, 2\); 12 questions need one preference each"),
        (lambda n: np.full(n, 2.0), r"preference 2.0 for question 1 of 12 is not in \[0, 1\]; 1: the first is better"),
        (lambda n: np.full(n, np.inf), "preference inf for question 1 of 12"),
        (lambda n: ["first"] * n, "preferences must be numbers"),
    ],
)
def test_wrong_answers_are_refused_and_their_questions_stay_open(answers, message, short, tmp_path):
    with pytest.raises(UserError, match=message):
        short(teacher=lambda queries: answers(len(queries)), **{"questions.initial": 0.5})
    with LabelStore.open(tmp_path / "run") as store:
        assert store.counts().open == store.counts().asked == 12


# Parts of the user's own


class NaNReward(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, features):
        return self.linear(features) * float("nan")


ONE = nn.Linear(7, 1)


class Twice(nn.Linear):
    def forward(self, features):
        return super().forward(features), super().forward(features)


class Sequential(nn.Linear):
    """Says that it takes sequences."""

    sequential = True

    def forward(self, sequences, begins):
        return super().forward(sequences)


def own_agent(**how):
    return lambda venv: PPO("MlpPolicy", VecNormalize(venv, **how), n_steps=64, batch_size=64, n_epochs=2)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"reward_network": lambda d: nn.Linear(d, 3)}, r"gives \(5, 3\) for 5 steps; expected one reward for each"),
        ({"reward_network": lambda d: nn.Linear(d + 1, 1)}, r"cannot take features of shape \(5, 7\)"),
        ({"reward_network": lambda d: 5}, "reward_network= gave int; expected a function of the number of features"),
        ({"reward_network": nn.Linear(7, 1)}, "reward_network= is a module, and every member .* needs its own"),
        ({"reward_network": nn.Linear}, "reward_network= cannot be made for 7 features"),
        ({"reward_network": lambda d: ONE}, "gives the same module each time"),
        ({"reward_network": lambda d: nn.Flatten()}, "without trainable parameters"),
        ({"reward_network": lambda d: Twice(d, 1)}, "gives tuple for 5 steps; expected one reward for each"),
        ({"reward_network": lambda d: Sequential(d, 1)}, r"gives \(3, 5, 1\) for 3 sequences of 5 steps; expected one"),
        ({"reward_network": "mlpp"}, "reward.network='mlpp' does not exist; did you mean 'mlp'?"),
        ({"teacher": 5}, "teacher=5 is of type int; expected a name, or a function of queries"),
        ({"teacher": "orakel"}, "teacher.name='orakel' does not exist; did you mean 'oracle'? There are: equal, "),
        ({"strategy": "unifrom"}, "did you mean 'uniform'?"),
        ({"schedule": lambda progress: 1 - progress}, "schedule falls from 1 to .*; it is the share asked by then"),
        (
            {"agent": lambda venv: SAC("MlpPolicy", venv)},
            r"agent= gave SAC; expected a .* on-policy model \(PPO, A2C\)",
        ),
        ({"agent": "sac"}, "agent.algorithm='sac' does not exist"),
        ({"agent": own_agent()}, "VecNormalize.norm_reward=True. rescales a reward"),
        ({"agent.policy": "CnnPolicy"}, "PPO with agent.policy='CnnPolicy' cannot be made here"),
        ({"agent.policy": "Mlp"}, "agent.policy='Mlp' cannot be made here: Policy Mlp unknown"),
        ({"agent.device": "meta"}, "agent.device='meta' cannot be used here"),
        ({"agent.device": "abacus"}, "agent.device='abacus' cannot be used here"),
    ],
)
def test_a_part_that_does_not_fit_is_refused_and_leaves_nothing_behind(part, message, short, tmp_path):
    with pytest.raises(UserError, match=message.replace("?", r"\?") if "did you" in message else message):
        short(**part)
    assert not (tmp_path / "run").exists()


def test_an_agent_of_another_environment_is_refused(short):
    with pytest.raises(
        UserError, match="agent= acts in an environment with observation_space .* but env='Pendulum-v1' has"
    ):
        short(agent=PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64))


@pytest.mark.filterwarnings("ignore:rewards are all alike")
def test_a_network_that_gives_nan_stops_before_the_policy_sees_it(short):
    with pytest.raises(
        NonFiniteError, match="the reward model .* gave NaN or infinite rewards; lower reward.learning_rate"
    ):
        short(reward_network=NaNReward)


def test_statistics_of_normalised_observations_come_back_with_the_checkpoint(short):
    result = short(agent=own_agent(norm_reward=False))
    again = load_run(result.folder, agent=own_agent(norm_reward=False))
    before, after = (run.model.get_vec_normalize_env().obs_rms for run in (result.run, again))
    again.close()
    assert (
        np.array_equal(before.mean, after.mean)
        and np.array_equal(before.var, after.var)
        and before.count == after.count
    )
    assert evaluate(result.folder, 2, agent=own_agent(norm_reward=False)) == result.true_return


# Folders


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A finished run; copy it before breaking it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train("Pendulum-v1", folder=folder, quiet=True, **SHORT)
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def test_a_finished_run_can_be_resumed_and_stays_as_it_was(run):
    before = {path.name: path.stat().st_mtime_ns for path in (run / "checkpoints").iterdir()}
    outcome = json.loads((run / "result.json").read_text())
    resume(run, quiet=True)
    assert {path.name: path.stat().st_mtime_ns for path in (run / "checkpoints").iterdir()} == before
    assert json.loads((run / "result.json").read_text()) == outcome


def test_a_run_without_checkpoint_starts_again_but_cannot_be_evaluated(run):
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint yet; wait for the first, or start it with: prefrl resume"):
        evaluate(run)
    assert resume(run, quiet=True).run.agent.step == 2048


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is not a run folder"),
        ("", "is not a run folder"),
        ("{}", "is not a run folder"),
        ("[" * 100_000, "is not a run folder"),
        ('{"format": 1, "own": 3, "packages": {}}', "is not a run folder: run.json: not one of ours"),
        ('{"format": 1, "own": {}, "packages": {}, "config": 3}', "is not a run folder: run.json: not one of ours"),
        (
            '{"format": 2, "own": {}, "packages": {}}',
            "was written in format 2, this prefrl reads up to 1; update prefrl",
        ),
    ],
    ids=range(7),
)
def test_a_folder_that_is_not_one_of_ours_is_refused(content, message, run):
    (run / "run.json").write_text(content)
    with pytest.raises(UserError, match=message):
        resume(run)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "env: Pendulum-v1",
            "env: prefrl/CartPole-v0",
            "config.yaml says env: 'prefrl/CartPole-v0', and the run was started with 'Pendulum-v1'",
        ),
        ("length: 10", "length: 12", "config.yaml says questions.length: 12, and the run was started with 10"),
        ("env: Pendulum-v1", "env: !!python/name:os.system", "is not YAML: could not determine a constructor"),
        ("n_epochs: 2", "n_epochs: 0", "agent.n_epochs=0 is out of range"),
        ("n_epochs: 2", "epochs: 2", "unknown setting 'agent.epochs' in .*config.yaml; did you mean"),
        ("  - 64", "  - 8", "does not fit its config.yaml: .*size mismatch"),
        ("name: oracle", "name: delphi", "teacher.name='delphi' does not exist"),
    ],
)
def test_a_configuration_that_was_changed_since_is_refused(before, after, message, run):
    edit(run / "config.yaml", before, after)
    with pytest.raises(UserError, match=f"(?s){message}"):
        resume(run, quiet=True)


def test_a_folder_of_a_stranger_imports_nothing(run):
    edit(run / "config.yaml", "env: Pendulum-v1", "env: os.path:Pendulum-v1")
    edit(run / "run.json", '"env": "Pendulum-v1"', '"env": "os.path:Pendulum-v1"')
    with pytest.raises(UserError, match="would import a module"):
        resume(run, quiet=True)


def test_a_longer_run_than_was_begun_is_trained_and_not_called_exact(run, caplog):
    edit(run / "config.yaml", "steps: 2048", "steps: 2560")
    with caplog.at_level("INFO", "prefrl"):
        result = resume(run, quiet=True)
    assert "at step 2048 of 2560, not exactly: steps 2048 -> 2560" in caplog.text
    assert result.run.agent.step == 2560


def test_an_environment_of_your_own_with_other_spaces_is_refused(short):
    folder = short(task()).folder
    with pytest.raises(UserError, match="does not fit its config.yaml: own has spaces .*Discrete"):
        resume(folder, env=task(action=spaces.Discrete(3)), quiet=True)


def test_a_setting_that_an_older_prefrl_did_not_know_was_not_edited(run, caplog):
    about = json.loads((run / "run.json").read_text())
    del about["config"]["reward.bonus"]
    (run / "run.json").write_text(json.dumps(about))
    with caplog.at_level("INFO", "prefrl"):
        resume(run, quiet=True)
    assert "evaluated again, exactly" in caplog.text


class BacksUp(BaseCallback):
    """Copies the labels in the middle of a run."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.copy = folder, None

    def _on_step(self) -> bool:
        if self.num_timesteps == 1028:  # just after the session of step 1024
            with LabelStore.open(self.folder) as store:
                self.copy = backup(store, self.folder / "backups", store.last_seq())
        return True


@pytest.mark.parametrize("lost", ["the whole store", "its last answers"])
def test_labels_that_a_checkpoint_knows_and_the_store_does_not_are_missed(lost, short, tmp_path):
    """What is refused closes the store again, so that a copy can be put back at once."""
    backs_up = BacksUp(tmp_path / "run")
    run = short(callbacks=[backs_up]).folder
    labels, whole = run / "labels.db", tmp_path / "whole.db"
    shutil.move(labels, whole)
    if lost == "its last answers":
        shutil.copy(backs_up.copy, labels)
    with pytest.raises(UserError, match="has lost labels: by step 2048 the run had asked 24 questions .*; put a copy"):
        resume(run, quiet=True)
    assert not list(run.glob("labels.db-*"))
    shutil.copy(whole, labels)
    assert resume(run, quiet=True).run.agent.step == 2048


def test_an_older_copy_of_the_labels_serves_an_older_checkpoint(short, tmp_path):
    backs_up = BacksUp(tmp_path / "run")
    run = short(callbacks=[backs_up]).folder
    shutil.copy(backs_up.copy, run / "labels.db")
    for newer in checkpoint.found(run / "checkpoints")[:-1]:
        shutil.rmtree(newer)
    assert resume(run, quiet=True).run.asker.asked == 24


def test_a_part_of_your_own_must_be_brought_along_again(short):
    folder = short(teacher=lambda queries: queries.segments.true_returns.argmin(1)).folder
    with pytest.raises(
        UserError, match=r"was trained with teacher of your own; bring it along again: .*teacher=\.\.\."
    ):
        resume(folder)


def test_a_second_trainer_is_told_who_is_the_first(run):
    with locked(run), pytest.raises(UserError, match=rf"is being trained by process {os.getpid()}; wait for it"):
        resume(run, quiet=True)
    resume(run, quiet=True)  # and may train once the first is done


def test_a_folder_in_use_is_not_written_to(run):
    with pytest.raises(UserError, match="is not empty; choose another folder, or go on with: prefrl resume"):
        train("Pendulum-v1", folder=run, **SHORT)
