"""A study with people is run again from its recorded answers, and ends with the same weights, bit for bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from short import SHORT
from stable_baselines3.common.callbacks import BaseCallback
from study import PEOPLE, hold_study, weights

from prefrl.cli import main
from prefrl.core.errors import Stopped, UserError
from prefrl.runs.api import evaluate, resume, train
from prefrl.store.contents import read_contents
from prefrl.store.store import LabelStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*episodes of 200 steps"),
    pytest.mark.filterwarnings("ignore:nothing was learned"),
    pytest.mark.filterwarnings("ignore:training does not wait for people"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A labelled run. Tests leave it as it is."""
    return hold_study(tmp_path_factory.mktemp("studies") / "study")


@pytest.fixture
def again(tmp_path):
    """A function: a recorded run, settings -> the result of a run that replays it."""

    def run(recorded: Path, folder: str = "again", env: Any = "Pendulum-v1", **settings: Any):
        callbacks = settings.pop("callbacks", ())
        wanted = {**PEOPLE, "teacher": f"replay={recorded}", **settings}
        return train(env, folder=tmp_path / folder, quiet=True, callbacks=callbacks, **wanted)

    return run


def told(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result.folder / "result.json").read_text())["replay"]
    return found


def record(folder: Path):
    with LabelStore.open(folder) as store:
        return read_contents(store)


def said(folder: Path) -> list[tuple]:
    kept = ("seq", "query_id", "kind", "preference", "labeller", "response_seconds", "supersedes", "details")
    return [tuple(row[name] for name in kept) for row in record(folder).answers]


def test_the_same_questions_the_same_answers_at_the_same_steps_the_same_weights(study, again):
    result = again(study)
    assert weights(result.folder) == weights(study)
    old, new = record(study), record(result.folder)
    heard = old.watermarks[-1]["seq"]
    assert heard > 15 and said(result.folder) == said(study)[:heard]
    assert new.watermarks == old.watermarks and new.capacities == old.capacities
    stale = [[(row["query_id"], row["step"]) for row in one.closures] for one in (old, new)]
    assert stale[0] == stale[1]
    assert told(result)["known"] == told(result)["asked"] == len(old.questions) == len(new.questions)


def test_a_study_in_which_hardly_anybody_answered(again, tmp_path):
    """The queue is full for most of the run, and questions are taken back."""
    hardly = {"teacher.wait": 0, "teacher.queue": 2, "teacher.stale": 0.2}
    study = hold_study(tmp_path / "slow", most=6, **hardly)
    old = record(study)
    assert min(row["room"] for row in old.capacities) == 0 and old.closures
    assert weights(again(study, **hardly).folder) == weights(study)


def test_a_replay_can_be_replayed(study, again):
    once = again(study, "once").folder
    assert weights(again(once, "twice").folder) == weights(study)


