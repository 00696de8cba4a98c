"""What every durable write ends with."""

from __future__ import annotations

import os
import re
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """A new name survives the loss of power only once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


NETWORK = (
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs",
)  # fmt: skip
MOUNTS = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is known


def network_share(path: Path) -> str | None:
    """The kind of network file system that a path is on; None on a local disk, or where the system does not say."""
    try:
        lines = MOUNTS.read_bytes().split(b"\n")  # names are bytes, of any encoding
    except OSError:
        return None
    kinds = {}
    for line in lines:
        mounted, _, source = line.partition(b" - ")
        if len(fields := mounted.split(b" ")) > 4:
            kinds[Path(os.fsdecode(_unescaped(fields[4])))] = os.fsdecode(source.split(b" ")[0])
    here = path.absolute()
    kind = next((kinds[place] for place in (here, *here.parents) if place in kinds), "")
    return kind if kind in NETWORK else None


def _unescaped(name: bytes) -> bytes:
    """A space in it was told as \\040."""
    return re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), name)
