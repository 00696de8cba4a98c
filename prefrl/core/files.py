"""Atomic, durable writes: files and folders are complete or absent, also after kill -9 or a loss of power."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefrl.core.errors import StorageFull, UserError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file atomically, and wait until it is on disk."""
    with new_file(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def new_file(path: Path, *, durable: bool = True, suffix: str = ".tmp") -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the block ends without an error.

    durable: it survives a loss of power; without, only the death of this process. suffix: of the unfinished file's name.
    """
    unfinished = _beside(path, suffix)
    try:
        with _full_disk_named(path):
            yield unfinished
            if durable:
                _sync_file(unfinished)
            os.replace(unfinished, path)
            if durable:
                sync_folder(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path` when the block ends without an error. An existing folder is replaced."""
    path = path.absolute()
    unfinished, old = _beside(path, ".tmp"), _beside(path, ".old.tmp")
    try:
        with _full_disk_named(path):
            unfinished.mkdir(parents=True)
            yield unfinished
            for inner in [*unfinished.rglob("*"), unfinished]:
                (sync_folder if inner.is_dir() else _sync_file)(inner)
            _exchange(unfinished, path, old)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(new: Path, path: Path, old: Path) -> None:
    """Move what is at `path` to `old`, and `new` to `path`; or leave everything where it was."""
    if path.exists():
        os.replace(path, old)
    try:
        os.replace(new, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise


def refuse_occupied(path: Path, replaces: str | None = None, advice: str = "") -> None:
    """Raise UserError if there is something at this path other than an empty folder.

    replaces: a folder that holds a file of this name may be there. advice: an alternative, for the error.
    """
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"{path} is no folder; choose another place")
    if not any(path.iterdir()):
        return
    if replaces is None:
        raise UserError(f"{path} is not empty; choose another folder{advice}")
    if not (path / replaces).is_file():
        raise UserError(f"{path} holds no {replaces}, so it is no earlier export, and stays; choose another folder")


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk: a new file survives a loss of power only after this."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _beside(path: Path, suffix: str) -> Path:
    """A unique name in the same folder: a rename is atomic only within a file system."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{suffix}")


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Raise StorageFull, with a remedy, where the disk is full."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise StorageFull(f"no room for {path}: {fault}; free some space and try again") from fault
        raise


NETWORK = (
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
)  # fmt: skip
MOUNTS = Path("/proc/self/mountinfo")  # on Linux; other systems have none


def network_share(path: Path) -> str | None:
    """The kind of network file system that a path is on; None on a local disk, or if it is unknown."""
    try:
        lines = MOUNTS.read_bytes().split(b"\n")  # names are bytes, of any encoding
    except OSError:
        return None
    kinds = {}
    for line in lines:
        mounted, _, source = line.partition(b" - ")
        if len(fields := mounted.split(b" ")) > 4:
            kinds[Path(os.fsdecode(_unescaped(fields[4])))] = os.fsdecode(source.split(b" ")[0])
    absolute = path.absolute()
    kind = next((kinds[place] for place in (absolute, *absolute.parents) if place in kinds), "")
    return kind if kind in NETWORK else None


def _unescaped(name: bytes) -> bytes:
    """The system writes a space in a name as \\040."""
    return re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), name)
