"""What was said to a pair of segments is said again to the same pair, whichever run, number or side it has now."""

import json

import numpy as np
import pytest

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Queries, Segments
from prefrl.store import lookup
from prefrl.store.store import LabelStore
from prefrl.teachers.oracle import Oracle
from prefrl.teachers.recording import Recording
from prefrl.teachers.replay import Replay, ReplayTeacher


def asked(*marks: tuple[int, int], step: int = 0) -> Queries:
    """Questions about segments that are known by a number: the same number, the same behaviour."""
    pairs = np.array(marks, float)  # (Q, 2)
    observations = pairs[..., None, None] + np.arange(4.0)[:, None]  # (Q, 2, 4, 1)
    actions, rewards = observations[:, :, :-1] / 9, np.repeat(pairs[..., None], 3, -1)
    places = np.zeros(pairs.shape, int)
    return Queries(Segments(observations, actions, rewards, places, places), np.full(len(pairs), np.nan), step=step)


@pytest.fixture
def study(tmp_path):
    with LabelStore.open(tmp_path / "study") as opened:
        yield opened


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path / "again") as opened:
        yield opened


def replaying(study, store, step=0, unknown=None, **settings) -> ReplayTeacher:
    made = ReplayTeacher(store, Replay(unknown), 0, TeacherConfig(name="replay=study", **settings))
    made.take(Recording.read(study), step)
    return made


def heard(store) -> dict[int, float]:
    [found] = store.feedback() or [None]
    return {} if found is None else dict(zip(found.query.tolist(), found.answer["preference"].tolist(), strict=True))


def test_an_answer_comes_at_the_step_at_which_the_recorded_trainer_heard_it(study, store):
    first, second = study.ask(asked((1, 2), (3, 4)))
    study.answer([second], [1.0], labeller="ann")
    study.watermark(100)
    study.answer([first], [0.0], labeller="ann")
    study.watermark(300)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (3, 4)))
    assert teacher.answers(0) == []
    assert teacher.answers(100)[0].query.tolist() == [2]
    assert teacher.answers(200) == []
    assert teacher.answers(300)[0].answer["preference"].tolist() == [0.0]


def test_a_pair_with_its_sides_changed_gets_the_mirrored_answer(study, store):
    told = [1.0, 0.25, 0.5, np.nan]
    shown = [json.dumps({"mirrored": False}), json.dumps({"mirrored": True}), None, None]
    study.answer(study.ask(asked((1, 2), (3, 4), (5, 6), (7, 8))), told, labeller="ann", details=shown)
    study.watermark(0)
    teacher = replaying(study, store)
    teacher.ask(asked((8, 7), (6, 5), (4, 3), (2, 1)))
    [found] = teacher.answers(0)
    by_query = dict(zip(found.query.tolist(), found.answer["preference"].tolist(), strict=True))
    assert by_query == pytest.approx({4: 0.0, 3: 0.75, 2: 0.5})
    rows = {row["query_id"]: row for row in store.history()}
    assert [lookup.shown(rows[query]["details"])["order"] for query in (4, 3)] == [[1, 0], [0, 1]]
    assert rows[1]["answer"] is None and store.counts().skipped == 1  # the skip was given again, too


def test_corrections_and_withdrawals_are_made_again_when_they_were_made(study, store):
    study.answer(study.ask(asked((1, 2), (3, 4))), [1.0, 1.0], labeller="ann")
    study.watermark(100)
    study.revise(1, 0.0, labeller="ann")
    study.withdraw(2, labeller="ann")
    study.watermark(200)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (3, 4)))
    assert teacher.answers(100)[0].answer["preference"].tolist() == [1.0, 1.0]
    [changed] = teacher.answers(200)
    assert changed.whole and changed.answer["preference"].tolist() == [0.0] and changed.query.tolist() == [1]
    assert store.open_queries() == [2]


def test_at_once_means_what_stands_in_the_end(study, store):
    ids = study.ask(asked((1, 2), (3, 4), (5, 6)))
    study.answer(ids, [1.0, 1.0, 1.0], labeller="ann")
    study.revise(1, 0.0, labeller="ben")
    study.withdraw(2, labeller="ann")
    teacher = replaying(study, store, timing="once")
    teacher.ask(asked((1, 2), (3, 4), (5, 6)))
    teacher.answers(0)
    assert heard(store) == {1: 0.0, 3: 1.0} and store.counts().skipped == 1  # nobody stands by the second


