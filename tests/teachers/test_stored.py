import warnings

import numpy as np
import pytest

from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.store.store import LabelStore
from prefrl.teachers.oracle import Oracle
from prefrl.teachers.stored import Shuffled, StoredTeacher

RNG = np.random.default_rng(0)


def questions(ask, count: int, step: int, seed: int = 0) -> Queries:
    found = ask(np.random.default_rng(seed).normal(size=(count, 2, 3)))
    return Queries(found.segments, found.scores, "uniform", step, 2)


def truth(queries: Queries) -> np.ndarray:
    """What an oracle answers."""
    return (queries.segments.true_returns[:, 0] > queries.segments.true_returns[:, 1]).astype(float)


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path) as opened:
        yield opened


def stored(store, function=None) -> StoredTeacher:
    return StoredTeacher(store, function or Oracle(np.random.default_rng(0)), "oracle", seed=1)


def numbers(answers) -> np.ndarray:
    """Answers as preferences, NaN where skipped."""
    return np.array([np.nan if answer is None else answer["preference"] for answer in answers])


def test_a_function_answers_through_the_store(ask, store):
    asked = questions(ask, 6, 100)
    teacher = stored(store)
    teacher.ask(asked)
    [answers] = teacher.answers(100)
    assert (answers.answer["preference"] == truth(asked)).all() and answers.seq.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.array_equal(answers.segments.true_rewards, asked.segments.true_rewards)
    assert {(row["labeller"], row["step"], row["model_version"]) for row in store.history()} == {("oracle", 100, 2)}


def test_each_answer_is_picked_up_once(ask, store):
    teacher = stored(store)
    assert teacher.answers(0) == []
    teacher.ask(questions(ask, 3, 100))
    assert len(teacher.answers(100)[0]) == 3
    assert teacher.answers(200) == []
    teacher.ask(questions(ask, 2, 300))
    assert teacher.answers(300)[0].seq.tolist() == [4, 5]


def test_a_teacher_that_skips_everything_is_named_once_and_early(ask, store):
    teacher = stored(store, lambda queries: np.full(len(queries), np.nan))
    teacher.ask(questions(ask, 19, 100))
    with pytest.warns(UserWarning, match="has skipped all of the first 20 questions") as told:
        teacher.ask(questions(ask, 1, 200))
        teacher.ask(questions(ask, 30, 300))
    assert len(told) == 1


def test_a_teacher_that_once_told_may_skip_as_it_likes(ask, store):
    told = iter([np.array([1.0]), np.full(40, np.nan)])
    teacher = stored(store, lambda queries: next(told))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teacher.ask(questions(ask, 1, 100))
        teacher.ask(questions(ask, 40, 200))


def test_a_person_answers_later_and_in_any_order(ask, store):
    teacher = stored(store, lambda queries: None)
    with pytest.warns(UserWarning, match="gave None, so its answers are awaited in the label store"):
        teacher.ask(questions(ask, 3, 100))
    assert teacher.answers(100) == [] and store.open_queries() == [1, 2, 3]
    store.answer([3, 1], [1.0, np.nan], labeller="ann")
    [answers] = teacher.answers(200)
    assert answers.query.tolist() == [3] and answers.answer["preference"].tolist() == [1.0]
    assert store.open_queries() == [2] and store.counts().skipped == 1  # a skip is no feedback, but it was given
    store.answer([2], [np.nan], labeller="ann")
    [nothing] = teacher.answers(300)
    assert len(nothing) == 0 and not nothing.whole and store.open_queries() == []


def test_a_resumed_run_reads_the_answers_of_a_step_as_they_were_then(ask, store):
    teacher = stored(store, lambda queries: None)
    teacher.ask(questions(ask, 3, 100))
    store.answer([1], [1.0], labeller="ann")
    assert len(teacher.answers(100)[0]) == 1
    store.answer([2, 3], [0.0, 0.0], labeller="ann")  # after the kill
    again = stored(store, lambda queries: None)
    assert again.answers(100)[0].seq.tolist() == [1]
    assert again.answers(200)[0].seq.tolist() == [2, 3]


