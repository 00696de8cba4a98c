"""Pydantic models that validate every line of a dataset before it is imported."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Number = Annotated[int, Field(ge=0, le=2**62)]
Id = Annotated[int, Field(ge=1, le=2**62)]
Probability = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
File = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\.npz$")]


class Strict(BaseModel):
    """Strict validation: no conversion, no unknown field, no NaN or infinite number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Closed(Strict):
    """Why nobody need answer a question any more."""

    reason: Annotated[str, Field(max_length=10_000)]
    step: Number | None
    closed_at: float


class Question(Strict):
    """A line of questions.jsonl. Segments are `row` of `segments_file`."""

    id: Id
    uid: Name
    kind: Name  # of prefrl.kinds
    segments_file: File
    row: Number
    asked_step: Number
    model_version: Number
    strategy: Name
    score: float | None
    asked_at: float
    closed: Closed | None


class Label(Strict):
    """A line of labels.jsonl: an answer, opinion, withdrawal or what is known, then the question it is about."""

    seq: Id
    query_id: Id
    key: Name
    kind: Literal["answer", "opinion", "withdrawal", "truth"]
    preference: Probability | None  # of a pair; null: skipped, or the answer is another kind's
    answer: dict[str, Any] | None = None  # as its kind has it; null: skipped. The first release wrote none
    labeller: Name
    response_seconds: float | None
    step: Number | None
    model_version: Number | None
    supersedes: Id | None
    answered_at: float
    details: Annotated[str, Field(max_length=100_000)] | None
    id: Id
    uid: Name
    segments_file: File
    row: Number
    asked_step: Number
    strategy: Name
    score: float | None
    asked_at: float
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


class Moment(Strict):
    """A line of trainer.jsonl: at this step the trainer had read answers up to number `heard`, or `room` changed."""

    step: Number
    heard: Id | None
    room: Number | None


class Entry(Strict):
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
    files: dict[str, Entry]
