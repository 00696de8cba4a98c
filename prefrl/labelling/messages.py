"""What page and server say to each other, with bounds; the interface's own description is made from these."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from prefrl.kinds.views import Choice


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


class Answer(OfSession):
    ticket: Ticket
    query: Id
    choice: Choice
    decision_ms: Measured | None = None
    shown_ms: Measured | None = None
    loops: Measured | None = None
    speed: Measured | None = None
    revealed: bool = False


class Revision(OfSession):
    ticket: Ticket
    choice: Choice


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
    kind: Literal["pair"] = "pair"
    clips: list[Clip] | None


class Questions(BaseModel):
    questions: list[Question]


class ModelView(BaseModel):
    """What the reward model thought, as the clips were displayed."""

    probability: float
    rewards: list[list[float]]
    agrees: bool | None
    version: int


class Answered(BaseModel):
    seq: int
    duplicate: bool
    model: ModelView | None


class Corrected(BaseModel):
    seq: int


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
    mine: Mine
    trainer: Trainer


class PastAnswer(BaseModel):
    seq: int
    query: int
    kind: Literal["answer", "opinion", "withdrawal"]
    choice: Choice | None
    mirrored: bool
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


class LeftShare(Share):
    p: float


class Consistency(BaseModel):
    agree: int
    n: int


class LabellerReport(Mine):
    name: str
    skips: int
    ties: int
    left_share: LeftShare | None
    self_agreement: Consistency | None
    mirrored_agreement: Consistency | None
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
    choice: Choice


class Disputed(BaseModel):
    """A question on which people differ, with the first segment on the left, and the label that was made of it."""

    query: int
    said: list[Said]
    label: float | None
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