def test_a_replay_that_is_stopped_and_resumed_ends_the_same(study, again, tmp_path):
    class Stop(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps > 1700:
                raise Stopped(15, tmp_path)
            return True

    with pytest.raises(Stopped):
        again(study, callbacks=[Stop()])
    result = resume(tmp_path / "again", quiet=True)
    assert weights(result.folder) == weights(study)
    assert told(result)["answered"] > 8


def test_answers_of_an_oracle_are_replayed_too(again, tmp_path):
    settings = {**SHORT, "teacher.name": "mistake"}
    recorded = train("Pendulum-v1", folder=tmp_path / "oracle", quiet=True, **settings).folder
    result = train("Pendulum-v1", folder=tmp_path / "two", quiet=True, **{**SHORT, "teacher": f"replay={recorded}"})
    assert weights(result.folder) == weights(recorded)
    assert told(result)["answered"] == told(result)["asked"] == 24


@pytest.mark.filterwarnings("ignore:no GPU")
def test_a_study_in_an_environment_of_ones_own_was_filmed_and_is_filmed_again(again, tmp_path):
    def own(render_mode=None):
        return gym.make("Pendulum-v1", render_mode=render_mode)

    short = {"steps": 1024, "questions.budget": 12}
    study = hold_study(tmp_path / "own", own, **short)
    assert weights(again(study, env=own, **short).folder) == weights(study)
    with pytest.raises(UserError, match=r"recording shows .* shape \(3,\), \(1,\); this .* are of \(4,\), \(\)"):
        again(study, "other", env=lambda render_mode=None: gym.make("prefrl/CartPole-v0"), **short)


def test_from_the_command_line_with_the_recorded_configuration(study, tmp_path, monkeypatch):
    monkeypatch.chdir(study.parent)
    line = f"train --config study/config.yaml --teacher replay=study --folder {tmp_path / 'again'} --quiet"
    assert main(line.split()) == 0
    assert weights(tmp_path / "again") == weights(study)


def test_another_seed_asks_other_questions(study, again):
    with pytest.warns(UserWarning) as warned:
        result = again(study, seed=1)
    said = " ".join(str(one.message) for one in warned)
    assert "is not the one that was recorded (seed 0 -> 1), and may ask what" in said and "knew no question" in said
    found = told(result)
    assert found["unknown"] == found["asked"] == 30 and found["known"] == 0 and found["unknown_get"] == "skip"
    with LabelStore.open(result.folder) as store:
        assert store.counts().skipped == 30


@pytest.mark.filterwarnings("ignore:this run is not the one", "ignore:the recording knew no")
def test_the_oracle_takes_over_where_the_runs_part_ways(study, again):
    result = again(study, **{"reward.learning_rate": 3e-3, "teacher.unknown": "oracle"})
    found = told(result)
    assert 0 < found["known"] < found["asked"] == 30
    with LabelStore.open(result.folder) as store:
        by = {row["labeller"] for row in store.history()}
    assert by == {"ann", "ben", "oracle"}


def test_a_finished_replay_needs_no_recording_to_be_evaluated(study, again, tmp_path):
    shutil.copytree(study, tmp_path / "copy")
    folder = again(tmp_path / "copy").folder
    shutil.rmtree(tmp_path / "copy")
    assert len(evaluate(folder, 1).episodes) == 1


def refusal(again, *given: Any, **settings: Any) -> str:
    with pytest.raises(UserError) as fault:
        again(*given, **settings)
    return str(fault.value)


def test_what_cannot_be_replayed_is_refused_before_anything_is_trained(study, again, tmp_path):
    assert "nowhere is not a run folder" in refusal(again, tmp_path / "nowhere")
    assert "was recorded in Pendulum-v1, this run acts in prefrl/Pend" in refusal(
        again, study, env="prefrl/PendulumSpin-v0"
    )
    assert "segments of 10 steps, this run asks" in refusal(again, study, **{"questions.length": 12})
    assert "needs the run whose answers" in refusal(again, study, teacher="replay")
    assert "people give them later" in refusal(again, study, **{"reward.source": "shuffled"})
    assert "did you mean 'heard'" in refusal(again, study, **{"teacher.timing": "herd"})
    assert not (tmp_path / "again").exists()


def test_a_run_without_answers_or_segments_is_refused(study, again, tmp_path):
    silent = hold_study(tmp_path / "silent", most=0, **{"teacher.wait": 0, "steps": 512})
    assert "silent has no answers to replay; label it first: prefrl label" in refusal(again, silent)
    with LabelStore.open(silent) as store:
        store.answer([1], [1.0], labeller="ann")
    assert "no trainer has read the answers" in refusal(again, silent)
    (silent / "labels.db").unlink()
    assert "silent has no labels.db" in refusal(again, silent)
    torn = shutil.copytree(study, tmp_path / "torn")
    next((torn / "segments").iterdir()).unlink()
    assert "torn cannot be replayed: segment file" in refusal(again, torn)
