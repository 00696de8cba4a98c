"""A recorded run as the teacher: a study with people is run again, and ends with the same weights."""

import hashlib
import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from prefrl import checkpoint
from prefrl.api import resume
from prefrl.errors import Stopped, UserError
from prefrl.feedback.store import LabelStore

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*episodes of 200 steps"),
    pytest.mark.filterwarnings("ignore:no reward was learned"),
]
PEOPLE = {"teacher": "human", "teacher.page": False, "teacher.wait": 8, "teacher.queue": 6, "teacher.stale": 0.2}
DATED = ("answered_at", "key", "asked_at")  # what another day gives otherwise


class Study(threading.Thread):
    """Two people label a run while it trains: slowly, with slips that they correct, skips and second opinions."""

    def __init__(self, folder: Path, seed: int = 0):
        super().__init__(daemon=True)
        self.folder, self.over, self.rng = folder, threading.Event(), np.random.default_rng(seed)

    def run(self) -> None:
        while not (self.folder / "labels.db").exists() or not (self.folder / "run.json").exists():
            time.sleep(0.01)
        with LabelStore.open(self.folder) as store:
            while not self.over.wait(0.02):
                for query in store.open_queries()[: int(self.rng.integers(1, 4))]:
                    self.label(store, query)

    def label(self, store: LabelStore, query: int) -> None:
        name, other = self.rng.permutation(["ann", "ben"])
        returns = store.queries([query]).segments.true_returns[0]
        better, mirrored = float(returns[0] > returns[1]), bool(self.rng.integers(2))
        details = [json.dumps({"mirrored": mirrored, "purpose": "new"})]
        said = [np.nan, 1 - better, 0.5, better, better, better][self.rng.integers(6)]
        key = [f"{query}-{self.rng.integers(2**40)}"]  # ticket of a display
        (seq,) = store.answer([query], [said], labeller=name, response_seconds=[1.5], keys=key, details=details)
        what = self.rng.integers(5)
        if what == 0:
            store.revise(seq, better, labeller=name)
        elif what == 1:
            store.withdraw(seq, labeller=name)
        elif what == 2:
            store.answer([query], [0.0], labeller=other, first_only=True)


def weights(folder: Path) -> str:
    """One digest of policy, reward model and both optimisers in the newest checkpoint."""
    tensors, _ = checkpoint.read_newest(folder / "checkpoints")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def said(folder: Path) -> list[dict]:
    with LabelStore.open(folder) as store:
        return [{name: value for name, value in row.items() if name not in DATED} for row in store.history()]


@pytest.fixture
def studied(short, tmp_path):
    """A function: a folder's name -> a run that two people have labelled, with these settings changed."""

    def run(name: str = "study", **settings) -> Path:
        people = Study(tmp_path / name)
        people.start()
        try:
            return short(folder=name, **{**PEOPLE, "steps": 4096, "questions.budget": 40, **settings}).folder
        finally:
            people.over.set()
            people.join(10)

    return run


def again(short, study: Path, name: str = "again", **settings):
    wanted = {**PEOPLE, "steps": 4096, "questions.budget": 40, "teacher": f"replay={study}", **settings}
    return short(folder=name, **wanted)


def test_a_study_that_is_replayed_ends_with_the_same_weights_bit_for_bit(studied, short):
    study = studied()
    result = again(short, study)
    assert weights(study) == weights(result.folder)
    heard = len(said(result.folder))
    assert heard > 20 and said(result.folder) == said(study)[:heard]
    told = json.loads((result.folder / "result.json").read_text())["replay"]
    assert told["known"] == told["asked"] > 30 and told["unknown"] == 0
    with LabelStore.open(study) as old, LabelStore.open(result.folder) as new:
        assert new.open_queries()[0] >= old.open_queries()[0] if old.open_queries() else True
        assert old.counts().asked == new.counts().asked and old.counts().closed == new.counts().closed


def test_a_replay_can_be_replayed(studied, short):
    study = studied()
    once = again(short, study, "once").folder
    assert weights(again(short, once, "twice").folder) == weights(study)
