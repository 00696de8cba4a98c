"""An agent is one file with settings of its own and one line: off policy, or learning from feedback by itself."""

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_agents  # noqa: F401  registers them

import prefrl
from prefrl.config.settings import Config
from prefrl.config.values import update
from prefrl.core.errors import UserError
from prefrl.runs import checkpoint
from prefrl.runs.metrics import read_metrics

ENV = "prefrl/CartPole-v0"
TOYS = ["toy-q", "toy-contrastive"]
SETTINGS = {
    "steps": 6144, "agent.n_envs": 4, "questions.budget": 40, "questions.length": 10, "reward.hidden": (16,),
    "reward.first_epochs": 5, "reward.epochs": 2, "record.video": False, "record.plots": False, "record.tensorboard": False,
    "record.evaluation_episodes": 2, "record.checkpoints": 12, "record.keep": 99,
}  # fmt: skip


def train(toy: str, folder: Path, **settings):
    return prefrl.train(ENV, folder=folder, quiet=True, **{**SETTINGS, "agent.algorithm": toy, **settings})


def command(*words: str) -> subprocess.Popen:
    line = [sys.executable, "-m", "prefrl.cli", words[0], "--import", "toy_agents", "--quiet", *words[1:]]
    here = Path(__file__).parent  # where the command line finds the module
    return subprocess.Popen(line, cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def start(toy: str, folder: Path) -> subprocess.Popen:
    """`prefrl train`, or if there is something to go on with `prefrl resume`."""
    if (folder / "run.json").exists():
        return command("resume", str(folder))
    options = []
    for name, value in SETTINGS.items():
        head, dot, tail = name.rpartition(".")
        flag = {True: name, False: f"{head}{dot}no-{tail}"}.get(value, name) if isinstance(value, bool) else name
        options += [f"--{flag}"] + ([] if isinstance(value, bool) else list(map(str, np.atleast_1d(value))))
    return command("train", "--env", ENV, "--agent.algorithm", toy, "--folder", str(folder), *options)


def digest(folder: Path) -> str:
    """Of everything in the newest checkpoint that is a number."""
    tensors, _ = checkpoint.read_newest(folder / "checkpoints")
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].numpy().tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("toy", TOYS)
def test_killed_and_resumed_it_is_the_run_that_was_never_stopped(toy, tmp_path):
    whole = train(toy, tmp_path / "whole")
    folder, rng, reached = tmp_path / "killed", random.Random(0), []
    for _ in range(2):
        before = checkpoint.found(folder / "checkpoints")[:1]
        child = start(toy, folder)
        while checkpoint.found(folder / "checkpoints")[:1] == before:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        child.kill()
        assert child.wait() == -signal.SIGKILL
        reached.append(int(checkpoint.found(folder / "checkpoints")[0].name))
    assert 0 < reached[0] < reached[1] < whole.run.total_steps
    last = start(toy, folder)
    assert last.wait(120) == 0, last.stderr.read()
    assert digest(folder) == digest(whole.folder)
    assert prefrl.evaluate(folder) == prefrl.evaluate(whole.folder) == whole.true_return


def test_its_run_is_labelled_where_its_module_is_imported(tmp_path):
    run = train("toy-q", tmp_path / "run").folder
    line = [sys.executable, "-m", "prefrl.cli", "label", str(run)]
    ai = ["--ai", "eye", "--endpoint", "http://127.0.0.1:9/v1", "--dry-run"]  # shows the prompt, and sends nothing
    known = subprocess.run(
        [*line, "--import", "toy_agents", *ai], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert known.returncode == 0, known.stderr
    unknown = subprocess.run([*line, *ai], capture_output=True, text=True)
    assert unknown.returncode == 2 and "toy-q" in unknown.stderr


def test_an_off_policy_agent_learns_its_rewards_anew_after_each_fit(tmp_path):
    run = train("toy-q", tmp_path / "run").run
    agent = run.agent
    assert agent.relabelled == run.reward_model.version > 1
    assert len(agent.replay) == 16
    for rollout, rewards in zip(agent.replay, agent.rewards, strict=True):
        assert np.array_equal(rewards, run.reward_model.rewards(rollout))


def test_a_turn_is_as_long_as_the_agent_says(tmp_path):
    rows = read_metrics(train("toy-q", tmp_path / "run", **{"agent.every": 64}).folder / "metrics.csv")
    assert [row["time/total_timesteps"] for row in rows] == list(range(256, 6144 + 1, 256))
    assert rows[-1]["preferences/asked"] == 40


def test_steps_that_are_paid_for_again_are_not_logged_again(tmp_path):
    """A constant reward of 2: all learned returns are twice the length of an episode."""
    control = {"reward.source": "constant", "reward.constant": 2.0, "record.checkpoints": 0}
    run = train("toy-q", tmp_path / "run", **control).run
    learned = [
        row["reward/learned_return"]
        for row in read_metrics(run.folder / "metrics.csv")
        if "reward/learned_return" in row
    ]
    assert learned and max(learned) <= 2 * max(length for _, length in run.recorder.finished)


def test_an_agent_that_learns_from_feedback_has_no_reward_model(tmp_path):
    run = train("toy-contrastive", tmp_path / "run", **{"reward.source": "zero"}).run
    assert run.asker.asked == 40 and sum(map(len, run.agent.answers)) == 40
    assert run.learner is run.agent and run.agent.version > 1 and run.reward_model.version == 0


def test_an_agent_that_learns_from_feedback_does_what_is_preferred(tmp_path):
    """Whoever pushes left more often is preferred."""

    def left(queries):
        pushed = queries.segments.actions.mean(-1)
        return (pushed[:, 0] < pushed[:, 1]).astype(float)

    agent = train("toy-contrastive", tmp_path / "run", teacher=left).run.agent
    seen = agent.memory.latest(64).observations.reshape(256, -1)
    assert (agent.predict(seen, deterministic=True)[0] == 0).mean() > 0.8


def test_each_agent_has_settings_of_its_own():
    config = update(Config(), {"agent.algorithm": "toy-q", "agent.every": 8, "agent.n_envs": 2})
    assert isinstance(config.agent, toy_agents.QConfig) and config.agent.turn_steps == 16
    with pytest.raises(UserError, match=r"agent\.n_steps"):
        update(config, {"agent.n_steps": 8})


def test_callbacks_of_sb3_are_refused_where_nobody_calls_them(tmp_path):
    from stable_baselines3.common.callbacks import CheckpointCallback

    with pytest.raises(UserError, match="callbacks= are called by Stable-Baselines3, and QLearner"):
        train("toy-q", tmp_path / "run", callbacks=[CheckpointCallback(10, "")])
