"""Teachers of several kinds of question: answers at once, in replays, dealt out at random, and questions to check people by."""

import json
from typing import Annotated

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.kinds import KINDS, Kind
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.human import HumanTeacher
from prefrl.teachers.oracle import Oracle
from prefrl.teachers.recording import Recording
from prefrl.teachers.replay import Replay, ReplayTeacher
from prefrl.teachers.stored import Shuffled, StoredTeacher


class Number(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    best: Annotated[int, Field(ge=0, le=2)]


class Best(Kind):
    """Which of three segments is best?"""

    name, about, segments, schema, question = "best", "the best of three segments", 3, Number, "Which is best?"
    outcomes = ("first", "second", "third")

    def reordered(self, answer, order):
        return {"best": int(order[answer["best"]])}

    def chances_of(self, answer):
        return np.eye(3)[answer["best"].astype(int)]

    def answers_of(self, chances):
        return [{"best": int(best)} for best in np.nan_to_num(chances).argmax(-1)]

    def oracle(self, seen, rng):
        wrong = rng.random(len(seen.myopic_returns)) < seen.mistake
        best = np.where(wrong, seen.myopic_returns.argmin(-1), seen.myopic_returns.argmax(-1))
        return [{"best": int(place)} for place in best]


@pytest.fixture(autouse=True)
def best(monkeypatch):
    monkeypatch.setitem(KINDS, "best", Best())


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "store", opinions=2) as opened:
        yield opened


def questions(kind, *marks, step=100):
    """Questions about segments that are known by a number, and earn it: the same number, the same behaviour."""
    shown = np.array(marks, float)  # (Q, K)
    observations = shown[..., None, None] + np.arange(4.0)[:, None]
    places = np.zeros(shown.shape, int)
    rewards = np.repeat(shown[..., None], 3, -1)
    return Queries(
        Segments(observations, observations[:, :, :-1] / 9, rewards, places, places), np.full(len(shown), np.nan),
        step=step, kind=kind,
    )  # fmt: skip


def heard(batches):
    """By kind: question -> answer."""
    return {
        batch.kind: {
            query: {name: values[place].tolist() for name, values in batch.answer.items()}
            for place, query in enumerate(batch.query.tolist())
        }
        for batch in batches
    }


def test_two_kinds_at_one_step_are_different_questions_also_after_a_kill(store):
    for _ in range(2):
        teacher = StoredTeacher(store, Oracle(np.random.default_rng(0)), "oracle", seed=0)
        teacher.ask(questions("pair", (1, 2), (4, 3)))
        teacher.ask(questions("best", (1, 2, 3), (6, 5, 4)))
    assert [row["uid"] for row in store.history()] == ["100-0", "100-1", "best-100-0", "best-100-1"]
    told = heard(teacher.answers(100))
    assert told == {
        "pair": {1: {"preference": 0.0}, 2: {"preference": 1.0}}, "best": {3: {"best": 2.0}, 4: {"best": 0.0}},
    }  # fmt: skip
    assert heard(teacher.standing()) == told and all(batch.whole for batch in teacher.standing())


def test_two_kinds_at_one_step_slip_each_in_their_own_way(store):
    """Questions with the same returns: the same random numbers would make the same questions wrong."""
    marks = [(1, 2, 3)] * 60
    teacher = StoredTeacher(store, Oracle(np.random.default_rng(0), mistake=0.5), "oracle", seed=0)
    teacher.ask(questions("pair", *(pair[:2] for pair in marks)))
    teacher.ask(questions("best", *marks))
    told = heard(teacher.answers(100))
    first = [answer["preference"] == 1.0 for answer in told["pair"].values()]
    worst = [answer["best"] == 0.0 for answer in told["best"].values()]
    assert 15 < sum(first) < 45 and 15 < sum(worst) < 45 and first != worst


def test_when_all_answers_of_one_kind_are_withdrawn_it_has_none_and_the_other_stands(store):
    teacher = StoredTeacher(store, Oracle(np.random.default_rng(0)), "oracle", seed=0)
    teacher.ask(questions("pair", (1, 2)))
    teacher.ask(questions("best", (1, 2, 3)))
    teacher.answers(100)
    store.withdraw(2, labeller="oracle")
    told = teacher.answers(200)
    assert heard(told) == {"best": {}, "pair": {1: {"preference": 0.0}}} and all(batch.whole for batch in told)


