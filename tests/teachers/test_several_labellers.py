"""Several people on one question, through the store to the learner. Real pairs: segments of Pendulum, truly different."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from prefrl.config.settings import TeacherConfig
from prefrl.core.data import Queries
from prefrl.core.errors import UserError
from prefrl.environments.recorder import Recorder
from prefrl.environments.vector import make_venv
from prefrl.store.store import LabelStore
from prefrl.store.tables import GOLD
from prefrl.teachers.crowd import by_reliability, judgements
from prefrl.teachers.human import CLEAR, HumanTeacher


@pytest.fixture(scope="module")
def pairs() -> Queries:
    """400 pairs of 10 steps of a random policy."""
    recorder = Recorder(make_venv(lambda: gym.make("Pendulum-v1"), 4), capacity=2400)
    recorder.seed(0)
    recorder.action_space.seed(0)
    recorder.reset()
    for _ in range(2400):
        recorder.step(np.array([recorder.action_space.sample() for _ in range(4)]))
    rng = np.random.default_rng(0)
    segments = recorder.cut_segments(10, rng)
    recorder.close()
    chosen = rng.permutation(len(segments))[:800].reshape(400, 2)
    return Queries(segments[chosen], np.full(400, np.nan), "uniform", 100, 1)


def truth(queries: Queries) -> np.ndarray:
    returns = queries.segments.true_returns
    return (returns[:, 0] > returns[:, 1]).astype(float)


def opened(folder: Path, opinions: float = 3) -> LabelStore:
    return LabelStore.open(folder, opinions=opinions)


def human(store: LabelStore, **settings) -> HumanTeacher:
    return HumanTeacher(store, 0, TeacherConfig(name="human", queue=10_000, **settings), 1000, lambda _: None)


def label(store: LabelStore, errors: dict[str, float], seed: int = 0) -> None:
    """Everybody judges every question, and errs at their rate."""
    rng = np.random.default_rng(seed)
    ids = [*store.asked_queries(), *store.asked_queries(gold=True)]
    right = truth(store.queries(ids))
    for name, rate in errors.items():
        said = np.abs(right - (rng.random(len(ids)) < rate))
        store.answer(ids, said, labeller=name, first_only=True)


def wrong(labels: np.ndarray, right: np.ndarray) -> float:
    """Share of wrong sides; a label in the middle is half wrong."""
    return float(np.where(labels == 0.5, 0.5, (labels > 0.5) != (right > 0.5)).mean())


@pytest.mark.parametrize(
    ("errors", "gold"),
    [({"ann": 0.05, "ben": 0.3, "eve": 0.5}, 0.1), ({"ann": 0.05, "ben": 0.3, "eve": 0.8}, 0.0)],
    ids=["one guesses, and some answers are known", "one means the opposite"],
)
def test_labels_are_better_than_the_majoritys_and_it_is_known_who_errs_how_often(pairs, tmp_path, errors, gold):
    """Seen, wrong labels: .045 against .168, and .045 against .273; reliabilities .95, .71, .50 and .93, .70, .24."""
    heard = {}
    for combine in ("reliability", "mean"):
        with opened(tmp_path / combine) as store:
            teacher = human(store, combine=combine, gold=gold)
            teacher.ask(pairs)
            label(store, errors)
            [heard[combine]] = teacher.answers(100)
            estimated = by_reliability(judgements(store.engine)).reliability
    right = truth(pairs)
    ours, majority = (wrong(heard[combine].answer["preference"], right) for combine in ("reliability", "mean"))
    assert ours < 0.09 and ours < majority - 0.08
    assert estimated == pytest.approx({name: 1 - rate for name, rate in errors.items()}, abs=0.07)


def test_one_labeller_is_heard_as_if_nothing_of_this_was_there(pairs, tmp_path):
    """Also one who is shown questions again, and known ones."""
    heard = {}
    for combine in ("reliability", "first"):
        with opened(tmp_path / combine, 1) as store:
            teacher = human(store, combine=combine, gold=0.2)
            teacher.ask(pairs[:40])
            store.answer(range(1, 41), np.tile([1.0, 0.0, 0.5, np.nan], 10), labeller="ann", first_only=True)
            store.answer(
                [1, 2],
                [0.0, 0.0],
                labeller="ann",
                keys=["a", "b"],
                kind="opinion",
                details=['{"purpose": "repeat"}'] * 2,
            )
            gold = store.asked_queries(gold=True)
            store.answer(gold, [1.0] * len(gold), labeller="ann", kind="opinion")
            [heard[combine]] = teacher.answers(100)
    one, other = heard["reliability"], heard["first"]
    assert not one.whole and np.array_equal(one.answer["preference"], other.answer["preference"], equal_nan=True)
    assert np.array_equal(one.seq, other.seq) and np.array_equal(one.query, other.query)


def test_the_learner_hears_of_every_opinion_and_gets_all_labels_anew(pairs, tmp_path):
    with opened(tmp_path, 2) as store:
        teacher = human(store)
        teacher.ask(pairs[:30])
        store.answer(range(1, 31), truth(pairs[:30]), labeller="ann", first_only=True)
        assert not teacher.answers(100)[0].whole
        assert teacher.answers(200) == []
        store.answer([1], 1 - truth(pairs[:1]), labeller="ben", first_only=True)
        [heard] = teacher.answers(300)
        assert heard.whole and len(heard) == 30
        assert (
            heard.answer["preference"][0] == 0.5 and np.abs(heard.answer["preference"][1:] - 0.5).min() > 0.3
        )  # one against one


def test_a_resumed_run_hears_the_same_labels(pairs, tmp_path):
    with opened(tmp_path) as store:
        teacher = human(store)
        teacher.ask(pairs[:50])
        label(store, {"ann": 0.1, "ben": 0.4, "eve": 0.4})
        [heard] = teacher.answers(100)
        label(store, {"joe": 0.0})  # after the kill
        again = human(store)
        assert np.array_equal(again.answers(100)[0].answer["preference"], heard.answer["preference"], equal_nan=True)
        assert np.array_equal(again.standing()[0].answer["preference"], heard.answer["preference"], equal_nan=True)
        assert not np.array_equal(
            again.answers(200)[0].answer["preference"], heard.answer["preference"], equal_nan=True
        )


def test_who_takes_an_opinion_back_changes_the_label(pairs, tmp_path):
    with opened(tmp_path, 2) as store:
        teacher = human(store, combine="mean")
        teacher.ask(pairs[:5])
        store.answer(range(1, 6), [1.0] * 5, labeller="ann", first_only=True)
        [his] = store.answer([1], [0.0], labeller="ben", first_only=True)
        assert teacher.answers(100)[0].answer["preference"][0] == 0.5
        store.withdraw(his, labeller="ben")
        assert teacher.answers(200)[0].answer["preference"][0] == 1.0


def test_a_question_is_open_until_as_many_have_judged_it_as_should(pairs, tmp_path):
    with opened(tmp_path, 2) as store:
        teacher = human(store)
        teacher.ask(pairs[:3])
        store.answer([1, 2, 3], [1.0] * 3, labeller="ann", first_only=True)
        assert store.open_queries() == [1, 2, 3] and store.counts().answered == 0
        store.answer([1], [0.0], labeller="ann", keys=["again"], kind="opinion")  # her own second word is none
        store.answer([2], [np.nan], labeller="ben", first_only=True)
        assert store.open_queries() == [1, 3] and store.counts().answered == 1 and store.counts().open == 2


def test_every_fifth_question_wants_a_second_opinion(pairs, tmp_path):
    with opened(tmp_path, 1.2) as store:
        human(store).ask(pairs[:100])
        store.answer(range(1, 101), [1.0] * 100, labeller="ann")
        assert store.open_queries() == list(range(5, 101, 5))


def test_questions_taken_back_with_some_opinions_keep_them_and_cost_what_they_cost(pairs, tmp_path):
    with opened(tmp_path, 2) as store:
        teacher = human(store, stale=0.1)
        teacher.ask(pairs[:4])
        store.answer([1, 2], [1.0, 1.0], labeller="ann", first_only=True)
        assert teacher.outdated(300) == 2  # others may be asked in place of those that nobody answered
        assert store.open_queries() == [] and store.counts().answered == 2 and store.counts().closed == 2
        assert len(teacher.answers(300)[0]) == 2


def test_known_questions_are_clear_outside_the_budget_and_teach_nothing(pairs, tmp_path):
    with opened(tmp_path, 1) as store:
        teacher = human(store, gold=0.1)
        teacher.ask(pairs[:90])
        gold = store.asked_queries(gold=True)
        assert (
            len(gold) == 10
            and store.asked() == store.counts().asked == 90
            and store.open_queries() == list(range(1, 91))
        )
        shown = store.queries(gold)
        gaps = np.abs(np.diff(shown.segments.true_returns, axis=1))
        assert shown.strategy == GOLD and gaps.min() >= CLEAR * pairs[:90].segments.true_returns.std()
        known = judgements(store.engine).truth
        assert [known[id].tolist() for id in gold] == [[first, 1 - first] for first in truth(shown).tolist()]
        assert 0 < truth(shown).sum() < 10
        teacher.ask(pairs[:90])  # after a kill
        assert store.asked_queries(gold=True) == gold and judgements(store.engine).truth.keys() == known.keys()
        store.answer(gold, truth(shown), labeller="ann", kind="opinion")
        assert teacher.answers(100) == []


def test_where_no_pair_is_clear_none_is_asked(ask, tmp_path):
    with opened(tmp_path, 1) as store:
        human(store, gold=0.2).ask(ask(np.ones((20, 2, 3))))
        assert store.asked_queries(gold=True) == []


def test_an_unknown_way_of_combining_is_refused(tmp_path):
    with opened(tmp_path) as store, pytest.raises(UserError, match="reliability"):
        human(store, combine="reliabilty")
