"""The acceptance test of kinds: one defined here and registered with one line goes its whole way through the package.

Oracle with slips, store, combined opinions, fit, held-out metrics, report, kill and resume, export and import, replay. Its
page and its prompt for models are in tests/labelling/test_toy_kind.py.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

import prefrl
from prefrl.cli import main
from prefrl.kinds import KINDS, Choice, Kind, kind_of

PLACES = ("first", "middle", "last")


class BestAnswer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    best: int = Field(ge=0, le=2)


class Best(Kind):
    """Which of three segments is best? A softmax of their returns (Ziegler et al. 2019, eq. 1)."""

    name, about, segments, schema = "best_of_three", "the best of three segments", 3, BestAnswer
    question, prompt, places, outcomes = "Which is best?", "You choose the best of three clips.", PLACES, PLACES
    choices = (
        *(Choice(word, f"The {word}", word, str(k), str(k), "", {"best": k}) for k, word in enumerate(PLACES)),
        Choice("skip", "No idea", "No idea", "x", "x", "", None),
    )

    def reordered(self, answer, order):
        return {"best": int(order[answer["best"]])}

    def loss(self, rewards, answer, error):
        chosen = self.predict(rewards, error).gather(-1, answer["best"].long()[..., None])
        return -chosen.squeeze(-1).log()

    def predict(self, rewards, error=0.0):
        return (1 - error) * rewards.sum(-1).softmax(-1) + error / 3

    def chances_of(self, answer):
        return np.eye(3)[answer["best"].astype(int)]

    def answers_of(self, chances):
        return [{"best": int(best)} for best in np.nan_to_num(chances).argmax(-1)]

    def oracle(self, seen, rng):
        best = np.where(
            rng.random(len(seen.myopic_returns)) < seen.mistake,
            seen.myopic_returns.argmin(-1),
            seen.myopic_returns.argmax(-1),
        )
        poor = (seen.returns < seen.skip_below).all(-1)
        return [None if skip else {"best": int(k)} for k, skip in zip(best, poor, strict=True)]


SETTINGS = {
    "steps": 2048, "agent": {"n_steps": 64, "n_epochs": 2}, "seed": 3,
    "questions": {"budget": 40, "length": 10, "kinds": ["best_of_three"], "initial": 0.5},
    "record": {"video": False, "tensorboard": False, "evaluation_episodes": 2, "checkpoints": 2},
}  # fmt: skip


@pytest.fixture(autouse=True)
def best(monkeypatch):
    monkeypatch.setitem(KINDS, "best_of_three", Best())  # the one line


def train(folder: Path, **more) -> prefrl.Result:
    return prefrl.train("Pendulum-v1", folder=folder, quiet=True, **{**SETTINGS, **more})


def rows(folder: Path) -> list[tuple]:
    """Question, answer, labeller and what it takes the place of, of each row of a run's store."""
    with prefrl.LabelStore.open(folder) as store:
        return [(row["query_id"], row["answer"], row["labeller"], row["supersedes"]) for row in store.history()]


def weights(result: prefrl.Result) -> list[np.ndarray]:
    return [values.numpy() for _, values in sorted(result.reward_model.tensors().items())]


