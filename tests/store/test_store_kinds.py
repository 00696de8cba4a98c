"""Questions and answers of several kinds in one label store; stores of the first release, which knew one."""

import json
from typing import Annotated

import numpy as np
import pytest
from past_the_store import unguarded
from pydantic import BaseModel, ConfigDict, Field

from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.kinds import KINDS, Kind
from prefrl.store import lookup, tables
from prefrl.store.contents import read_contents, standing_rows, write_contents
from prefrl.store.reader import Counts
from prefrl.store.store import LabelStore


class Stars(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    stars: Annotated[int, Field(ge=0, le=4)]


class Rating(Kind):
    """How good is a segment?"""

    name, about, segments, schema, question = "rating", "how good one segment is", 1, Stars, "How good?"

    def reordered(self, answer, order):
        return answer


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    order: Annotated[list[int], Field(min_length=3, max_length=3)]


class Ranking(Kind):
    """Which is best, and which next?"""

    name, about, segments, schema, question = "ranking", "an order of three segments", 3, Order, "In which order?"

    def reordered(self, answer, order):
        return {"order": [order[place] for place in answer["order"]]}


@pytest.fixture(autouse=True)
def kinds(monkeypatch):
    for kind in (Rating(), Ranking()):
        monkeypatch.setitem(KINDS, kind.name, kind)


def questions(kind, count=2, step=100, seed=0):
    rng, size = np.random.default_rng(seed), KINDS[kind].segments
    segments = Segments(*(rng.normal(size=(count, size, *shape)) for shape in ((5, 3), (4, 1), (4,), (), ())))
    return Queries(segments, np.full(count, np.nan), "uniform", step, 1, kind)


def asked(store):
    """Two questions of each kind: ids 1 to 6."""
    return [id for kind in ("rating", "pair", "ranking") for id in store.ask(questions(kind))]


GIVEN = [{"stars": 4}, None, {"preference": 0.25}, None, {"order": [2, 0, 1]}, None]


def test_answers_of_several_kinds_come_back_a_batch_for_each(store, tmp_path):
    ids = asked(store)
    assert store.answer(ids, GIVEN, labeller="ann") == [1, 2, 3, 4, 5, 6]
    with LabelStore.open(tmp_path) as other:
        batches = {batch.kind: batch for batch in other.feedback()}
    assert {kind: batch.query.tolist() for kind, batch in batches.items()} == {
        "rating": [1],
        "pair": [3],
        "ranking": [5],
    }
    assert batches["rating"].answer["stars"].tolist() == [4] and batches["pair"].answer["preference"].tolist() == [0.25]
    assert batches["ranking"].answer["order"].tolist() == [[2, 0, 1]]
    for kind, batch in batches.items():
        assert np.array_equal(batch.segments.true_rewards, questions(kind).segments.true_rewards[:1])
    assert store.counts() == Counts(asked=6, answered=3, skipped=3, open=0)
    assert [row["answer"] for row in store.history()] == GIVEN
    assert unguarded(tmp_path, "SELECT seq FROM payloads") == [(1,), (5,)]  # a bare preference is in its column


def test_a_kind_of_which_all_were_skipped_was_heard_all_the_same(store):
    ids = store.ask(questions("rating"))
    store.answer(ids, [None, None], labeller="ann")
    [batch] = store.feedback()
    assert batch.kind == "rating" and len(batch) == 0 and store.open_queries() == []


def test_answers_of_any_kind_are_corrected_withdrawn_and_given_once(store):
    ids = asked(store)
    store.answer(ids, GIVEN, labeller="ann")
    assert store.answer(ids, GIVEN, labeller="ann") == [1, 2, 3, 4, 5, 6]
    with pytest.raises(UserError, match=r"taken by answer 1 with content '\{\"stars\": 4\}'"):
        store.answer(ids[:1], [{"stars": 3}], labeller="ann")
    store.revise(1, {"stars": 0}, labeller="ann")
    store.revise(5, None, labeller="ann")
    store.withdraw(3, labeller="ann")
    batches = {batch.kind: batch for batch in store.feedback()}
    assert batches["rating"].answer["stars"].tolist() == [0] and not len(batches["ranking"])
    assert not len(batches["pair"]) and store.open_queries() == [3]  # of the other pair somebody could not tell
    assert store.counts() == Counts(asked=6, answered=1, skipped=4, open=1)
    assert {batch.kind: len(batch) for batch in store.feedback(until=6)} == {"rating": 1, "pair": 1, "ranking": 1}
    assert [row["seq"] for row in standing_rows(store.history())] == [2, 4, 6, 7, 8]


@pytest.mark.parametrize("kind, answer, message", [
    ("rating", {"stars": 5}, "no answer of kind 'rating': stars: .*less than or equal to 4"),
    ("rating", 0.5, "no answer of kind 'rating'"),
    ("ranking", {"order": [0, 1]}, "order: .*at least 3 items"),
    ("pair", {"stars": 1}, "no answer of kind 'pair'"),
])  # fmt: skip
def test_an_answer_that_is_none_of_its_kind_is_refused(store, kind, answer, message):
    [id, _] = store.ask(questions(kind))
    with pytest.raises(UserError, match=message):
        store.answer([id], [answer], labeller="ann")
    assert store.last_seq() == 0


def test_questions_have_the_kinds_number_of_segments(store):
    pairs = questions("pair").segments
    with pytest.raises(UserError, match=r"kind 'ranking' show segments of shape \(Q, 3, T\); got .* \(2, 2, 4\)"):
        store.ask(Queries(pairs, np.zeros(2), kind="ranking"))
    with pytest.raises(UserError, match="unknown kind of feedback 'ratin'; did you mean 'rating'"):
        store.ask(Queries(pairs, np.zeros(2), kind="ratin"))
    with pytest.raises(UserError, match=r"of the kinds \['pair', 'rating'\]; read those of each kind by themselves"):
        store.queries([*store.ask(questions("pair")), *store.ask(questions("rating"))])
    assert store.queries([3]).kind == "rating"


@pytest.mark.parametrize("damage", [
    "UPDATE payloads SET content = '{\"stars\": 1}' WHERE seq = 1",
    "DELETE FROM payloads WHERE seq = 1",
    "UPDATE payloads SET seq = 2 WHERE seq = 1",
    "INSERT INTO payloads VALUES (3, '{\"preference\": 1.0}')",
    "UPDATE queries SET kind = 'ranking' WHERE id = 1",
])  # fmt: skip
def test_a_damaged_payload_is_named_and_does_not_count(store, tmp_path, damage):
    store.answer(asked(store), GIVEN, labeller="ann")
    store.close()
    unguarded(tmp_path, damage)
    with (
        pytest.warns(UserWarning, match=r"answers \[.*\] are not what was written"),
        LabelStore.open(tmp_path) as again,
    ):
        hit = 3 if "INSERT" in damage else 1
        assert hit in again.open_queries()
        assert hit not in [query for batch in again.feedback() for query in batch.query.tolist()]
        assert 5 in [query for batch in again.feedback() for query in batch.query.tolist()]


def test_a_copied_record_has_all_answers_and_the_same_seals(store, tmp_path):
    store.answer(asked(store), GIVEN, labeller="ann")
    with LabelStore.open(tmp_path / "other") as other:
        write_contents(other, read_contents(store))
        assert read_contents(other) == read_contents(store)
    seals = "SELECT * FROM seals ORDER BY seq"
    assert unguarded(tmp_path / "other", seals) == unguarded(tmp_path, seals)


def test_only_a_store_with_other_kinds_refuses_the_first_release(store, tmp_path):
    store.answer(store.ask(questions("pair")), [1.0, 0.0], labeller="ann")
    assert unguarded(tmp_path, "SELECT max(format) FROM store_format") == [(tables.PAIRS,)]
    store.ask(questions("rating"))
    store.ask(questions("rating", step=200))
    assert unguarded(tmp_path, "SELECT max(format) FROM store_format") == [(tables.FORMAT,)]


def test_a_store_of_the_first_release_takes_answers_of_other_kinds(store, tmp_path):
    store.answer(store.ask(questions("pair")), [1.0, 0.0], labeller="ann")
    store.displays.add([{"ticket": "old", "query_id": 1, "labeller": "ann", "mirrored": True, "purpose": "new"}])
    store.close()
    unguarded(tmp_path, "DROP TABLE payloads", 'ALTER TABLE displays DROP COLUMN "order"')
    with LabelStore.open(tmp_path) as again:
        assert again.displays.find("old")["order"] == [1, 0]
        [id, _] = again.ask(questions("ranking"))
        shown = {"ticket": "new", "query_id": id, "labeller": "ann", "order": [2, 0, 1], "purpose": "new"}
        again.displays.add([shown])
        assert again.displays.find("new")["order"] == [2, 0, 1]
        again.answer([id], [{"order": [0, 1, 2]}], labeller="ann")
        assert {batch.kind: len(batch) for batch in again.feedback()} == {"pair": 2, "ranking": 1}


def test_how_an_answer_was_shown_reads_alike_whoever_noted_it():
    assert lookup.shown(None)["order"] == [0, 1] and lookup.shown(None, "ranking")["order"] == [0, 1, 2]
    assert lookup.shown('{"mirrored": true}')["order"] == [1, 0]
    assert lookup.shown('{"order": [2, 0, 1]}', "ranking")["order"] == [2, 0, 1]
    old = lookup.shown(json.dumps({"model": {"version": 3, "probability": 0.25}}))["model"]
    assert (old["version"], old["chances"]) == (3, [0.25, 0.75])


def test_rows_for_people_say_the_kind_and_the_answer(store):
    store.answer(asked(store), GIVEN, labeller="ann")
    [one] = lookup.page(store, "ann", 2, 9)
    assert (one["asked_kind"], one["answer"], one["kind"]) == ("rating", {"stars": 4}, "answer")
    assert lookup.by_seq(store, 5)["answer"] == {"order": [2, 0, 1]} and lookup.by_seq(store, 6)["answer"] is None
    assert [given.place.query for given in lookup.given_once(store, "ann")] == [1, 3, 5]
    store.answer([2], [{"stars": 2}], labeller="ann", kind="truth", keys=["2:truth"])
    assert lookup.truth(store, [2])[2]["answer"] == {"stars": 2}
    assert [place.query for place in lookup.known_places(store, "ben", 9)] == [2]
