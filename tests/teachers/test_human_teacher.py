"""People answer late, in any order, change their minds, or leave. Real stores; a thread stands in for the person."""

import threading
import time

import numpy as np
import pytest
from patience import until

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Queries
from prefrl.store.store import LabelStore
from prefrl.teachers.human import HumanTeacher


def questions(ask, count: int, step: int) -> Queries:
    found = ask(np.random.default_rng(step).normal(size=(count, 2, 3)))
    return Queries(found.segments, found.scores, "uniform", step, 1)


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path) as opened:
        yield opened


def human(store, told=None, **settings) -> HumanTeacher:
    wanted = TeacherConfig(name="human", **settings)
    return HumanTeacher(store, 0, wanted, 1000, (told if told is not None else []).append)


def test_training_does_not_wait_for_people_unless_told_to(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 5, 100))
    assert teacher.answers(100) == []


def test_the_queue_stops_growing_when_nobody_answers(ask, store):
    teacher = human(store, queue=8)
    assert teacher.capacity(100) == 8
    teacher.ask(questions(ask, 5, 100))
    assert teacher.capacity(200) == 3
    store.answer([2], [1.0], labeller="ann")
    assert teacher.capacity(300) == 4


def test_a_run_that_comes_to_a_step_again_finds_the_room_that_there_was(ask, store):
    teacher = human(store, queue=8)
    assert [teacher.capacity(step) for step in (100, 200)] == [8, 8]
    teacher.ask(questions(ask, 5, 200))
    assert teacher.capacity(300) == 3
    store.answer([1, 2], [1.0, 1.0], labeller="ann")
    assert teacher.capacity(400) == 5
    assert [human(store, queue=8).capacity(step) for step in (100, 200, 300, 400, 500)] == [8, 8, 3, 5, 5]


def test_questions_about_a_policy_long_gone_are_taken_back(ask, store):
    teacher = human(store, stale=0.2)
    teacher.ask(questions(ask, 3, 100))
    teacher.ask(questions(ask, 2, 200))
    store.answer([1], [1.0], labeller="ann")
    assert teacher.outdated(300) == 0
    assert teacher.outdated(350) == 2  # those of step 100 that nobody answered
    assert store.open_queries() == [4, 5] and store.counts().closed == 2
    assert human(store, stale=0.2).outdated(350) == 2  # a run that was killed and comes here again
    assert teacher.outdated(351) == 0


def test_an_answer_to_a_question_taken_back_still_counts(ask, store):
    teacher = human(store, stale=0.1)
    teacher.ask(questions(ask, 2, 100))
    assert teacher.outdated(300) == 2
    store.answer([2], [0.0], labeller="ann")
    assert teacher.answers(300)[0].answer["preference"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("settings", "enough"), [({"wait": 4}, 4), ({"lag": 2}, 5), ({"lag": 1}, 6), ({"wait": 99}, 6)]
)
def test_training_waits_for_as_many_answers_as_told(ask, store, settings, enough):
    """wait: until the first are there, or all that can be answered; lag: until so few are open."""
    told: list[str] = []
    teacher = human(store, told, **settings)
    teacher.ask(questions(ask, 6, 100))

    def person():
        until(lambda: told)
        for query in range(1, 7):
            time.sleep(0.05)
            store.answer([query], [1.0 if query % 2 else np.nan], labeller="ann")

    answering = threading.Thread(target=person)
    answering.start()
    [heard] = teacher.answers(100)
    seen = store.counts().answered + store.counts().skipped
    answering.join()
    assert teacher.seen >= enough and seen >= enough  # skipped ones count, though they are no feedback
    assert (heard.answer["preference"] == 1.0).all() and len(heard) == -(-teacher.seen // 2)
    assert told[0] == "waiting for labels" and told[-1] == "running"


def test_a_correction_brings_back_all_answers_as_they_stand_now(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 3, 100))
    first, _ = store.answer([1, 2], [1.0, 0.0], labeller="ann")
    assert not teacher.answers(100)[0].whole
    store.revise(first, 0.0, labeller="ann")
    store.answer([3], [0.5], labeller="ann")
    [corrected] = teacher.answers(200)
    assert corrected.whole and corrected.query.tolist() == [2, 1, 3]
    assert corrected.answer["preference"].tolist() == [0.0, 0.0, 0.5]


def test_a_correction_made_before_the_answer_was_heard_is_nothing_special(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 1, 100))
    store.revise(store.answer([1], [1.0], labeller="ann")[0], 0.0, labeller="ann")
    [heard] = teacher.answers(100)
    assert not heard.whole and heard.answer["preference"].tolist() == [0.0]


def test_when_every_answer_is_withdrawn_none_stands(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 1, 100))
    (only,) = store.answer([1], [1.0], labeller="ann")
    teacher.answers(100)
    store.withdraw(only, labeller="ann")
    [left] = teacher.answers(200)
    assert left.whole and len(left) == 0 and store.open_queries() == [1]


def test_an_opinion_teaches_nothing_and_closes_no_question(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 2, 100))
    store.answer([1], [1.0], labeller="ann", kind="opinion")
    assert teacher.answers(100) == [] and store.open_queries() == [1, 2]


def test_of_two_people_who_answer_at_once_one_is_learned_from_and_both_are_kept(ask, store):
    teacher = human(store)
    teacher.ask(questions(ask, 1, 100))
    start = threading.Barrier(8)

    def answer(name):
        start.wait()
        store.answer([1], [1.0], labeller=name, first_only=True)

    people = [threading.Thread(target=answer, args=(f"p{k}",)) for k in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    kinds = [row["kind"] for row in store.history()]
    assert sorted(kinds) == ["answer"] + ["opinion"] * 7
    assert len(teacher.answers(100)[0]) == 1
