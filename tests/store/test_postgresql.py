"""The label store in PostgreSQL: a server of its own, started for these tests where PostgreSQL is installed."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import sqlalchemy
from patience import LONG

import prefrl
from prefrl.core.data import Queries, Segments
from prefrl.core.errors import UserError
from prefrl.store.store import LabelStore

pytest.importorskip("psycopg")
ROOT = Path(__file__).parent.parent.parent


def programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def free_port() -> int:
    """One below those that systems hand out to whoever asks, so that nobody takes it while the server starts again."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class Server(NamedTuple):
    """A server without a database of ours."""

    url: str
    restart: Callable[[], object]


@pytest.fixture(scope="module")
def server():
    if (bin := programs()) is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    place = Path(tempfile.mkdtemp(prefix="prefrl-pg-"))
    who = {}
    if os.geteuid() == 0:  # it refuses to run as root
        who = {"user": "nobody"}
        os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    port = free_port()
    quietly = {"check": True, "cwd": place, "stdout": subprocess.DEVNULL, **who}
    subprocess.run([bin / "initdb", "-D", place / "data", "-A", "trust", "-U", "prefrl", "--no-sync"], **quietly)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={place} -c fsync=off"
    control = [bin / "pg_ctl", "-D", place / "data", "-w", "-l", place / "log"]
    subprocess.run([*control, "-o", options, "start"], **quietly)
    yield Server(
        f"postgresql+psycopg://prefrl@127.0.0.1:{port}",
        lambda: subprocess.run([*control, "-m", "fast", "restart"], **quietly),
    )
    subprocess.run([*control, "-m", "immediate", "stop"], **quietly)
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def url(server, request):
    """A database for one test."""
    name = f"test_{zlib.crc32(request.node.name.encode())}"
    with sqlalchemy.create_engine(f"{server.url}/postgres", isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return f"{server.url}/{name}"


def pairs(count: int) -> Queries:
    numbers = np.arange(count * 4, dtype=np.float64).reshape(count, 2, 2)
    segments = Segments(np.ones((count, 2, 3, 1)), np.ones((count, 2, 2, 1)), numbers, *(np.ones((count, 2)),) * 2)
    return Queries(segments, np.zeros(count), "uniform", 100, 1)


def deeds(store: LabelStore) -> list:
    """All that happens to labels, and what comes of it."""
    ids = store.ask(pairs(6), uids=[f"q{k}" for k in range(6)])
    seqs = store.answer(ids[:4], [1.0, 0.0, 0.5, np.nan], labeller="ann", response_seconds=[1.0, 2.0, 3.0, 4.0])
    mark = store.watermark(200)
    revised = store.revise(seqs[0], 0.25, labeller="ann")
    store.withdraw(seqs[1], labeller="ben")
    store.close_stale(200, 300)
    [told] = store.feedback()
    assert told is not None
    return [
        ids, seqs, mark, revised, told.seq.tolist(), told.query.tolist(), np.nan_to_num(told.answer["preference"], nan=-1).tolist(),
        told.segments.true_rewards.tolist(), store.corrected(mark, revised), store.open_queries(), store.counts(),
        [{k: v for k, v in row.items() if not k.endswith("_at")} for row in store.history()],
    ]  # fmt: skip


def test_it_does_what_the_file_does(url, tmp_path):
    with LabelStore.open(tmp_path / "file") as file, LabelStore.open(tmp_path / "server", url) as server:
        assert deeds(server) == deeds(file)


def test_what_is_stored_is_there_for_another_machine_and_never_changes(url, tmp_path):
    with LabelStore.open(tmp_path, url) as store:
        store.answer(store.ask(pairs(1)), [1.0], labeller="ann")
    with LabelStore.open(tmp_path, url) as store:
        assert store.feedback()[0].answer["preference"].tolist() == [1.0]
        for statement in ("UPDATE answers SET preference = 0", "DELETE FROM answers", "TRUNCATE seals"):
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="append-only"), store.engine.begin() as connection:
                connection.exec_driver_sql(statement)
        assert store.feedback()[0].answer["preference"].tolist() == [1.0]


def test_a_row_changed_behind_its_back_is_withdrawn_with_a_warning(url, tmp_path):
    with LabelStore.open(tmp_path, url) as store:
        store.answer(store.ask(pairs(2)), [1.0, 0.0], labeller="ann")
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE answers DISABLE TRIGGER ALL")
            connection.exec_driver_sql("UPDATE answers SET preference = 0 WHERE seq = 1")
    with pytest.warns(UserWarning, match=r"answers \[1\] are not what was written"):
        store = LabelStore.open(tmp_path, url)
    with store:
        assert store.feedback()[0].query.tolist() == [2]
        assert store.open_queries() == [1]


def test_eight_labellers_at_once_give_each_question_one_answer(url, tmp_path):
    with LabelStore.open(tmp_path, url) as store:
        ids = store.ask(pairs(20))
    begin, faults = threading.Barrier(8), []

    def label(name):
        try:
            with LabelStore.open(tmp_path, url) as mine:
                begin.wait()
                for id in ids:
                    mine.answer([id], [1.0], labeller=name, first_only=True)
        except Exception as fault:
            faults.append(fault)

    people = [threading.Thread(target=label, args=(f"person {k}",)) for k in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert not faults
    with LabelStore.open(tmp_path, url) as store:
        rows = list(store.history())
        assert [row["seq"] for row in rows] == list(range(1, 161))
        assert sorted(row["query_id"] for row in rows if row["kind"] == "answer") == ids


def test_a_run_keeps_its_labels_there_and_resumes_from_them(url, tmp_path):
    settings = {"steps": 4096, "questions": {"budget": 20}, "record": {"labels": url, "video": False}, "quiet": True}
    whole = prefrl.train("Pendulum-v1", folder=tmp_path / "run", **settings)
    assert not (tmp_path / "run" / "labels.db").exists()
    with LabelStore.open(tmp_path / "run", url) as store:
        assert store.counts().answered == whole.run.asker.asked == 20
    command = [sys.executable, "-m", "prefrl.cli", "resume", str(tmp_path / "run"), "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=LONG)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["asked"] == 20


def test_a_server_that_was_restarted_is_found_again(server, url, tmp_path):
    with LabelStore.open(tmp_path, url) as store:
        ids = store.ask(pairs(2))
        store.answer(ids[:1], [1.0], labeller="ann")
        server.restart()
        store.answer(ids[1:], [0.0], labeller="ann")
        assert store.feedback()[0].answer["preference"].tolist() == [1.0, 0.0]


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    with pytest.raises(UserError, match=r"postgresql\+psycopg://ann:\*\*\*@127.0.0.1:1/labels") as refusal:
        LabelStore.open(tmp_path, "postgresql+psycopg://ann:secret@127.0.0.1:1/labels")
    assert "secret" not in str(refusal.value)
