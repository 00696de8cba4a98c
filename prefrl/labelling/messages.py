"""Messages between page and server: requests are checked against bounds, replies are typed; OpenAPI describes both."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator
from typing_extensions import NotRequired, TypedDict  # of Python 3.12, which pydantic needs

from prefrl.kinds import Answer
from prefrl.rendering.clip_cache import SheetLayout


def labeller_name(text: str) -> str:
    """The name of a labeller as it is stored. Raises ValueError for one that cannot be shown."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= 40 or not name.isprintable():
        raise ValueError("a name has 1 to 40 printable characters")
    return name


Name = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(labeller_name)]
SessionText = Annotated[str, Field(min_length=1, max_length=512)]
Ticket = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{8,80}$")]
Id = Annotated[int, Field(ge=1, le=2**53)]
Measured = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]  # a page may lie open for weeks
Role = Literal["experimenter", "labeller"]


class NewSession(BaseModel):
    labeller: Name


class OfSession(BaseModel):
    session: SessionText


class Holding(OfSession):
    holding: list[Id] = Field(default_factory=list, max_length=64)


class Want(Holding):
    want: int = Field(1, ge=1, le=6)
    again: bool = False


class Flag(OfSession):
    query: Id
    note: str = Field("", max_length=1000)


class GivenAnswer(OfSession):
    """An answer about the clips as displayed; its question's kind says what it may be. A null answer skips."""

    answer: dict[str, Any] | None = None
    choice: str | None = Field(None, max_length=40)  # the word of a choice instead: what pages of release 1 have queued
    ticket: Ticket

    @model_validator(mode="after")
    def _require_one(self) -> GivenAnswer:
        if not {"answer", "choice"} & self.model_fields_set:
            raise ValueError("an answer is missing")
        return self


class FirstAnswer(GivenAnswer):
    query: Id
    decision_ms: Measured | None = None
    shown_ms: Measured | None = None
    loops: Measured | None = None
    speed: Measured | None = None
    revealed: bool = False


class Withdrawal(OfSession):
    ticket: Ticket


class Known(OfSession):
    known: bool = True


class OpenedSession(TypedDict):
    session: str
    labeller: str
    role: Role


class PlayableClip(SheetLayout):
    url: str


class DisplayedQuestion(TypedDict):
    query: int
    ticket: str
    kind: str
    clips: list[PlayableClip] | None  # in the order displayed


class NextQuestions(TypedDict):
    questions: list[DisplayedQuestion]


class ModelView(TypedDict):
    """The reward model's prediction, with the clips in the order displayed."""

    chances: list[float]  # of the kind's outcomes
    rewards: list[list[float]]  # of each clip, per step
    agrees: bool | None  # None: with nothing that could be right or wrong
    version: int


class Answered(TypedDict):
    seq: int
    duplicate: bool
    model: ModelView | None


class Revised(TypedDict):
    seq: int
    model: ModelView | None


class Withdrawn(TypedDict):
    seq: int
    question: DisplayedQuestion


class Pace(TypedDict):
    """How fast a labeller answers."""

    answers: int
    per_minute: float | None
    median_seconds: float | None
    minutes: float


class Trainer(TypedDict):
    state: str
    step: NotRequired[int | None]
    total_steps: NotRequired[int | None]
    model_version: NotRequired[int | None]
    accuracy: NotRequired[float | None]
    age_seconds: NotRequired[float]


class RunStatus(TypedDict):
    """The part of a status that is the same for all labellers."""

    run: str
    env: str
    question: str
    instructions: str
    budget: int
    asked: int
    seq: int  # the last answer that is counted here
    answered: int
    skipped: int
    open: int
    ready: int
    rendering: int
    next: float | None
    trouble: str | None
    kinds: dict[str, dict[str, Any]]  # what a page needs to ask questions of each kind
    trainer: Trainer


class Status(RunStatus):
    role: Role
    labeller: str
    mine: Pace


class PastAnswer(TypedDict):
    seq: int
    query: int
    kind: Literal["answer", "opinion", "withdrawal"]
    asked_kind: str  # of the question
    answer: Answer | None  # as displayed; null: skipped, or withdrawn
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
    clips: list[PlayableClip] | None
    model: ModelView | None
    reasons: list[str]  # an AI's, untrusted


class History(TypedDict):
    answers: list[PastAnswer]
    more: bool


class Share(TypedDict):
    """A share with its 95 % interval."""

    share: float
    low: float
    high: float
    n: int


class PlaceShare(Share):
    """How often answers to questions of one kind prefer a place, and the p-value without a position bias."""

    kind: str
    place: str
    p: float


class Consistency(TypedDict):
    agree: int
    n: int


class LabellerReport(Pace):
    name: str
    skips: int
    undecided: int
    places: list[PlaceShare]
    self_agreement: Consistency | None
    reordered_agreement: Consistency | None
    gold: Share | None
    reliability: float | None
    flags: list[str]


class PairAgreement(TypedDict):
    a: str
    b: str
    agree: float
    n: int
    kappa: float | None


class VersionAccuracy(TypedDict):
    version: int
    accuracy: float
    n: int


class ModelReport(TypedDict):
    accuracy: float | None
    n: int
    by_version: list[VersionAccuracy]


class MinuteCount(TypedDict):
    minute: int
    labeller: str
    answers: int


class OpenCount(TypedDict):
    waiting: int
    oldest_seconds: float | None


class LabellerAnswer(TypedDict):
    labeller: str
    words: str


class Disputed(TypedDict):
    """A question on which people differ, with its segments in stored order, and the combined label."""

    query: int
    kind: str
    spread: float
    said: list[LabellerAnswer]
    label: list[float] | None  # chances of the kind's outcomes
    clips: list[PlayableClip] | None


class Team(TypedDict):
    labellers: list[LabellerReport]
    agreement: list[PairAgreement]
    model: ModelReport
    per_minute: list[MinuteCount]
    open: OpenCount
    corrections: int
    disputed: list[Disputed]


class Invited(TypedDict):
    labeller: str
    url: str


class Error(TypedDict):
    code: str
    message: str


class AnsweredAlready(Error):
    seq: NotRequired[int]
    duplicate: NotRequired[bool]
    model: NotRequired[ModelView | None]


CODES = {
    "host": 403, "origin": 403, "header": 403, "experimenter_only": 403, "not_yours": 403,
    "token": 401, "unknown_session": 401,
    "not_found": 404, "unknown_ticket": 404, "unknown_answer": 404, "unknown_question": 404,
    "method": 405,
    "answered_already": 409, "superseded": 409,
    "too_large": 413, "content_type": 415,
    "invalid": 422, "ticket_used": 422,
    "too_fast": 429,
    "internal": 500, "store": 503, "storage_full": 507,
}  # fmt: skip
"""Code -> HTTP status."""


class Refusal(Exception):
    """A request that the server refuses. `more`: further fields of the reply."""

    def __init__(self, code: str, message: str, **more: Any):
        super().__init__(message)
        self.code, self.message, self.status = code, message, CODES[code]
        self.body = {"code": code, "message": message, **more}
