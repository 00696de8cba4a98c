"""SQLite's WAL does not work over a network: such a run is written another way, and says so."""

import os
import sqlite3

import numpy as np
import pytest

from prefrl.core import files as disk
from prefrl.core.data import Queries, Segments
from prefrl.store.store import LabelStore

LINE = "36 35 98:0 / {place} rw,noatime master:1 - {kind} server:/home rw"


def mounted(monkeypatch, tmp_path, kind, name="the share"):
    """As the system tells it: a disk, and a share in a folder with a space in its name; between them one of any bytes."""
    share = tmp_path / name
    share.mkdir()
    told = tmp_path / "mountinfo"
    places = [("/", "ext4"), ("/media/Fr\udcfchling\x0c", "ext4"), (str(share).replace(" ", r"\040"), kind)]
    told.write_bytes(os.fsencode("\n".join(LINE.format(place=place, kind=kind) for place, kind in places)))
    monkeypatch.setattr(disk, "MOUNTS", told)
    return share


def journal(folder):
    database = sqlite3.connect(folder / "labels.db")
    (mode,) = database.execute("PRAGMA journal_mode").fetchone()
    database.close()
    return mode


def test_on_a_share_labels_are_written_without_wal_and_it_says_so(monkeypatch, tmp_path):
    share = mounted(monkeypatch, tmp_path, "nfs4")
    segments = Segments(np.ones((1, 2, 3, 1)), *(np.ones((1, 2, 2, 1)), np.ones((1, 2, 2))), *(np.ones((1, 2)),) * 2)
    with pytest.warns(UserWarning, match=r"on a network share \(nfs4\)"), LabelStore.open(share) as store:
        store.answer(store.ask(Queries(segments, np.zeros(1))), [1.0], labeller="ann")
    assert journal(share) == "delete"
    with pytest.warns(UserWarning, match="network share"), LabelStore.open(share) as store:
        assert store.feedback()[0].answer["preference"].tolist() == [1.0]


@pytest.mark.filterwarnings("error")
def test_a_local_disk_beside_a_share_keeps_wal(monkeypatch, tmp_path):
    mounted(monkeypatch, tmp_path, "nfs4")
    LabelStore.open(tmp_path / "local").close()
    assert journal(tmp_path / "local") == "wal"


def test_a_disk_is_no_share(monkeypatch, tmp_path):
    share = mounted(monkeypatch, tmp_path, "xfs")
    assert disk.network_share(share) is None


@pytest.mark.parametrize("name", ["Übungen", "a\u00a0b"])
def test_a_share_of_any_name_is_one(monkeypatch, tmp_path, name):
    share = mounted(monkeypatch, tmp_path, "nfs4", name)
    assert disk.network_share(share / "labels.db") == "nfs4"
