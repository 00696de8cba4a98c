"""Servers killed at random moments under load, and full disks: what was acknowledged is stored, once.

PREFRL_KILLS=200 python -m pytest tests/labelling/test_crash.py
"""

import http.client
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from patience import LONG, until
from serving import ROOT, WITHOUT_WORKER, address, ask, make_run, person_at

from benchmarks.label_load import Labeller, check
from prefrl.runs.address import read
from prefrl.store.store import LabelStore

KILLS = int(os.environ.get("PREFRL_KILLS", 10))


@pytest.fixture
def nursery(run):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "nursery.py")], text=True, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def start() -> int:
        """A server for the run; returns its process id once it serves."""
        started.stdin.write(f"{run}\n")
        started.stdin.flush()
        pid = int(started.stdout.readline())
        while (here := read(run)) is None or here.pid != pid:
            time.sleep(0.01)
        link = http.client.HTTPConnection("127.0.0.1", here.port, timeout=LONG)
        link.request("GET", "/")
        assert link.getresponse().status == 401
        return pid

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert started.stdout.readline() == "gone\n"

    yield start, kill
    started.kill()
    started.wait()


def test_no_acknowledged_answer_is_lost_and_none_is_doubled_by_kills(run, nursery):
    start, kill = nursery
    rng, end = random.Random(0), threading.Event()
    people = [Labeller(run, f"person {number}", pause=0, over=end) for number in range(4)]

    def acknowledged() -> int:
        return sum(len(person.acknowledged) for person in people)

    for number in range(KILLS):
        with LabelStore.open(run) as store:  # the trainer goes on asking
            if len(store.open_queries()) < 300:
                ask(run, 300, seed=number + 1)
        pid = start()
        if number == 0:
            for person in people:
                person.start()
        before = acknowledged()
        time.sleep(rng.uniform(0.15, 0.6))
        until(lambda before=before: acknowledged() > before + 3)  # there is something to lose, however busy the machine
        kill(pid)
        assert integrity(run) == "ok"
    pid = start()
    end.set()
    for person in people:
        person.join(LONG)
    kill(pid)
    found = check(run, people)
    assert found.pop("stored") >= found["acknowledged"] and found.pop("acknowledged") > 3 * KILLS
    del found["refused with 409"]
    assert found == {
        "lost": 0, "changed": 0, "questions answered twice": 0, "database": "ok", "people who gave up": []
    }  # fmt: skip
    with LabelStore.open(run) as store:
        judged = {row["query_id"] for row in store.history() if row["kind"] == "answer"}
        assert store.counts().answered == len(judged)


def integrity(folder: Path) -> str:
    database = sqlite3.connect(folder / "labels.db")
    try:
        return database.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        database.close()


def test_on_a_full_disk_what_was_acknowledged_is_stored_and_the_rest_is_said_not_to_be(tmp_path):
    """A limit on the size of files stands for the disk: no right to mount one is needed."""
    run = tmp_path / "run"
    make_run(run, 400)
    most = (run / "labels.db").stat().st_size + 150_000

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    command = [sys.executable, "-c", WITHOUT_WORKER, "label", str(run), "--no-browser"]
    server = subprocess.Popen(
        command, cwd=ROOT, preexec_fn=limit, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    person = person_at(address(run, server), "ann")
    acknowledged, full = {}, None
    while full is None:
        found = person.say("/api/next")
        reply = person.answer(found.json()["questions"][0]) if found.status_code == 200 else found
        if reply.status_code == 201:
            acknowledged[reply.json()["seq"]] = found.json()["questions"][0]["query"]
        else:
            full = reply
        assert len(acknowledged) < 400
    assert (full.status_code, full.json()["code"]) == (507, "storage_full")
    assert acknowledged and person.get("/api/status")["asked"] == 400
    past = person.get("/api/history", limit=200)
    assert {answer["seq"] for answer in past["answers"]} <= set(acknowledged)
    server.terminate()
    server.communicate(timeout=LONG)
    with LabelStore.open(run) as store:
        assert {row["seq"]: row["query_id"] for row in store.history()} == acknowledged
        store.export_jsonl(tmp_path / "labels.jsonl")
    assert integrity(run) == "ok"
