"""What every durable write ends with."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """A new name survives the loss of power only once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


NETWORK = ("9p", "afs", "ceph", "cifs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs")
MOUNTS = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is known


def network_share(path: Path) -> str | None:
    """The kind of network file system that a path is on; None on a local disk, or where the system does not say."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return None
    kinds = {}
    for line in lines:
        mounted, _, source = line.partition(" - ")
        place = mounted.split()[4].encode().decode("unicode_escape")  # a space is \040
        kinds[Path(place)] = source.split()[0]
    here = path.absolute()
    kind = next((kinds[place] for place in (here, *here.parents) if place in kinds), "")
    return kind if kind in NETWORK else None
