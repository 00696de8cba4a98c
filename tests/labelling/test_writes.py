"""Group commit: who writes at the same time waits for the disk together, and shares nothing else."""

import threading

import pytest
from sqlalchemy.exc import OperationalError

from prefrl.core.errors import StorageFull
from prefrl.labelling.messages import Refusal
from prefrl.labelling.writes import Writes
from prefrl.store.database import reading, writing
from prefrl.store.store import LabelStore


@pytest.fixture
def store(tmp_path):
    with LabelStore.open(tmp_path) as opened:
        yield opened


def together(writes: Writes, jobs) -> list:
    """Do jobs in one batch: the first holds the turn until all others wait. Returns results and faults."""
    found = [None] * len(jobs)
    begun, all_wait = threading.Event(), threading.Event()

    def first():
        begun.set()
        assert all_wait.wait(300)

    def do(place, job):
        try:
            found[place] = writes.do(job)
        except Exception as fault:
            found[place] = fault

    leader = threading.Thread(target=writes.do, args=(first,))
    leader.start()
    begun.wait(300)
    others = [threading.Thread(target=do, args=pair) for pair in enumerate(jobs)]
    [thread.start() for thread in others]
    while len(writes._waiting) < len(jobs):
        pass
    all_wait.set()
    [thread.join(300) for thread in [leader, *others]]
    return found


def commits(store, monkeypatch) -> list:
    """Grows by one with each commit of the database."""
    seen, real = [], store.engine.dialect.do_commit
    monkeypatch.setattr(store.engine.dialect, "do_commit", lambda link: (seen.append(1), real(link)))
    return seen


def test_those_who_write_at_once_wait_for_the_disk_once(store, monkeypatch):
    seen = commits(store, monkeypatch)
    jobs = [lambda n=n: (store.notices.post(f"note {n}", {"n": n}), n)[1] for n in range(20)]
    assert together(Writes(store.engine), jobs) == list(range(20))
    assert len(seen) == 2  # the first one's, and one for all others
    assert all(store.notices.read(f"note {n}")[0] == {"n": n} for n in range(20))


def test_one_that_is_refused_takes_back_what_it_wrote_and_nobody_elses(store):
    def refused():
        store.notices.post("refused", {})
        raise Refusal("invalid", "no")

    jobs = [lambda: store.notices.post("a", {}), refused, lambda: store.notices.post("b", {})]
    found = together(Writes(store.engine), jobs)
    assert found[0] is None and isinstance(found[1], Refusal) and found[2] is None
    assert [bool(store.notices.read(name)) for name in ("a", "refused", "b")] == [True, False, True]


@pytest.mark.parametrize("fault", [StorageFull("full"), OperationalError("", {}, Exception("disk I/O error"))])
def test_a_fault_of_the_database_ends_all_and_nothing_is_stored(store, fault):
    def broken():
        raise fault

    found = together(Writes(store.engine), [lambda: store.notices.post("a", {}), broken])
    assert all(isinstance(one, StorageFull) for one in found)
    assert store.notices.read("a") is None
    Writes(store.engine).do(lambda: store.notices.post("a", {}))  # and afterwards it works
    assert store.notices.read("a")


def test_within_a_job_reading_sees_what_was_written(store):
    def job():
        store.notices.post("a", {"n": 1})
        with reading(store.engine) as here, writing(store.engine) as there:
            assert here is there
        return store.notices.read("a")[0]

    assert Writes(store.engine).do(job) == {"n": 1}
