"""Twenty people at once, in their own processes' eyes: each answer is stored once, and no question is asked twice."""

from collections import Counter

import pytest

from benchmarks.label_load import check, load, make_run
from prefrl.store.store import LabelStore

ANSWERS, LABELLERS = 400, 20


@pytest.mark.slow  # hundreds of answers, each of which waits until it is on the disk
def test_twenty_labellers_lose_nothing_and_double_nothing(tmp_path):
    """`python -m benchmarks.label_load` does it with ten times as many, and measures how long they wait."""
    make_run(tmp_path / "run", ANSWERS + 100, side=40)
    people, _ = load(tmp_path / "run", LABELLERS, ANSWERS, pause=0.0, clips=False)
    assert check(tmp_path / "run", people) == {
        "acknowledged": ANSWERS, "stored": ANSWERS, "lost": 0, "changed": 0, "questions answered twice": 0,
        "refused with 409": 0, "database": "ok", "people who gave up": [],
    }  # fmt: skip
    with LabelStore.open(tmp_path / "run") as store:
        assert store.counts().answered == ANSWERS
        assert set(Counter(row["labeller"] for row in store.history()).values()) == {ANSWERS // LABELLERS}
