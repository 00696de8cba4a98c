"""Whatever is done to a label store: its rows only grow, and what was true up to a number stays true."""

import sqlite3
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.store.store import LabelStore

TABLES = {"queries": "id", "answers": "seq", "watermarks": "rowid"}

number = st.integers(1, 6)
preference = st.sampled_from([0.0, 0.3, 1.0, float("nan"), 2.0])
labeller = st.sampled_from(["ann", "ben"])
deed = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 3), number),
    st.tuples(st.just("answer"), number, preference, labeller),
    st.tuples(st.just("revise"), number, preference, labeller),
    st.tuples(st.just("withdraw"), number, labeller),
    st.tuples(st.just("watermark"), number),
)


def ask(store, count, name):
    segments = Segments(np.ones((count, 2, 3)), *(np.ones((count, 2, 2)),) * 2, *(np.ones((count, 2)),) * 2)
    store.ask(Queries(segments, np.zeros(count)), uids=[f"{name}-{place}" for place in range(count)])


DEEDS = {
    "ask": ask,
    "answer": lambda store, query, value, who: store.answer([query], [value], labeller=who),
    "revise": lambda store, seq, value, who: store.revise(seq, value, labeller=who),
    "withdraw": lambda store, seq, who: store.withdraw(seq, labeller=who),
    "watermark": lambda store, round: store.watermark(round),
}


def rows(folder):
    database = sqlite3.connect(Path(folder) / "labels.db")
    found = {
        table: database.execute(f"SELECT * FROM {table} ORDER BY {key}").fetchall() for table, key in TABLES.items()
    }
    database.close()
    return found


def standing(history):
    """Which answers stand, said once more and slowly: of all, and of those that say something."""
    gone = {row["supersedes"] for row in history}
    stood = [row for row in history if row["kind"] == "answer" and row["seq"] not in gone]
    return [row["seq"] for row in stood], [row["seq"] for row in stood if row["answer"] is not None]


def numbers(feedback):
    return [seq for batch in feedback for seq in batch.seq.tolist()]


@settings(max_examples=25)
@given(st.lists(deed, min_size=1, max_size=14))
def test_rows_only_grow_and_the_past_stays_what_it_was(deeds):
    with tempfile.TemporaryDirectory() as folder, LabelStore.open(folder) as store:
        ask(store, 2, "first")
        seen, past, stood, told = rows(folder), {}, [], []
        for name, *arguments in deeds:
            try:
                DEEDS[name](store, *arguments)
            except UserError:
                assert rows(folder) == seen  # refused is refused as a whole
            now = rows(folder)
            assert all(now[table][: len(seen[table])] == seen[table] for table in TABLES if table != "watermarks")
            assert set(now["watermarks"]) >= set(seen["watermarks"])
            seen, past[store.last_seq()] = now, numbers(store.feedback())
            stood, told = standing(list(store.history()))
            assert numbers(store.feedback()) == told
            assert bool(store.feedback()) == bool(stood)  # skipped answers are no feedback, but something was heard
        counts = store.counts()
        assert counts.asked == counts.answered + counts.skipped + counts.open
        assert counts.open == len(store.open_queries())
        by_query = {row["query_id"]: False for row in store.history() if row["seq"] in stood}
        by_query |= {row["query_id"]: True for row in store.history() if row["seq"] in told}
        assert (counts.answered, counts.skipped) == (sum(by_query.values()), len(by_query) - sum(by_query.values()))
        assert all(numbers(store.feedback(until=seq)) == then for seq, then in past.items())