def test_second_opinions_stay_opinions_and_are_combined_as_they_were(study, store):
    ids = study.ask(asked((1, 2)))
    study.answer(ids, [1.0], labeller="ann")
    study.answer(ids, [0.0], labeller="ben", first_only=True)
    study.watermark(0)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2)))
    assert teacher.answers(0)[0].answer["preference"].tolist() == [0.5]  # ann says one thing, ben the other
    assert [(row["kind"], row["labeller"]) for row in store.history()] == [("answer", "ann"), ("opinion", "ben")]


def test_a_question_that_nobody_answered_stays_open_and_is_taken_back_when_it_was(study, store):
    study.ask(asked((1, 2), (3, 4), step=0))
    study.answer([1], [1.0], labeller="ann")
    study.watermark(50)
    study.close_stale(10, 70)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (3, 4)))
    teacher.answers(50)
    assert store.open_queries() == [2] and teacher.outdated(60) == 0
    assert teacher.outdated(70) == 1 and store.open_queries() == []
    assert teacher.outdated(70) == 1 and teacher.outdated(71) == 0


def test_what_the_recording_does_not_know_is_skipped_and_counted(study, store):
    study.answer(study.ask(asked((1, 2))), [1.0], labeller="ann")
    study.watermark(0)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (8, 9)))
    teacher.answers(0)
    assert heard(store) == {1: 1.0} and store.counts().skipped == 1 and store.open_queries() == []
    told = teacher.report()
    assert (told["asked"], told["known"], told["answered"], told["unknown"]) == (2, 1, 1, 1)


def test_or_the_oracle_is_asked(study, store):
    study.answer(study.ask(asked((1, 2))), [1.0], labeller="ann")
    study.watermark(0)
    teacher = replaying(study, store, unknown=Oracle(np.random.default_rng(0)), timing="heard")
    teacher.ask(asked((1, 2), (8, 9), (9, 8)))
    teacher.answers(0)
    assert heard(store) == {1: 1.0, 2: 0.0, 3: 1.0}  # the recorded answer stands, though it is wrong


def test_one_bit_makes_it_another_question(study, store):
    study.answer(study.ask(asked((1, 2))), [1.0], labeller="ann")
    study.watermark(0)
    teacher = replaying(study, store)
    other = asked((1, 2))
    other.segments.actions[0, 1, 2] = np.nextafter(other.segments.actions[0, 1, 2], 9)
    teacher.ask(other)
    teacher.answers(0)
    assert teacher.report()["known"] == 0


def test_pairs_that_show_the_same_are_told_apart_by_their_order(study, store):
    study.answer(study.ask(asked((1, 2), (2, 1), (1, 2))), [1.0, 0.5, 0.0], labeller="ann")
    study.watermark(0)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (2, 1), (1, 2)))
    teacher.answers(0)
    assert heard(store) == {1: 1.0, 2: 0.5, 3: 0.0}


def test_what_was_said_is_said_once_also_by_a_run_that_goes_over_the_same_ground(study, store):
    study.answer(study.ask(asked((1, 2), (3, 4))), [1.0, 1.0], labeller="ann")
    study.watermark(100)
    study.revise(1, 0.0, labeller="ann")
    study.watermark(200)
    teacher = replaying(study, store)
    teacher.ask(asked((1, 2), (3, 4)))
    teacher.answers(100), teacher.answers(200)
    before = list(store.history())
    resumed = replaying(study, store, step=0)
    resumed.ask(asked((1, 2), (3, 4)))
    assert resumed.answers(100)[0].answer["preference"].tolist() == [1.0, 1.0]
    assert resumed.answers(200)[0].answer["preference"].tolist() == [1.0, 0.0]
    assert list(store.history()) == before


def test_there_is_room_as_there_was_until_the_runs_part_ways(study, store):
    study.capacity_at(0, 8)
    study.capacity_at(200, 3)
    study.answer(study.ask(asked((1, 2))), [1.0], labeller="ann")
    study.watermark(0)
    teacher = replaying(study, store)
    assert [teacher.capacity(step) for step in (0, 100, 200, 300)] == [8, 8, 3, 3]
    teacher.ask(asked((8, 9), step=300))
    assert teacher.capacity(400) == float("inf")


def test_a_run_goes_on_with_the_recording_as_it_was(study, store):
    study.answer(study.ask(asked((1, 2))), [1.0], labeller="ann")
    study.watermark(0)
    judge = Replay()
    judge.until = Recording.read(study).last_seq
    study.revise(1, 0.0, labeller="ann")
    judge.restore(Replay.state(judge))
    teacher = ReplayTeacher(store, judge, 0, TeacherConfig(timing="once"))
    teacher.take(Recording.read(study, judge.until), 0)
    teacher.ask(asked((1, 2)))
    assert teacher.answers(0)[0].answer["preference"].tolist() == [1.0]