def test_asking_again_after_a_kill_asks_nothing_twice(ask, store):
    first = questions(ask, 4, 100)
    stored(store).ask(first)
    stored(store).ask(questions(ask, 4, 100, seed=9))  # other segments under the same names: the stored ones stand
    assert store.counts().asked == store.counts().answered == 4
    assert np.array_equal(store.queries([1, 2, 3, 4]).segments.true_rewards, first.segments.true_rewards)
    assert np.array_equal(store.feedback()[0].answer["preference"], truth(first))


def test_a_kill_between_asking_and_answering_leaves_no_question_open(ask, store):
    asked = questions(ask, 4, 100)
    stored(store, lambda queries: None).ask(asked)
    store.answer([2], [0.5], labeller="oracle")
    stored(store, lambda queries: [0.1, 0.2, 0.3, 0.4]).ask(asked)
    assert store.open_queries() == []
    assert store.feedback()[0].answer["preference"].tolist() == [0.5, 0.1, 0.3, 0.4]  # question 2 had its answer


def test_a_teacher_slips_alike_when_it_is_asked_again(ask, store, tmp_path):
    asked = questions(ask, 40, 100)
    with LabelStore.open(tmp_path / "other") as other:
        for kept, seed in ((store, 5), (other, 6)):  # the teacher's own generator does not matter
            stored(kept, Oracle(np.random.default_rng(seed), mistake=0.5)).ask(asked)
        assert np.array_equal(store.feedback()[0].answer["preference"], other.feedback()[0].answer["preference"])
        assert 5 < (store.feedback()[0].answer["preference"] != truth(asked)).sum() < 35


@pytest.mark.parametrize(
    "answers, message",
    [
        ([1.0], r"teacher 'oracle': answers have shape \(1,\); 3 questions need one preference each"),
        ([[1.0], [0.0], [0.0]], r"answers have shape \(3, 1\)"),
        ("all of them", "teacher 'oracle': preferences must be numbers"),
        ([1.0, 2.0, 0.0], "preference 2.0 .* is not in"),
    ],
)
def test_wrong_answers_are_refused(ask, store, answers, message):
    with pytest.raises(UserError, match=message):
        stored(store, lambda queries: answers).ask(questions(ask, 3, 100))
    assert store.counts().open == 3


def test_a_teacher_may_answer_with_a_list(ask, store):
    stored(store, lambda queries: [1, 0, 0.5]).ask(questions(ask, 3, 100))
    assert store.feedback()[0].answer["preference"].tolist() == [1, 0, 0.5]


def test_shuffled_answers_are_as_many_but_know_nothing(ask):
    asked = questions(ask, 4000, 100)
    answers = numbers(Shuffled(truth, seed=0)(asked))
    assert answers.mean() == pytest.approx(0.5, abs=0.04)
    assert (answers == truth(asked)).mean() == pytest.approx(0.5, abs=0.04)  # five standard errors


def test_shuffled_answers_know_nothing_in_small_sessions_either(ask):
    control, right = Shuffled(truth, seed=0), []
    for seed in range(1000):
        asked = questions(ask, 1, 100, seed)
        right.append(numbers(control(asked)) == truth(asked))
    assert np.mean(right) == pytest.approx(0.5, abs=0.08)


def test_shuffled_answers_keep_ties_and_skips(ask):
    asked = questions(ask, 100, 100)
    given = np.array([0.5] * 20 + [np.nan] * 30 + [1.0] * 50)
    answers = numbers(Shuffled(lambda queries: given, seed=0)(asked))
    assert (answers == 0.5).sum() == 20 and np.isnan(answers).sum() == 30
    assert not np.isnan(answers[20:50]).all()


def test_shuffled_answers_of_people_come_later_too(ask):
    assert Shuffled(lambda queries: None, seed=0)(questions(ask, 3, 100)) is None
