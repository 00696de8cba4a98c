"""Checkpoints: safetensors and JSON under a manifest of checksums, written whole or not at all. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from prefrl.core.errors import StorageFull, UserError
from prefrl.core.files import new_folder
from prefrl.core.tensors import State, Tensors

FORMAT = 1
MOST_BYTES = {"manifest.json": 2**20, "state.json": 2**26, "tensors.safetensors": 2**32}


def write(folder: Path, step: int, tensors: Tensors, state: State, keep: int) -> Path:
    """Write the checkpoint of one step, then delete all but the newest `keep`, and those of later steps, from before the
    run was restored. Raises UserError for numbers that are not finite, StorageFull where the disk is.
    """
    for name, values in tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise UserError(f"{name} is not finite at step {step}; no checkpoint was written, the previous one stands")
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob("*.tmp"):
        shutil.rmtree(unfinished, ignore_errors=True)
    files = {
        "tensors.safetensors": save(
            {name: values.detach().cpu().contiguous().clone() for name, values in tensors.items()}
        ),
        "state.json": json.dumps(state).encode(),
    }
    manifest = {"format": FORMAT, "step": step, "files": {name: _entry(content) for name, content in files.items()}}
    files["manifest.json"] = json.dumps(manifest, indent=1).encode()
    final = folder / f"{step:012d}"
    try:
        with new_folder(final) as unfinished:
            for name, content in files.items():
                (unfinished / name).write_bytes(content)
    except (OSError, StorageFull) as fault:
        reason = fault.__cause__ or fault
        raise StorageFull(f"cannot write the checkpoint {final}: {reason}; free some space and resume") from fault
    index = found(folder).index(final)
    for other in found(folder)[:index] + found(folder)[index + keep :]:
        shutil.rmtree(other, ignore_errors=True)
    return final


def _entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def found(folder: Path) -> list[Path]:
    """All finished checkpoints, the newest first."""
    return sorted((path for path in folder.glob("*") if path.name.isdigit()), reverse=True)


def read_newest(folder: Path) -> tuple[Tensors, State] | None:
    """The newest checkpoint that is whole; a damaged one is passed over with a warning. None: there is none at all."""
    damaged = []
    for path in found(folder):
        try:
            return read(path)
        except _Damaged as fault:
            warnings.warn(f"{fault}; falling back to the one before", stacklevel=2)
            damaged.append(path.name)
    if damaged:
        raise UserError(
            f"all checkpoints in {folder} are damaged ({', '.join(damaged)}); start the run anew,"
            " or delete them and resume: it then begins at step 0, with the answers that it has"
        )
    return None


class _Damaged(UserError):
    """A checkpoint that is not what its manifest says."""


def read(path: Path) -> tuple[Tensors, State]:
    """Tensors and state of one checkpoint. Raises UserError if it is damaged, hostile or of a newer format."""
    try:
        manifest = json.loads(_content(path / "manifest.json"))
        version, entries = manifest["format"], dict(manifest["files"])
        if type(version) is not int or version < 1:
            raise ValueError(f"format {version}")
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _Damaged(f"checkpoint {path} has no readable manifest ({fault})") from fault
    if version > FORMAT:
        raise UserError(f"checkpoint {path} has format {version}, this prefrl reads up to {FORMAT}; update prefrl")
    contents = {name: _content(path / name) for name in ("tensors.safetensors", "state.json")}
    for name, content in contents.items():
        if entries.get(name) != _entry(content):
            raise _Damaged(
                f"{path / name} is not what its manifest says (its {len(content)} bytes have another sha256)"
            )
    try:
        tensors, state = load(contents["tensors.safetensors"]), json.loads(contents["state.json"])
    except (SafetensorError, ValueError, RecursionError) as fault:
        raise _Damaged(f"checkpoint {path} cannot be read ({fault})") from fault
    for name, values in tensors.items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            raise _Damaged(f"checkpoint {path} holds numbers in {name} that are not finite")
    return tensors, state


def _content(file: Path) -> bytes:
    """The bytes of a file, unless it is no plain file (a pipe would block) or larger than any of ours."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES[file.name]:
            raise _Damaged(f"{file} is no plain file, or larger than {MOST_BYTES[file.name]} bytes")
        return file.read_bytes()
    except OSError as fault:
        raise _Damaged(f"{file} cannot be read ({fault})") from fault
