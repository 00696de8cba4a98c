"""A run that was stopped or killed, and resumed, is the run that was never stopped: bit for bit."""

import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from prefrl.runs import checkpoint
from prefrl.runs.api import load_run, resume
from prefrl.runs.metrics import read_metrics
from prefrl.store.store import LabelStore

TRAIN = """
import sys
sys.path.insert(0, {tests!r})
from short import SHORT
from prefrl.runs.api import resume, train
from pathlib import Path
folder = Path({folder!r})
settings = {{**SHORT, **{settings!r}}}
if (folder / "config.yaml").exists() and (folder / "run.json").exists():
    resume(folder, quiet=True)
else:
    train({env!r}, folder=folder, quiet=True, **settings)
"""


def weights(folder: Path) -> str:
    """One digest of policy, reward model and both optimisers in the newest checkpoint."""
    tensors, _ = checkpoint.read_newest(folder / "checkpoints")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def start(folder: Path, env: str, **settings) -> subprocess.Popen:
    code = TRAIN.format(tests=str(Path(__file__).parent), folder=str(folder), env=env, settings=settings)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


ENVIRONMENTS = ["Pendulum-v1", "prefrl/CartPole-v0", "prefrl/Acrobot-v0", "HalfCheetah-v5"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_resuming_from_the_middle_equals_never_stopping(env, short, tmp_path):
    whole = short(env, "whole", **{"teacher.name": "mistake", "record.keep": 9})
    stopped = short(env, "stopped", **{"teacher.name": "mistake", "record.keep": 9})
    assert weights(whole.folder) == weights(stopped.folder)  # same seed, same run
    for late in checkpoint.found(stopped.folder / "checkpoints")[:-2]:
        for file in late.iterdir():
            file.unlink()
        late.rmdir()
    resumed = resume(stopped.folder, quiet=True)
    assert weights(resumed.folder) == weights(whole.folder)
    assert resumed.true_return == whole.true_return
    assert _log(resumed.folder) == _log(whole.folder)


def _log(folder: Path) -> list[dict[str, float]]:
    """Metrics of every rollout but those that measure time."""
    timed = ("time/", "reward/fit_seconds")
    return [
        {name: value for name, value in row.items() if not name.startswith(timed)}
        for row in read_metrics(folder / "metrics.csv")
    ]


def test_a_model_that_normalises_its_observations_resumes_exactly(short):
    def normalising(venv):
        return PPO("MlpPolicy", VecNormalize(venv, norm_reward=False), n_steps=64, batch_size=64, n_epochs=2)

    whole = short(folder="whole", agent=normalising, **{"record.keep": 9})
    stopped = short(folder="stopped", agent=normalising, **{"record.keep": 9})
    for late in checkpoint.found(stopped.folder / "checkpoints")[:-2]:
        shutil.rmtree(late)
    assert weights(resume(stopped.folder, agent=normalising, quiet=True).folder) == weights(whole.folder)


def test_the_checkpoint_that_a_run_went_on_from_is_left_alone(short):
    run = short(**{"record.keep": 9})
    for late in checkpoint.found(run.folder / "checkpoints")[:-2]:
        shutil.rmtree(late)
    kept = checkpoint.found(run.folder / "checkpoints")[0] / "manifest.json"
    written = kept.stat().st_mtime_ns
    resume(run.folder, quiet=True)
    assert kept.stat().st_mtime_ns == written


def test_other_seeds_are_other_runs(short):
    assert weights(short(folder="a", seed=1).folder) != weights(short(folder="b", seed=2).folder)


def test_kill_at_random_moments_changes_nothing_and_asks_nothing_twice(short, tmp_path):
    settings = {"steps": 12_288, "record.checkpoints": 12, "teacher.name": "mistake", "questions.budget": 60}
    whole = short("Pendulum-v1", "whole", **settings)
    folder, rng, reached = tmp_path / "killed", random.Random(0), []
    for _ in range(4):
        before = checkpoint.found(folder / "checkpoints")
        child = start(folder, "Pendulum-v1", **settings)
        while checkpoint.found(folder / "checkpoints")[:1] == before[:1]:
            assert child.poll() is None, child.stderr.read()
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))  # somewhere between this checkpoint and one of the next
        child.kill()
        assert child.wait() == -signal.SIGKILL
        reached.append(int(checkpoint.found(folder / "checkpoints")[0].name))
    assert 0 < reached[0] < reached[-1] < 12_288
    last = start(folder, "Pendulum-v1", **settings)
    assert last.wait(300) == 0, last.stderr.read()
    assert weights(folder) == weights(whole.folder)
    with LabelStore.open(folder) as killed, LabelStore.open(whole.folder) as uninterrupted:
        assert killed.counts() == uninterrupted.counts()


def test_sigterm_stops_at_once_and_can_be_resumed(short, tmp_path):
    folder = tmp_path / "stopped"
    child = start(folder, "Pendulum-v1", steps=200_000)
    while not checkpoint.found(folder / "checkpoints"):
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.02)
    child.terminate()
    assert child.wait(300) != 0
    run = load_run(folder)
    assert 0 < run.agent.step < 200_000
    run.close()
