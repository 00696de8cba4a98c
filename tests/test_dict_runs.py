"""Whole short runs with observations in dicts and tuples, and what is stored, exported and drawn of them."""

import json

import numpy as np
import pytest
from dicts import TASKS, task
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from test_resume import weights

from prefrl.dataset.export import export_run
from prefrl.dataset.importing import import_dataset
from prefrl.environments.making import env_maker
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.rendering.check import check_drawing
from prefrl.rendering.redraw import Unfaithful, redraw, replay
from prefrl.runs.api import resume

QUICK = {
    "steps": 512, "agent.n_envs": 2, "agent.n_steps": 64, "agent.n_epochs": 1, "questions.budget": 10,
    "questions.length": 8, "reward.first_epochs": 2, "record.checkpoints": 2,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore:.*of segment pairs tie", "ignore:.*hold only")


@pytest.mark.parametrize("form", TASKS)
def test_a_run_asks_fits_and_evaluates(form, short):
    done = short(task(form), **QUICK)
    run = done.run
    assert type(run.model.policy).__name__ == "MultiInputActorCriticPolicy"
    assert run.asker.asked == 10 and run.reward_model.version and run.reward_model.ensemble.scale > 0
    result = json.loads((done.folder / "result.json").read_text())
    assert np.isfinite(result["final_return"]["mean"] if "final_return" in result else 0.0)
    assert -1 <= result["reward_model"]["step_pearson"] <= 1


def test_a_tuple_of_numbers_is_learned_from(short):
    run = short("Blackjack-v1", **{**QUICK, "questions.length": 1, "agent.endless": True}).run
    assert list(run.recorder.observation_space.spaces) == ["0", "1", "2"]
    assert run.reward_model.version


@pytest.mark.parametrize("strategy", ["disagreement", "kcenter"])
def test_questions_about_dicts_are_chosen_by_any_strategy(strategy, short):
    assert short(task("picture"), **{**QUICK, "questions.strategy": strategy}).run.asker.asked == 10


@pytest.mark.parametrize("form", ["dict", "picture"])
def test_a_run_is_resumed_bit_for_bit(form, short, tmp_path):
    whole, part = short(task(form), "whole", **QUICK), short(task(form), "part", **QUICK)
    last = weights(whole.folder)
    newest = max((part.folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    resume(part.folder, env=task(form), quiet=True)
    assert weights(part.folder) == last


def test_a_model_of_ones_own_with_dicts_is_taken(short):
    venv = DummyVecEnv([task("dict")] * 2)
    model = PPO("MultiInputPolicy", venv, n_steps=64, batch_size=64, n_epochs=1, seed=0)
    run = short(task("dict"), agent=model, **{**QUICK, "questions.budget": 10}).run
    assert run.reward_model.version and np.abs(run.model.rollout_buffer.rewards).sum() > 0


@pytest.fixture
def recorded():
    def record(form, n_envs=2):
        recorder = Recorder(make_venv(env_maker(task(form)), n_envs), 200)
        recorder.note_openings("rng")
        recorder.action_space.seed(0)
        recorder.seed(3)
        recorder.reset()
        for _ in range(120):
            recorder.step(np.array([recorder.action_space.sample() for _ in range(n_envs)]))
        segments = recorder.cut_segments(6, np.random.default_rng(0), since=30)
        return segments, recorder.origins(segments)

    return record


@pytest.mark.parametrize("form", TASKS)
def test_segments_are_acted_again_and_drawn(form, recorded):
    segments, origins = recorded(form)
    again = env_maker(task(form))()
    for place in range(6):
        assert list(replay(again, segments[place], origins[place])) == list(range(7))
    assert redraw(env_maker(task(form), "rgb_array"), segments[0], origins[0]).shape == (7, 36, 36, 3)
    check_drawing(env_maker(task(form)), env_maker(task(form), "rgb_array"), "rng", 0)


@pytest.mark.parametrize("key", ["picture", "state"])
def test_a_change_in_any_part_is_noticed(key, recorded):
    segments, origins = recorded("picture")
    segments.observations[key][0, 3].ravel()[0] += 1
    with pytest.raises(Unfaithful, match=f"observation 3, '{key}', differs in 1 of"):
        redraw(env_maker(task("picture"), "rgb_array"), segments[0], origins[0])


@pytest.mark.parametrize("form", ["tuple", "picture"])
def test_export_import_export_gives_the_same_bytes(form, short, tmp_path):
    pytest.importorskip("minari")
    pytest.importorskip("pyarrow")
    run, formats = short(task(form), **QUICK), ("jsonl", "parquet", "minari")
    export_run(run.folder, tmp_path / "one", formats=formats, env=task(form))
    import_dataset(tmp_path / "one", tmp_path / "run2")
    export_run(tmp_path / "run2", tmp_path / "two", formats=formats, env=task(form))
    one, two = (
        {str(p.relative_to(r)): p.read_bytes() for p in r.rglob("*") if p.is_file()}
        for r in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    import pyarrow.parquet as pq

    names = pq.read_schema(tmp_path / "one" / "parquet" / "segments.parquet").names
    assert [name for name in names if name.startswith("observations")] == {
        "tuple": ["observations.0", "observations.1.0", "observations.1.1"],
        "picture": ["observations.picture", "observations.state"],
    }[form]