def test_a_function_that_answers_otherwise_than_its_kind_says_is_named(store):
    with pytest.raises(UserError, match="teacher 'mine': 0.5 is no answer of kind 'best'"):
        StoredTeacher(store, lambda queries: [0.5] * len(queries), "mine", seed=0).ask(questions("best", (1, 2, 3)))
    with pytest.raises(UserError, match="teacher 'mine': 1 questions need as many answers, got 0"):
        StoredTeacher(store, lambda queries: [], "mine", seed=0).ask(questions("best", (1, 2, 3), step=200))


def test_opinions_are_combined_within_their_kind(store):
    teacher = HumanTeacher(store, 0, TeacherConfig(name="human", queue=99), 1000, lambda _: None)
    teacher.ask(questions("pair", (1, 2), (2, 1)))
    teacher.ask(questions("best", *[(1, 2, 3)] * 20))
    store.answer([1, 2], [1.0, 1.0], labeller="ann", first_only=True)
    first, others = range(3, 23), [{"best": 2}] * 19
    store.answer(first, [None, *others], labeller="ann", first_only=True)
    store.answer(first, [{"best": 1}, *others], labeller="ben", first_only=True)
    told = teacher.answers(100)
    assert {batch.kind: len(batch) for batch in told} == {"pair": 2, "best": 20} and all(b.whole for b in told)
    assert heard(told)["best"][3] == {"best": 1.0}  # ann could not tell, ben could


def test_a_replay_answers_what_it_knows_in_whatever_order(store, tmp_path):
    with LabelStore.open(tmp_path / "study") as study:
        ids = study.ask(questions("best", (1, 2, 3), (4, 5, 6), (7, 7, 8)))
        details = [json.dumps({"order": [1, 2, 0]}), None, None]
        study.answer(ids, [{"best": 2}, None, {"best": 0}], labeller="ann", details=details)
        study.answer(study.ask(questions("pair", (1, 2))), [1.0], labeller="ann")
        study.watermark(100)
        teacher = ReplayTeacher(store, Replay(), 0, TeacherConfig(name="replay=study"))
        teacher.take(Recording.read(study), 0)
    teacher.ask(questions("pair", (2, 1)))
    teacher.ask(questions("best", (3, 1, 2), (6, 5, 4), (8, 7, 7), (1, 2, 4)))
    assert heard(teacher.answers(100)) == {
        "pair": {1: {"preference": 0.0}},
        "best": {2: {"best": 0.0}, 4: {"best": 1.0}},
    }
    rows = {row["query_id"]: row for row in store.history()}
    assert rows[3]["answer"] is None and rows[3]["labeller"] == "ann" and rows[5]["labeller"] == "replay"
    assert lookup.shown(rows[2]["details"], "best")["order"] == [2, 0, 1]  # the screen showed 2, 3, 1
    assert teacher.report()["unknown"] == 1


def test_shuffled_answers_of_any_kind_know_nothing():
    marks = np.random.default_rng(0).permuted(np.tile(np.arange(3), (3000, 1)), axis=1)
    marks[:, 1:] = np.sort(marks[:, 1:])  # so that places are not alike
    asked = questions("best", *marks.tolist())
    dealt = Shuffled(Oracle(np.random.default_rng(0)), seed=0)(asked)
    right = np.mean([answer["best"] == place for answer, place in zip(dealt, marks.argmax(1), strict=True)])
    said = np.bincount([answer["best"] for answer in dealt], minlength=3) / 3000
    truth = np.bincount(marks.argmax(1), minlength=3) / 3000
    assert right == pytest.approx(float(said @ truth), abs=0.04)


def test_people_are_checked_by_pairs_alone(store):
    teacher = HumanTeacher(store, 0, TeacherConfig(name="human", queue=99, gold=0.3), 1000, lambda _: None)
    teacher.ask(questions("best", *[(1, 2, 900)] * 10))
    assert store.asked_queries(gold=True) == []
    teacher.ask(questions("pair", *[(1, 900)] * 10))
    gold = store.asked_queries(gold=True)
    assert gold and set(store.kinds(gold).values()) == {"pair"}
    assert all(row["answer"]["preference"] in (0.0, 1.0) for row in store.history())
