"""Messages between page and server, with bounds; the OpenAPI description is generated from them."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _name(text: str) -> str:
    name = unicodedata.normalize("NFC", text).strip()
    if not name or not name.isprintable():
        raise ValueError("a name has 1 to 40 printable characters")
    return name


Name = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(_name)]
SessionText = Annotated[str, Field(min_length=1, max_length=512)]
Ticket = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{8,80}$")]
Id = Annotated[int, Field(ge=1, le=2**53)]
Measured = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]  # a page may lie open for weeks


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class NewSession(Message):
    labeller: Name


class Opened(BaseModel):
    session: str
    labeller: str
    role: Literal["experimenter", "labeller"]


class OfSession(Message):
    session: SessionText


class Want(OfSession):
    want: int = Field(1, ge=1, le=6)
    holding: list[Id] = Field(default_factory=list, max_length=64)
    again: bool = False


class Holding(OfSession):
    holding: list[Id] = Field(default_factory=list, max_length=64)


class Flag(OfSession):
    query: Id
    note: str = Field("", max_length=1000)


class Payload(OfSession):
    """An answer about the clips as displayed; its question's kind says what it may be. A null answer skips."""

    answer: dict[str, Any] | None = None
    choice: str | None = Field(None, max_length=40)  # the word of a choice instead: what pages of release 1 have queued

    @model_validator(mode="after")
    def _says_something(self) -> Payload:
        if not {"answer", "choice"} & self.model_fields_set:
            raise ValueError("an answer is missing")
        return self


class Answer(Payload):
    ticket: Ticket
    query: Id
    decision_ms: Measured | None = None
    shown_ms: Measured | None = None
    loops: Measured | None = None
    speed: Measured | None = None
    revealed: bool = False


class Revision(Payload):
    ticket: Ticket


class Withdrawal(OfSession):
    ticket: Ticket


class Known(OfSession):
    known: bool = True


class Clip(BaseModel):
    url: str
    frames: int
    columns: int
    width: int
    height: int
    fps: float
    pixelated: bool


class Question(BaseModel):
    query: int
    ticket: str
    kind: str
    clips: list[Clip] | None  # in the order displayed


class Questions(BaseModel):
    questions: list[Question]


class ModelView(BaseModel):
    """The reward model's prediction, with the clips in the order displayed."""

    chances: list[float]  # of the kind's outcomes
    rewards: list[list[float]]  # of each clip, per step
    agrees: bool | None  # None: with nothing that could be right or wrong
    version: int


class Answered(BaseModel):
    seq: int
    duplicate: bool
    model: ModelView | None


class Corrected(BaseModel):
    seq: int


class Revised(Corrected):
    model: ModelView | None


class Withdrawn(Corrected):
    question: Question


class Mine(BaseModel):
    answers: int
    per_minute: float | None
    median_seconds: float | None
    minutes: float


class Trainer(BaseModel):
    state: str
    step: int | None = None
    total_steps: int | None = None
    model_version: int | None = None
    accuracy: float | None = None
    age_seconds: float | None = None


class Status(BaseModel):
    run: str
    env: str
    question: str
    instructions: str
    role: Literal["experimenter", "labeller"]
    labeller: str
    budget: int
    asked: int
    answered: int
    skipped: int
    open: int
    ready: int
    rendering: int
    next: float | None
    trouble: str | None
    kinds: dict[str, dict[str, Any]]  # what a page needs to ask questions of each kind
    mine: Mine
    trainer: Trainer


class PastAnswer(BaseModel):
    seq: int
    query: int
    kind: Literal["answer", "opinion", "withdrawal"]
    asked_kind: str  # of the question
    answer: dict[str, Any] | None  # as displayed; null: skipped, or withdrawn
    words: str
    choice: str | None  # the word of the choice, if it was one
    clear: bool  # whether it can be right or wrong
    order: list[int]  # at each place displayed: which of the stored segments
    labeller: str
    at: float
    decision_ms: float | None
    standing: bool
    supersedes: int | None
    superseded_by: int | None
    known: bool | None
    clips: list[Clip] | None
    model: ModelView | None
    reasons: list[str] = []  # an AI's, untrusted


class History(BaseModel):
    answers: list[PastAnswer]
    more: bool


class Share(BaseModel):
    share: float
    low: float
    high: float
    n: int


class PlaceShare(Share):
    """How often answers to questions of one kind prefer a place, and the p-value without a position bias."""

    kind: str
    place: str
    p: float


class Consistency(BaseModel):
    agree: int
    n: int


class LabellerReport(Mine):
    name: str
    skips: int
    undecided: int
    places: list[PlaceShare]
    self_agreement: Consistency | None
    reordered_agreement: Consistency | None
    gold: Share | None
    reliability: float | None
    flags: list[str]


class Agreement(BaseModel):
    a: str
    b: str
    agree: float
    n: int
    kappa: float | None


class VersionAccuracy(BaseModel):
    version: int
    accuracy: float
    n: int


class ModelReport(BaseModel):
    accuracy: float | None
    n: int
    by_version: list[VersionAccuracy]


class MinuteCount(BaseModel):
    minute: int
    labeller: str
    answers: int


class Waiting(BaseModel):
    waiting: int
    oldest_seconds: float | None


class Said(BaseModel):
    labeller: str
    words: str


class Disputed(BaseModel):
    """A question on which people differ, with its segments in stored order, and the combined label."""

    query: int
    kind: str
    said: list[Said]
    label: list[float] | None  # chances of the kind's outcomes
    clips: list[Clip] | None


class Team(BaseModel):
    labellers: list[LabellerReport]
    agreement: list[Agreement]
    model: ModelReport
    per_minute: list[MinuteCount]
    open: Waiting
    corrections: int
    disputed: list[Disputed]


class Invited(BaseModel):
    labeller: str
    url: str


class Error(BaseModel):
    code: str
    message: str


class AnsweredAlready(Error):
    seq: int | None = None
    duplicate: bool | None = None
    model: ModelView | None = None
