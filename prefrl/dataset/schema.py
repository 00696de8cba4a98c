"""Read the files of a dataset, which is not trusted: limits on size, checksums, and a model that validates every line."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from prefrl.core.errors import UserError, brief
from prefrl.kinds import Answer

MOST_BYTES, LONGEST = 2**30, 2**20  # of a file, of a line
Model = TypeVar("Model", bound=BaseModel)

Number = Annotated[int, Field(ge=0, le=2**62)]
Id = Annotated[int, Field(ge=1, le=2**62)]
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
File = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\.npz$")]


class Strict(BaseModel):
    """Strict validation: no conversion, no unknown field, no NaN or infinite number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Closed(Strict):
    """Why a question needs no more answers."""

    reason: Annotated[str, Field(max_length=10_000)]
    step: Number | None
    closed_at: float


class Asked(Strict):
    """What the line of a question and those of its labels both have. Segments are `row` of `segments_file`."""

    id: Id
    uid: Name
    segments_file: File
    row: Number
    asked_step: Number
    strategy: Name
    score: float | None
    asked_at: float


class QuestionLine(Asked):
    """A line of questions.jsonl."""

    kind: Name  # of prefrl.kinds
    model_version: Number
    closed: Closed | None


class LabelLine(Asked):
    """A line of labels.jsonl: an answer, opinion, withdrawal or true answer, and the question it is about."""

    seq: Id
    query_id: Id
    key: Name
    kind: Literal["answer", "opinion", "withdrawal", "truth"]
    preference: Probability | None  # of a pair; null: skipped, or the answer is another kind's
    answer: Answer | None = None  # as its kind has it; null: skipped. The first release wrote none
    labeller: Name
    response_seconds: float | None
    step: Number | None
    model_version: Number | None
    supersedes: Id | None
    answered_at: float
    details: Annotated[str, Field(max_length=100_000)] | None
    asked_kind: Name | None = None  # the first release wrote none
    asked_model_version: Number

    @field_validator("details")
    @classmethod
    def _checked_details(cls, details: str | None) -> str | None:
        values = {} if details is None else json.loads(details)
        if not isinstance(values, dict) or type(values.get("mirrored", False)) is not bool:
            raise ValueError("it must be a JSON object, in which `mirrored` is true or false")
        order = values.get("order", [])
        if not isinstance(order, list) or [type(place) for place in order] != [int] * len(order):
            raise ValueError("it must be a JSON object, in which `order` is a list of whole numbers")
        if sorted(order) != list(range(len(order))):
            raise ValueError("it must be a JSON object, in which `order` lists each of the segments once, from 0")
        return details


class TrainerLine(Strict):
    """A line of trainer.jsonl: at this step the trainer had read answers up to number `heard`, or `room` changed."""

    step: Number
    heard: Id | None
    room: Number | None


class FileEntry(Strict):
    """A file of the dataset."""

    bytes: Number
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Machine(Strict):
    """Versions and machine of the run, for repeating it."""

    method: str | None
    started: str | None
    python: str | None
    packages: dict[str, str | None]
    machine: str | None
    threads: int | None
    own: list[str]  # names of the user's own parts


class About(Strict):
    """dataset.json."""

    kind: Literal["prefrl preferences"]
    format: Id
    prefrl: str
    env: str
    steps: Number | None  # in a segment; None: nothing was asked
    counts: dict[str, Number]
    anonymous: bool
    formats: list[str]
    run: Machine
    config: dict[str, Any]
    files: dict[str, FileEntry]


def content_of(path: Path, most: int = MOST_BYTES, entry: FileEntry | None = None) -> bytes:
    """The bytes of a plain file. Raises UserError for a large one, and for one that is not as dataset.json lists it.

    entry: its size and digest there
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block
            raise UserError(f"{path} is no plain file; it is not from prefrl export")
        if status.st_size > most:
            raise UserError(f"{path} has {status.st_size} bytes, more than the {most} that prefrl import reads")
        content = path.read_bytes()
    except OSError as fault:
        raise UserError(f"cannot read {path}: {fault}; export the run again, with --formats jsonl") from fault
    if entry and (len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256):
        raise UserError(
            f"{path} is damaged or was changed: it has {len(content)} bytes, and dataset.json says {entry.bytes} with"
            f" another SHA-256. If it was changed on purpose, remove its entry from `files` in dataset.json"
        )
    return content


def parsed(where: Path | str, content: bytes, model: type[Model]) -> Model:
    """JSON as a model. where: the location for the error message"""
    try:
        return model.model_validate_json(content)
    except ValidationError as fault:
        error = fault.errors(include_url=False)[0]
        name = ".".join(map(str, error["loc"]))
        value = "" if error["type"] in ("missing", "json_invalid") else f", got {brief(error['input'])}"
        raise UserError(f"{where}: {name + ': ' if name else ''}{error['msg']}{value}") from fault


def lines_of(path: Path, content: bytes, model: type[Model]) -> Iterator[tuple[str, Model]]:
    """The lines of a JSON Lines file as models, each with its location for error messages."""
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        where = f"{path}, line {number}"
        if not line.endswith(b"\n"):
            raise UserError(f"{where}: it is cut short, as it does not end with a line break; export the run again")
        if len(line) > LONGEST:
            raise UserError(f"{where}: it has {len(line)} bytes, more than {LONGEST}")
        yield where, parsed(where, line, model)
