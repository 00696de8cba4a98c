"""A damaged label store says so: no row that was changed on disk passes for a label."""

import random
import shutil
import warnings

import numpy as np
import pytest
from past_the_store import raw, unguarded

from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.store.contents import read_contents, write_contents
from prefrl.store.store import LabelStore
from prefrl.store.tables import GOLD
from prefrl.teachers.recording import Recording

QUESTIONS = 30


def fill(folder):
    """A store with thirty questions, of which every fifth answer was corrected and every seventh withdrawn."""
    numbers = np.arange(QUESTIONS * 4, dtype=np.float64).reshape(QUESTIONS, 2, 2)
    segments = Segments(
        np.ones((QUESTIONS, 2, 3, 1)), np.ones((QUESTIONS, 2, 2, 1)), numbers, *(np.ones((QUESTIONS, 2)),) * 2
    )
    with LabelStore.open(folder) as store:
        ids = store.ask(Queries(segments, np.zeros(QUESTIONS)))
        for k, id in enumerate(ids):
            (seq,) = store.answer([id], [k % 3 / 2], labeller="ann", response_seconds=[0.5 + k])
            if k % 5 == 4:
                store.revise(seq, 1.0, labeller="ann")
            elif k % 7 == 6:
                store.withdraw(seq, labeller="ben")
    return folder


def labels(store):
    """What the reward model would learn: question -> (preference, what the pair shows)."""
    if not (batches := store.feedback()):
        return {}
    (told,) = batches
    shown = told.segments.true_rewards.reshape(len(told.seq), -1).tolist()
    return {q: (p, s) for q, p, s in zip(told.query.tolist(), told.answer["preference"].tolist(), shown, strict=True)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("store"))


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written, tmp_path / "copy")


def test_one_flipped_bit_anywhere_never_makes_a_wrong_label_without_a_word(written, tmp_path):
    whole = (written / "labels.db").read_bytes()
    with LabelStore.open(written) as store:
        right = labels(store)
    rng, told, refused = random.Random(0), 0, 0
    folder = shutil.copytree(written, tmp_path / "flipped")
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        for beside in folder.glob("labels.db*"):
            beside.unlink()
        (folder / "labels.db").write_bytes(damaged)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                with LabelStore.open(folder) as store:
                    found = labels(store)
            except UserError:
                refused += 1
                continue
        if any("damaged" in str(warning.message) for warning in said):
            told += 1
        else:
            assert found == right
    assert told and refused  # or the flips hit nothing, and this has shown nothing


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE answers SET preference = 1.0 WHERE seq = 1",
        "UPDATE answers SET query_id = 4 WHERE seq = 1",
        "UPDATE queries SET row = 2 WHERE id = 1",
    ],
)
def test_a_changed_row_is_named_and_its_question_open_again(copy, statement):
    with LabelStore.open(copy) as store:
        right = labels(store)
    unguarded(copy, statement)
    with pytest.warns(UserWarning, match=r"answers \[1\] are not what was written"), LabelStore.open(copy) as store:
        found, waiting = labels(store), store.open_queries()
        store.answer([1], [0.5], labeller="cleo")
        assert labels(store)[1][0] == 0.5
    assert found == {query: label for query, label in right.items() if query != 1}
    assert 1 in waiting


@pytest.mark.parametrize(
    "hit", ["UPDATE seals SET sha256 = 'no seal' WHERE seq = 3", "DELETE FROM seals WHERE seq = 3"]
)
def test_an_answer_whose_seal_was_hit_still_counts(copy, hit):
    with LabelStore.open(copy) as store:
        right = labels(store)
    unguarded(copy, hit)
    with LabelStore.open(copy) as store:
        assert labels(store) == right


def test_a_damaged_answer_never_stood(copy):
    with LabelStore.open(copy) as store:
        mark = store.watermark(0)
        right = {query: told for query, (told, _) in labels(store).items()}
    unguarded(copy, "UPDATE answers SET preference = 1.0 WHERE seq = 1")
    with pytest.warns(UserWarning, match="damaged"), LabelStore.open(copy) as store:
        [found] = store.feedback(until=store.watermark(0))
        assert store.last_seq() > mark == store.watermark(0)
        recorded = Recording.read(store, until=mark)
    told = dict(zip(found.query.tolist(), found.answer["preference"].tolist(), strict=True))
    assert told == {query: one for query, one in right.items() if query != 1}
    assert {query: event.row["preference"] for query, (event,) in recorded.standing.items()} == told


