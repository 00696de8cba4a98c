"""No file and no folder is ever half written: whatever stops the writer, the old one or the new one is there."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefrl.core import files
from prefrl.core.errors import StorageFull, UserError
from prefrl.core.files import new_file, new_folder, refuse_occupied, write_durably

ROOT = Path(__file__).parent.parent


def fail(number: int):
    def raising(*_, **__):
        raise OSError(number, os.strerror(number))

    return raising


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.json"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, broken, fail(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "a.mp4", suffix=".mp4") as unfinished:
        assert unfinished.suffix == ".mp4"
        unfinished.write_bytes(b"half")
        raise KeyboardInterrupt
    assert (tmp_path / "a.mp4").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_what_to_do(tmp_path, monkeypatch, number):
    monkeypatch.setattr(files.os, "fsync", fail(number))
    with pytest.raises(StorageFull, match=f"no room for {tmp_path / 'a'}: .*; free some space and try again"):
        write_durably(tmp_path / "a", b"new")
    assert not os.listdir(tmp_path)


def test_a_folder_takes_the_place_of_an_older_one(tmp_path):
    for number in range(2):
        with new_folder(tmp_path / "out") as unfinished:
            (unfinished / "inner").mkdir()
            (unfinished / "inner" / str(number)).write_text("x")
            assert (tmp_path / "out").exists() == bool(number)
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out" / "inner") == ["1"]


def test_a_folder_that_cannot_take_its_place_leaves_the_older_one(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    replace = os.replace

    def second_fails(source, target):
        if target.name == "out" and not source.name.endswith(".old.tmp"):
            raise OSError(errno.EACCES, "no")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", second_fails)
    with pytest.raises(OSError, match="no"), new_folder(tmp_path / "out") as unfinished:
        (unfinished / "new").touch()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["old"]


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "a"
    write_durably(path, b"a" * 1_000_000)
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from prefrl.core import files
def killed(*_):
    os.kill(os.getpid(), 9)
files.os.{{call}} = killed
files.write_durably(Path({str(path)!r}), b"b" * 1_000_000)
"""
    for call in ("fsync", "replace"):
        assert subprocess.run([sys.executable, "-c", code.format(call=call)]).returncode == -9
        assert path.read_bytes() == b"a" * 1_000_000


def test_what_is_in_the_way_is_named(tmp_path):
    refuse_occupied(tmp_path / "new")
    refuse_occupied(tmp_path)  # empty
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is no folder; choose another place"):
        refuse_occupied(tmp_path / "file")
    with pytest.raises(UserError, match="is not empty; choose another folder, or burn it"):
        refuse_occupied(tmp_path, advice=", or burn it")
    with pytest.raises(UserError, match="holds no about.json, so it is no earlier export, and stays"):
        refuse_occupied(tmp_path, replaces="about.json")
    refuse_occupied(tmp_path, replaces="file")
