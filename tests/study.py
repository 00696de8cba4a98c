"""Runs that people have labelled through the store, as the label page does: slowly, with slips, skips and second thoughts."""

import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from short import SHORT

from prefrl.runs import checkpoint
from prefrl.runs.api import train
from prefrl.store.store import LabelStore

PEOPLE: dict[str, Any] = {
    **SHORT, "steps": 3072, "questions.budget": 30, "teacher": "human", "teacher.page": False, "teacher.wait": 4,
    "teacher.queue": 6, "teacher.stale": 0.3,
}  # fmt: skip


class People(threading.Thread):
    """Ann and Ben answer some open questions now and then, and so many at most."""

    def __init__(self, folder: Path, most: int, seed: int = 0):
        super().__init__(daemon=True)
        self.folder, self.most, self.over = folder, most, threading.Event()
        self.rng = np.random.default_rng(seed)

    def run(self) -> None:
        while not (self.folder / "labels.db").exists() or not (self.folder / "run.json").exists():
            time.sleep(0.01)
        with LabelStore.open(self.folder) as store:
            while not self.over.wait(0.05) and self.most > 0:
                for query in store.open_queries()[: min(self.most, int(self.rng.integers(1, 4)))]:
                    self.label(store, query)
                    self.most -= 1

    def label(self, store: LabelStore, query: int) -> None:
        name, other = map(str, self.rng.permutation(["ann", "ben"]))
        returns = store.queries([query]).segments.true_returns[0]
        better, mirrored = float(returns[0] > returns[1]), bool(self.rng.integers(2))
        details = [json.dumps({"session": f"of {name}", "mirrored": mirrored, "purpose": "new"})]
        said = [np.nan, 1 - better, 0.5, better, better, better][self.rng.integers(6)]
        ticket = [f"{query}-{self.rng.integers(2**40)}"]
        (seq,) = store.answer([query], [said], labeller=name, response_seconds=[1.5], keys=ticket, details=details)
        match self.rng.integers(5):
            case 0:
                store.revise(seq, better, labeller=name)
            case 1:
                store.withdraw(seq, labeller=name)
            case 2:
                store.answer([query], [0.0], labeller=other, first_only=True)


def hold_study(folder: Path, env: Any = "Pendulum-v1", most: int = 999, **settings: Any) -> Path:
    """Train a run that two people label meanwhile. Returns its folder."""
    people = People(folder, most)
    people.start()
    try:
        return train(env, folder=folder, quiet=True, **{**PEOPLE, **settings}).folder
    finally:
        people.over.set()
        people.join(300)


def weights(folder: Path) -> str:
    """One digest of policy, reward model and both optimisers in the newest checkpoint."""
    found = checkpoint.read_newest(folder / "checkpoints")
    assert found
    digest = hashlib.sha256()
    for name in sorted(found[0]):
        digest.update(name.encode() + found[0][name].numpy().tobytes())
    return digest.hexdigest()