@pytest.mark.filterwarnings("ignore:.*episodes of")
def test_from_the_oracle_to_the_report_and_through_export_import_and_replay(tmp_path, capsys):
    teacher = {"name": "mistake", "mistake": 0.1, "skip": 0.1}
    result = train(tmp_path / "run", teacher=teacher)
    answered = [answer for _, answer, _, _ in rows(tmp_path / "run")]
    assert len(answered) == 40 and 1 <= answered.count(None) <= 15
    [feedback] = _feedback(tmp_path / "run")
    assert feedback.kind == "best_of_three" and feedback.segments.true_rewards.shape[1:] == (3, 10)
    right = feedback.answer["best"] == feedback.segments.true_returns.argmax(-1)
    assert 0.75 < right.mean() < 1  # a tenth of them slip
    report = json.loads((tmp_path / "run" / "result.json").read_text())
    assert report["asked"] == 40 and report["reward_model"]["accuracy"] > 0.5  # of three
    assert (tmp_path / "run" / "reward.png").exists() and "reward/accuracy" in (
        tmp_path / "run/metrics.csv"
    ).read_text()

    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), "--formats", "jsonl"]) == 0
    assert main(["import", str(tmp_path / "out"), str(tmp_path / "again")]) == 0
    assert rows(tmp_path / "again") == rows(tmp_path / "run")
    assert main(["export", str(tmp_path / "again"), str(tmp_path / "out2"), "--formats", "jsonl"]) == 0
    for name in ("labels.jsonl", "questions.jsonl", "trainer.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()

    repeated = train(tmp_path / "replayed", teacher=f"replay={tmp_path / 'again'}")
    assert [answer for _, answer, _, _ in rows(tmp_path / "replayed")] == answered
    assert all(np.array_equal(one, other) for one, other in zip(weights(result), weights(repeated), strict=True))


def _feedback(folder: Path):
    with prefrl.LabelStore.open(folder) as store:
        return store.feedback()


@pytest.mark.filterwarnings("ignore:.*episodes of")
@pytest.mark.parametrize("turns", ["mixed", "one_by_one"])
def test_several_kinds_in_one_run(tmp_path, turns):
    questions = {**SETTINGS["questions"], "kinds": ["pair", "best_of_three"], "mix": [0.5, 0.5], "turns": turns}
    result = train(tmp_path / "run", questions=questions)
    batches = {feedback.kind: feedback for feedback in _feedback(tmp_path / "run")}
    assert {kind: len(batch) for kind, batch in batches.items()} == {"pair": 20, "best_of_three": 20}
    metrics = json.loads((tmp_path / "run" / "result.json").read_text())["reward_model"]
    assert metrics["pair/accuracy"] > 0.5 and metrics["best_of_three/accuracy"] > 1 / 3
    first, last = (batches[kind].query for kind in ("pair", "best_of_three"))
    assert (first.max() < last.min()) == (turns == "one_by_one")
    loaded = prefrl.load_run(tmp_path / "run")  # from its last checkpoint, with the answers of both kinds
    loaded.close()
    assert all(np.array_equal(one, other) for one, other in zip(
        weights(result), [v.numpy() for _, v in sorted(loaded.reward_model.tensors().items())], strict=True))  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*episodes of")
def test_a_damaged_answer_is_named_and_does_not_count(tmp_path):
    train(tmp_path / "run", questions={**SETTINGS["questions"], "budget": 12})
    before = rows(tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "labels.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        other = """CASE content WHEN '{"best": 1}' THEN '{"best": 2}' ELSE '{"best": 1}' END"""
        database.execute(f"UPDATE payloads SET content = {other} WHERE seq = 3")
        database.execute("DELETE FROM payloads WHERE seq = 5")
    with pytest.warns(UserWarning, match=r"the answers \[3, 5\] are not what was written"):
        [feedback] = _feedback(tmp_path / "run")
    assert set(feedback.query.tolist()) == {query for query, *_ in before} - {3, 5}


def test_opinions_of_several_labellers_are_combined(tmp_path):
    from prefrl.teachers.crowd import COMBINE, Judgements

    rng, kind = np.random.default_rng(0), kind_of("best_of_three")
    truth = rng.integers(3, size=300)
    other = (truth + rng.integers(1, 3, (3, 300))) % 3  # wrong answers fall on both others alike
    said = [np.where(rng.random(300) < wrong, other[k], truth) for k, wrong in enumerate((0.05, 0.3, 0.5))]
    judged = Judgements(
        np.tile(np.arange(300), 3),
        np.repeat(["ann", "ben", "cat"], 300),
        kind.chances_of({"best": np.concatenate(said)}),
    )
    labels = COMBINE["reliability"][0](judged).labels
    combined = np.array([labels[query].argmax() for query in range(300)])
    assert (combined == truth).mean() > 0.93 > (np.stack(said) == truth).mean()
