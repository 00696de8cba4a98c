"""Read untrusted files: limits on size, checksums, and errors that name file and line."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from prefrl.core.errors import UserError, brief
from prefrl.dataset.schema import Entry

MOST_BYTES, LONGEST = 2**30, 2**20  # of a file, of a line
Model = TypeVar("Model", bound=BaseModel)


def content_of(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a plain file of reasonable size. Raises UserError for anything else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block
            raise UserError(f"{path} is no plain file; it is not from prefrl export")
        if status.st_size > most:
            raise UserError(f"{path} has {status.st_size} bytes, more than the {most} that prefrl import reads")
        return path.read_bytes()
    except OSError as fault:
        raise UserError(f"cannot read {path}: {fault}; export the run again, with --formats jsonl") from fault


def unchanged(path: Path, content: bytes, entry: Entry | None) -> bytes:
    """The same bytes. Raises UserError if dataset.json lists another size or digest."""
    if entry and (len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256):
        raise UserError(
            f"{path} is damaged or was changed: it has {len(content)} bytes, and dataset.json says {entry.bytes} with"
            f" another SHA-256. If it was changed on purpose, remove its entry from `files` in dataset.json"
        )
    return content


def parsed(path: Path, content: bytes, model: type[Model]) -> Model:
    """A JSON file as a model."""
    try:
        return model.model_validate_json(content)
    except ValidationError as fault:
        raise UserError(f"{path}: {_first(fault)}") from fault


def lines_of(path: Path, content: bytes, model: type[Model]) -> Iterator[tuple[str, Model]]:
    """The lines of a JSON Lines file as models, each with its location for error messages."""
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        where = f"{path}, line {number}"
        if not line.endswith(b"\n"):
            raise UserError(f"{where}: it is cut short, as it does not end with a line break; export the run again")
        if len(line) > LONGEST:
            raise UserError(f"{where}: it has {len(line)} bytes, more than {LONGEST}")
        try:
            yield where, model.model_validate_json(line)
        except ValidationError as fault:
            raise UserError(f"{where}: {_first(fault)}") from fault


def _first(fault: ValidationError) -> str:
    error = fault.errors(include_url=False)[0]
    name = ".".join(map(str, error["loc"]))
    value = "" if error["type"] in ("missing", "json_invalid") else f", got {brief(error['input'])}"
    return f"{name + ': ' if name else ''}{error['msg']}{value}"
