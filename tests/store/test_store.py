"""The label store: what was asked and answered comes back, in order, once, and nothing is ever changed."""

import json
import sqlite3

import numpy as np
import pytest
from past_the_store import raw

from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.store.reader import Counts
from prefrl.store.segment_files import PARTS
from prefrl.store.store import LabelStore

FIRST, EQUAL, SECOND, SKIP = 1.0, 0.5, 0.0, float("nan")


def pairs(count=3, seed=0, step=0, score=np.nan, strategy="uniform"):
    rng = np.random.default_rng(seed)
    shapes = ((count, 2, 5, 3), (count, 2, 4, 1), (count, 2, 4), (count, 2), (count, 2))
    segments = Segments(*(rng.normal(size=shape) for shape in shapes))
    return Queries(segments, np.full(count, score), strategy, step, model_version=step // 100)


def assert_equal(found, expected):
    for part in PARTS:
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


def test_answers_come_back_in_order_with_their_segments(store, tmp_path):
    first, second = store.ask(pairs(seed=1)), store.ask(pairs(seed=2))
    assert store.answer([second[1], first[0]], [FIRST, SECOND], labeller="ann") == [1, 2]
    with LabelStore.open(tmp_path) as other:
        [feedback] = other.feedback()
    np.testing.assert_array_equal(feedback.answer["preference"], [1.0, 0.0])
    np.testing.assert_array_equal(feedback.seq, [1, 2])
    assert_equal(feedback.segments, Segments.concatenate([pairs(seed=2).segments[[1]], pairs(seed=1).segments[[0]]]))


def test_feedback_starts_after_and_ends_at_a_number(store):
    store.answer(store.ask(pairs(5)), np.full(5, FIRST), labeller="ann")
    assert store.feedback(after=1, until=3)[0].seq.tolist() == [2, 3]
    assert store.feedback(after=5) == []
    assert store.last_seq() == 5


def test_an_empty_store_has_no_feedback(store):
    assert store.feedback() == []
    assert store.last_seq() == store.asked() == 0
    assert store.ask(pairs(0)) == store.answer([], [], labeller="ann") == store.open_queries() == []
    assert store.counts() == Counts(0, 0, 0, 0)


def test_soft_answers_are_learned_from_and_skips_are_not(store):
    store.answer(store.ask(pairs(4)), [0.25, SKIP, EQUAL, 1.0], labeller="ann")
    np.testing.assert_array_equal(store.feedback()[0].answer["preference"], [0.25, 0.5, 1.0])
    assert store.feedback()[0].query.tolist() == [1, 3, 4]
    assert store.counts() == Counts(asked=4, answered=3, skipped=1, open=0)


@pytest.mark.parametrize("wrong", [1.5, -0.1, np.inf, -np.inf])
def test_a_preference_outside_the_range_is_refused_with_all_its_batch(store, wrong):
    ids = store.ask(pairs(2))
    with pytest.raises(UserError, match=rf"preference {wrong} for question 2 of 2 is not in"):
        store.answer(ids, [FIRST, wrong], labeller="ann")
    assert store.last_seq() == 0


def test_an_unknown_question_is_refused_with_all_its_batch(store):
    ids = store.ask(pairs(1))
    with pytest.raises(UserError, match="has no question 77"):
        store.answer([*ids, 77], [FIRST, FIRST], labeller="ann")
    with pytest.raises(UserError, match="has no question 77"):
        store.queries([77])
    assert store.last_seq() == 0


def test_lengths_must_agree(store):
    ids = store.ask(pairs(2))
    with pytest.raises(UserError, match="2 questions need one preference each"):
        store.answer(ids, [FIRST], labeller="ann")
    with pytest.raises(UserError, match="3 questions need as many different uids, got 2"):
        store.ask(pairs(3), uids=["a", "b", "a"])
    with pytest.raises(UserError, match=r"shape \(Q, 2, T\)"):
        store.ask(Queries(pairs(2).segments.flat(), np.zeros(4)))


def test_a_question_asked_again_keeps_its_id_and_segments(store):
    ids = store.ask(pairs(2, seed=1), uids=["r0-0", "r0-1"])
    assert store.ask(pairs(3, seed=2), uids=["r0-1", "r0-0", "r0-2"]) == [ids[1], ids[0], 3]
    assert_equal(store.queries(ids).segments, pairs(2, seed=1).segments)
    assert_equal(store.queries([3]).segments, pairs(3, seed=2).segments[[2]])
    assert store.asked() == 3


def test_equal_questions_without_uids_are_different_questions(store):
    assert store.ask(pairs(2)) + store.ask(pairs(2)) == [1, 2, 3, 4]


def test_an_answer_given_again_counts_once(store):
    ids = store.ask(pairs(2))
    first = store.answer(ids, [FIRST, SKIP], labeller="ann", response_seconds=[1.0, 2.0])
    assert store.answer(ids, [FIRST, SKIP], labeller="ann", response_seconds=[9.0, 9.0]) == first
    assert store.answer([ids[0]] * 2, [FIRST] * 2, labeller="ben") == [3, 3]
    assert store.last_seq() == 3


def test_the_same_key_with_another_answer_is_refused(store):
    ids = store.ask(pairs(2))
    store.answer(ids[:1], [FIRST], labeller="ann", keys=["display-1"])
    with pytest.raises(UserError, match="'display-1' is taken by answer 1 with preference 1.0, not 0.0"):
        store.answer(ids[:1], [SECOND], labeller="ann", keys=["display-1"])
    with pytest.raises(UserError, match="'display-1' is taken by answer 1 with query_id 1, not 2"):
        store.answer(ids[1:], [FIRST], labeller="ann", keys=["display-1"])
    assert store.last_seq() == 1


def test_a_revision_takes_the_place_of_its_answer(store):
    store.answer(store.ask(pairs(2)), [FIRST, FIRST], labeller="ann")
    assert store.revise(1, SECOND, labeller="ann") == 3
    assert store.revise(1, SECOND, labeller="ann") == 3  # a retry
    assert store.feedback()[0].seq.tolist() == [2, 3]
    assert store.feedback()[0].answer["preference"].tolist() == [1.0, 0.0]
    assert_equal(store.feedback()[0].segments, pairs(2).segments[[1, 0]])
    assert store.feedback(until=2)[0].seq.tolist() == [1, 2]


def test_an_answer_is_corrected_at_most_once(store):
    store.answer(store.ask(pairs(1)), [FIRST], labeller="ann")
    store.revise(1, SECOND, labeller="ann")
    with pytest.raises(UserError, match="answer 1 was superseded by answer 2 already"):
        store.revise(1, EQUAL, labeller="ann", key="other")
    with pytest.raises(UserError, match="is taken by answer 2"):
        store.withdraw(1, labeller="ann")
    assert store.revise(2, SKIP, labeller="ann") == 3
    with pytest.raises(UserError, match="has no answer 9; the last one is 3"):
        store.revise(9, FIRST, labeller="ann")


def test_a_withdrawn_answer_leaves_its_question_open(store):
    ids = store.ask(pairs(2))
    store.answer(ids, [FIRST, FIRST], labeller="ann")
    store.withdraw(1, labeller="ann")
    assert store.feedback()[0].seq.tolist() == [2]
    assert store.open_queries() == [ids[0]]
    assert store.counts() == Counts(asked=2, answered=1, skipped=0, open=1)
    store.answer(ids, [FIRST, FIRST], labeller="ann")  # a late retry brings nothing back
    assert store.open_queries() == [ids[0]]
    store.answer(ids[:1], [SECOND], labeller="ann", keys=["second look"])
    assert store.open_queries() == []


def test_a_question_that_one_person_skips_and_another_answers_is_answered(store):
    ids = store.ask(pairs(1))
    store.answer(ids, [SKIP], labeller="ann")
    store.answer(ids, [FIRST], labeller="ben")
    assert store.counts() == Counts(asked=1, answered=1, skipped=0, open=0)


def test_a_watermark_stays_where_it_was_first_put(store, tmp_path):
    assert store.watermark(0) == 0
    ids = store.ask(pairs(4))
    store.answer(ids[:2], [FIRST, FIRST], labeller="ann")
    assert store.watermark(1) == 2
    store.answer(ids[2:], [FIRST, FIRST], labeller="ann")
    with LabelStore.open(tmp_path) as later:
        assert [later.watermark(round) for round in (0, 1, 2)] == [0, 2, 4]
        assert len(later.feedback(until=later.watermark(np.int64(1)))[0]) == 2


def test_questions_come_back_as_asked(store):
    early = store.ask(pairs(3, seed=1, step=100, score=0.5, strategy="disagreement"))
    late = store.ask(pairs(2, seed=2, step=300))
    same = store.queries(early)
    assert (same.strategy, same.step, same.model_version) == ("disagreement", 100, 1)
    assert same.scores.tolist() == [0.5] * 3
    mixed = store.queries([late[0], early[2]])
    assert (mixed.strategy, mixed.step, mixed.model_version) == ("mixed", 300, 3)
    np.testing.assert_array_equal(mixed.scores, [np.nan, 0.5])
    assert [store.asked(step) for step in (99, 100, 300, None)] == [0, 3, 5, 5]
    with pytest.raises(UserError, match="got no ids"):
        store.queries([])


def test_numpy_numbers_are_numbers(store, tmp_path):
    ids = np.array(store.ask(pairs(1, step=np.int64(7))))
    store.answer(ids, np.array([FIRST]), labeller="ann", step=np.int64(9), response_seconds=np.array([0.5]))
    assert raw(tmp_path, "SELECT typeof(asked_step) FROM queries") == [("integer",)]
    assert raw(tmp_path, "SELECT step, response_seconds FROM answers") == [(9, 0.5)]


def test_what_was_just_written_is_not_read_back(store, tmp_path):
    store.answer(store.ask(pairs(1)), [FIRST], labeller="ann")
    for file in (tmp_path / "segments").iterdir():
        file.unlink()
    assert_equal(store.feedback()[0].segments, pairs(1).segments)
    with LabelStore.open(tmp_path) as fresh, pytest.raises(UserError, match="npz is missing"):
        fresh.feedback()


def test_history_exports_every_answer_ever_given(store, tmp_path):
    store.answer(store.ask(pairs(2, step=50)), [FIRST, SKIP], labeller="ann", step=60, model_version=2)
    store.withdraw(1, labeller="ann")
    store.export_jsonl(tmp_path / "labels.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert lines == list(store.history())
    assert [(line["seq"], line["kind"], line["preference"], line["supersedes"]) for line in lines] == [
        (1, "answer", 1.0, None),
        (2, "answer", None, None),
        (3, "withdrawal", None, 1),
    ]
    assert (lines[0]["asked_step"], lines[0]["step"], lines[0]["model_version"]) == (50, 60, 2)


FORBIDDEN = [
    "UPDATE answers SET preference = 0",
    "UPDATE queries SET row = 0",
    "UPDATE watermarks SET seq = 9",
    "UPDATE store_format SET format = 9",
    "DELETE FROM answers",
    "DELETE FROM queries",
    "INSERT OR REPLACE INTO answers SELECT seq, query_id, key, kind, 0, labeller, 0, 0, 0, supersedes, 0, NULL FROM answers",
    "INSERT OR REPLACE INTO watermarks VALUES (1, 9)",
    "INSERT INTO watermarks VALUES (1, 9) ON CONFLICT (round) DO UPDATE SET seq = 9",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_database_itself_refuses_changes(store, tmp_path, statement):
    store.answer(store.ask(pairs(2)), [FIRST, FIRST], labeller="ann")
    store.watermark(1)
    before = raw(tmp_path, "SELECT * FROM answers")
    with pytest.raises(sqlite3.IntegrityError, match="is append-only"):
        raw(tmp_path, statement)
    assert raw(tmp_path, "SELECT * FROM answers") == before


def test_commits_reach_the_disk_before_they_are_acknowledged(store):
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_newer_format_is_refused_naming_both(store, tmp_path):
    store.close()
    raw(tmp_path, "INSERT INTO store_format VALUES (7)")
    with pytest.raises(UserError, match=r"labels.db has format 7, this prefrl reads up to format 2"):
        LabelStore.open(tmp_path)


def test_a_file_that_is_no_database_is_refused_untouched(tmp_path):
    (tmp_path / "labels.db").write_bytes(b"my dear diary" * 1000)
    with pytest.raises(UserError, match=r"labels.db is not a database"):
        LabelStore.open(tmp_path)
    assert (tmp_path / "labels.db").read_bytes() == b"my dear diary" * 1000


def test_the_database_of_something_else_is_refused(tmp_path):
    raw(tmp_path, "CREATE TABLE recipes (cake TEXT)")
    with pytest.raises(UserError, match=r"database of something else \(tables \['recipes'\]\)"):
        LabelStore.open(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_database_is_refused(store, tmp_path, damage):
    store.answer(store.ask(pairs(300)), np.full(300, FIRST), labeller="ann")
    store.close()
    path = tmp_path / "labels.db"
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + (b"\xff" * half if damage == "overwritten" else b""))
    with pytest.raises(UserError, match=r"labels.db is damaged"):
        LabelStore.open(tmp_path)


def test_any_folder_name_will_do(tmp_path):
    folder = tmp_path / "what? 100%20 #1"
    folder.mkdir()
    with LabelStore.open(folder) as store:
        store.ask(pairs(1))
    assert (folder / "labels.db").exists()


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense", "sqlite+none:///x"])
def test_a_database_we_cannot_use_is_refused(tmp_path, url):
    with pytest.raises(UserError, match="postgresql"):
        LabelStore.open(tmp_path, url)