@pytest.mark.parametrize("other", ["NULL", "4", "7"])
def test_what_a_damaged_correction_replaced_does_not_come_back(copy, other):
    unguarded(copy, f"UPDATE answers SET supersedes = {other} WHERE seq = 6")
    with pytest.warns(UserWarning, match=r"answers \[5, 6\]"), LabelStore.open(copy) as store:
        assert 5 not in labels(store)
        assert 5 in store.open_queries()
        assert 5 not in Recording.read(store).standing


@pytest.mark.parametrize("hit", ["preference = 0.0", "query_id = 4"])
def test_a_recording_keeps_what_a_damaged_correction_took_back(copy, hit):
    unguarded(copy, f"UPDATE answers SET {hit} WHERE seq = 6")
    with pytest.warns(UserWarning, match=r"\[6\]"), LabelStore.open(copy) as store:
        recorded = Recording.read(store)
    assert 4 in recorded.standing and 5 not in recorded.standing
    about = [event.row for event in recorded.events if event.row["query_id"] == 5]
    assert [(row["kind"], row["preference"]) for row in about] == [("answer", 0.5), ("withdrawal", None)]


def test_a_question_to_check_labellers_by_never_becomes_one_to_learn_from(copy):
    with LabelStore.open(copy) as store:
        (id,) = store.ask(Queries(store.queries([1]).segments, np.zeros(1), GOLD))
        store.answer([id], [1.0], labeller="ann")
        before = labels(store)
    unguarded(copy, f"UPDATE queries SET strategy = 'golf' WHERE id = {id}")
    with pytest.warns(UserWarning, match="damaged"), LabelStore.open(copy) as store:
        assert labels(store) == before


def test_a_labeller_of_any_name_leaves_it_open(copy):
    with LabelStore.open(copy) as store:
        store.answer([1], [0.5], labeller="damaged", kind="opinion")
    unguarded(copy, "UPDATE answers SET preference = 1.0 WHERE seq = 1")
    with pytest.warns(UserWarning, match=r"\[1\]"), LabelStore.open(copy) as store:
        assert 1 not in labels(store)


@pytest.mark.parametrize("name", [b"segments_filf", b"segments_\xe9ile"])
def test_a_damaged_schema_is_named(copy, name):
    file = copy / "labels.db"
    file.write_bytes(file.read_bytes().replace(b"segments_file VARCHAR", name + b" VARCHAR"))
    with pytest.raises(UserError, match="is damaged"):
        LabelStore.open(copy)


def test_lost_answers_are_named(copy):
    unguarded(copy, "DELETE FROM answers WHERE seq = 2")
    with pytest.raises(UserError, match=r"has lost the answers \[2\]; restore it from a copy"):
        LabelStore.open(copy)


def test_a_copied_record_has_the_same_seals(written, tmp_path):
    with LabelStore.open(written) as store, LabelStore.open(tmp_path) as other:
        write_contents(other, read_contents(store))

    seals = "SELECT seq, sha256 FROM seals ORDER BY seq"
    assert len(raw(written, seals)) > QUESTIONS
    assert raw(tmp_path, seals) == raw(written, seals)


def test_a_store_from_before_there_were_seals_is_sealed_with_its_next_answer(copy):
    unguarded(copy, "DROP TABLE seals")
    with LabelStore.open(copy) as store:
        before = labels(store)
        store.answer([7], [0.0], labeller="cleo")
    unguarded(copy, "UPDATE answers SET preference = 1.0 WHERE seq = 1")
    with pytest.warns(UserWarning, match=r"\[1\]"), LabelStore.open(copy) as store:
        assert labels(store) == {q: one for q, one in before.items() if q != 1} | {7: labels(store)[7]}
