"""Labels survive: killed writers, full disks and many writers at once. This file is also its own child process."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from patience import LONG

import prefrl
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import StorageFull
from prefrl.store.reader import Counts
from prefrl.store.store import LabelStore

KILLS, BATCH = 10, 3


def pairs(count, seed):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(count, 2, 4))
    return Queries(
        Segments(rng.normal(size=(count, 2, 5, 3)), rewards, rewards, *(np.zeros((count, 2), int),) * 2),
        np.zeros(count),
    )


def opinion(query):
    """What the labeller of these tests thinks of a question."""
    return query % 11 / 10


def acknowledge(ids, numbers):
    for query, seq in zip(ids, numbers, strict=True):
        print(seq, query, flush=True)


def ask_and_answer_for_ever(folder):
    with LabelStore.open(folder) as store:
        while True:
            round = store.asked() // BATCH
            ids = store.ask(pairs(BATCH, round), uids=[f"r{round}-{place}" for place in range(BATCH)])
            acknowledge(ids, store.answer(ids, [opinion(query) for query in ids], labeller="ann"))


def answer_until_the_disk_is_full(folder):
    with LabelStore.open(folder) as store:
        ids = store.ask(pairs(2000, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, resource.RLIM_INFINITY))
        try:
            for query in ids:
                acknowledge([query], store.answer([query], [opinion(query)], labeller="ann"))
        except StorageFull as full:
            assert "free some space" in str(full)
            print("full", sum(map(len, store.feedback())), flush=True)


def write_at_the_same_time(folder, name):
    with LabelStore.open(folder) as store:
        for round in range(20):
            own = store.ask(pairs(2, round), uids=[f"{name}-{round}-{place}" for place in range(2)])
            acknowledge(own, store.answer(own, [opinion(query) for query in own], labeller=name))
            shared = store.ask(pairs(2, round), uids=[f"shared-{round}-{place}" for place in range(2)])
            store.answer(shared, [opinion(query) for query in shared], labeller="all")


def child(deed, *arguments):
    places = [Path(prefrl.__file__).parents[1], Path(__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, deed.__name__, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def acknowledged(output):
    """(seq, query) of the whole lines; a kill may cut the last one."""
    lines = [line.split() for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return {(int(seq), int(query)) for seq, query in lines if seq != "full"}


def stored(folder):
    """(seq, query) of the rows, once the database has been found whole."""
    database = sqlite3.connect(Path(folder) / "labels.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = database.execute("SELECT seq, query_id, preference FROM answers ORDER BY seq").fetchall()
    database.close()
    assert all(preference == opinion(query) for _, query, preference in found)
    assert [seq for seq, _, _ in found] == list(range(1, len(found) + 1))
    return {(seq, query) for seq, query, _ in found}


def test_no_acknowledged_answer_is_lost_when_the_process_is_killed(tmp_path):
    chance, promised = random.Random(0), set()
    for kill in range(KILLS):
        with child(ask_and_answer_for_ever, tmp_path) as writer:
            output = writer.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.3))
            writer.send_signal(signal.SIGKILL)
            output += writer.stdout.read()  # communicate() would lose what readline() has buffered
            assert not writer.stderr.read()
        assert writer.returncode == -signal.SIGKILL
        promised |= acknowledged(output)
        rows = stored(tmp_path)
        assert promised <= rows
        assert len(rows - promised) <= BATCH * (kill + 1)  # committed, but killed before it could say so
    with LabelStore.open(tmp_path) as store:
        assert len(store.feedback()[0]) == len(rows) >= BATCH * KILLS  # each row finds its segments


def test_a_full_disk_stores_what_it_acknowledged_and_stays_readable(tmp_path):
    writer = child(answer_until_the_disk_is_full, tmp_path)
    output, errors = writer.communicate(timeout=LONG)
    assert (writer.returncode, errors) == (0, "")
    promised = acknowledged(output)
    assert len(promised) > 5
    assert f"full {len(promised)}" in output
    assert stored(tmp_path) == promised
    with LabelStore.open(tmp_path) as store:  # there is room again
        rest = store.open_queries()[:5]
        assert len(store.answer(rest, [opinion(query) for query in rest], labeller="ann")) == 5


def test_writers_do_not_get_in_each_others_way(tmp_path):
    names = ["ann", "ben", "cem"]
    writers = [child(write_at_the_same_time, tmp_path, name) for name in names]
    outputs = [writer.communicate(timeout=LONG) for writer in writers]
    assert [errors for _, errors in outputs] == [""] * 3  # no "database is locked"
    promised = set().union(*(acknowledged(output) for output, _ in outputs))
    assert len(promised) == 3 * 40
    assert promised <= stored(tmp_path)
    with LabelStore.open(tmp_path) as store:
        assert store.counts() == Counts(asked=160, answered=160, skipped=0, open=0)
        assert store.last_seq() == 160


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
