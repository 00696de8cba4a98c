"""A folder that is there whole or not at all: written beside its place, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefrl.core.errors import StorageFull, UserError
from prefrl.core.files import sync_folder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_folder(path: Path, replaces: str | None = None, advice: str = "") -> Iterator[Path]:
    """A folder to fill, which takes its place when the block is left without an error.

    replaces: a folder that holds a file of this name gives way; any other has to be empty, or absent. advice: what
    else one can do about a folder in the way.
    """
    path = path.absolute()
    old = _in_the_way(path, replaces, advice)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        _sync(unfinished)
        aside = unfinished.with_suffix(".old")
        if old:
            os.replace(path, aside)
        os.replace(unfinished, path)  # onto an empty folder, or none
        sync_folder(path.parent)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as fault:
        if fault.errno in _FULL:
            raise StorageFull(f"no room for {path}: {fault}; free some space and try again") from fault
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have all of it on disk before it gets its name."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _in_the_way(path: Path, replaces: str | None, advice: str) -> bool:
    """Whether there is a folder that gives way. Raises UserError for anything else that is there."""
    if not os.path.lexists(path):
        return False
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"{path} is no folder; choose another place")
    if not any(path.iterdir()):
        return False
    if replaces is None:
        raise UserError(f"{path} is not empty; choose another folder{advice}")
    if not (path / replaces).is_file():
        raise UserError(f"{path} holds no {replaces}, so it is no earlier export, and stays; choose another folder")
    return True
