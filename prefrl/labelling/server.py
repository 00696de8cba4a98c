"""The label server: the page, its questions and answers over HTTP. Imports neither torch nor reward models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from prefrl.config.values import load
from prefrl.core.errors import StorageFull, UserError
from prefrl.labelling import messages as m
from prefrl.labelling.access import Access, Caller, Rate, Session, open_session, read_session
from prefrl.labelling.history import history
from prefrl.labelling.intake import Intake
from prefrl.labelling.messages import Refusal
from prefrl.labelling.questions import Questions
from prefrl.labelling.security import Gate
from prefrl.labelling.static_files import clip_file, static_file
from prefrl.labelling.status import StatusBoard
from prefrl.labelling.team import Reports
from prefrl.labelling.writes import Writes
from prefrl.runs.address import user
from prefrl.store.store import LabelStore

log = logging.getLogger(__name__)
Responses = dict[int | str, dict[str, Any]]
ERRORS: Responses = {code: {"model": m.Error} for code in (400, 401, 403, 404, 405, 413, 415, 422, 429, 503, 507)}
CONFLICT: Responses = {409: {"model": m.Error}}
HTTP_CODES = {404: "not_found", 405: "method"}


async def _caller(request: Request) -> Caller:
    return request.state.caller


async def _experimenter(request: Request) -> Caller:
    if request.state.caller.role != "experimenter":
        raise Refusal("experimenter_only", "this is for the experimenter; you were invited to label")
    return request.state.caller


AnyCaller = Annotated[Caller, Depends(_caller)]
Experimenter = Annotated[Caller, Depends(_experimenter)]


class Shared:
    """The objects of one run that the routes share."""

    def __init__(
        self, folder: Path, store: LabelStore, access: Access, *, trouble: Callable[[], str | None] = lambda: None,
        rate: Rate | None = None, present: dict[str, float] | None = None, labeller: str | None = None,
        rng: Random | None = None,
    ):  # fmt: skip
        """trouble: why no clips are drawn, or None; present: labeller -> time of the last request, updated here;
        labeller: the name that the page proposes; rng: chooses orders and checks."""
        config, writes = load(folder / "config.yaml"), Writes(store.engine)
        self.folder, self.store, self.access = folder, store, access
        self.rate, self.present = rate or Rate(), {} if present is None else present
        self.labeller = labeller or user()
        self.questions = Questions(store, folder, writes, config.teacher, rng)
        self.intake = Intake(store, self.questions, writes)
        self.status = StatusBoard(store, folder, config, self.questions, trouble)
        self.team = Reports(store, self.questions, config.teacher.combine)

    def session(self, caller: Caller, request: m.OfSession) -> Session:
        """The session that a request names, if it is the caller's and within the rate limit."""
        session = read_session(caller, request.session)
        self.rate.count(session.id)
        self.present[session.labeller] = time.time()
        return session


def make_app(shared: Shared) -> Gate:
    """The server of one run as an ASGI application, behind its gate."""
    app = FastAPI(
        title="prefrl label server", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", responses=ERRORS
    )
    for add in (_labelling, _correcting, _reading, _experimenting, _files):
        add(app, shared)
    _refusing(app)
    return Gate(app, shared.access)


def _labelling(app: FastAPI, shared: Shared) -> None:
    @app.post("/api/session")
    def session(caller: AnyCaller, new: m.NewSession) -> m.OpenedSession:
        """Open a session for a labeller. Whoever was invited labels under that name."""
        name = caller.name or new.labeller
        return {"session": open_session(caller, name), "labeller": name, "role": caller.role}

    @app.post("/api/next")
    def next_questions(caller: AnyCaller, wanted: m.Want) -> m.NextQuestions:
        """Questions to show next, leased for a minute."""
        session = shared.session(caller, wanted)
        return {"questions": shared.questions.next(session, wanted.want, wanted.holding, wanted.again)}

    @app.post(
        "/api/answers", status_code=201, responses={200: {"model": m.Answered}, 409: {"model": m.AnsweredAlready}}
    )
    def answer(caller: AnyCaller, given: m.FirstAnswer, response: Response) -> m.Answered:
        """Answer a question by the ticket of its display. Sent again it counts once."""
        answered = shared.intake.answer(caller, shared.session(caller, given), given)
        response.status_code = 200 if answered["duplicate"] else 201
        return answered

    @app.post("/api/heartbeat")
    def heartbeat(caller: AnyCaller, holding: m.Holding) -> dict[str, str]:
        """Hold these questions for another minute."""
        shared.questions.renew(shared.session(caller, holding), holding.holding)
        return {}

    @app.post("/api/leave")
    def leave(caller: AnyCaller, leaving: m.OfSession) -> dict[str, str]:
        """Give all questions back."""
        shared.questions.release(shared.session(caller, leaving))
        return {}

    @app.post("/api/flag")
    def flag(caller: AnyCaller, flag: m.Flag) -> dict[str, str]:
        """Take a question with a broken clip out for everybody."""
        shared.intake.flag(caller, shared.session(caller, flag), flag)
        return {}


def _correcting(app: FastAPI, shared: Shared) -> None:
    @app.post("/api/answers/{seq}/revise", status_code=201, responses={200: {"model": m.Revised}, **CONFLICT})
    def revise(caller: AnyCaller, seq: m.Id, given: m.GivenAnswer, response: Response) -> m.Revised:
        """Give another answer in place of an earlier one, which stays on record."""
        revised, new = shared.intake.revise(caller, shared.session(caller, given), seq, given)
        response.status_code = 201 if new else 200
        return revised

    @app.post("/api/answers/{seq}/withdraw", status_code=201, responses={200: {"model": m.Withdrawn}, **CONFLICT})
    def withdraw(caller: AnyCaller, seq: m.Id, given: m.Withdrawal, response: Response) -> m.Withdrawn:
        """Take an answer back and get its question again."""
        withdrawn, new = shared.intake.withdraw(caller, shared.session(caller, given), seq, given.ticket)
        response.status_code = 201 if new else 200
        return withdrawn


def _reading(app: FastAPI, shared: Shared) -> None:
    @app.get("/api/status")
    def status(caller: AnyCaller, session: Annotated[str | None, Query(max_length=512)] = None) -> m.Status:
        """Progress of labelling and training."""
        labeller = read_session(caller, session).labeller if session else caller.name or shared.labeller
        run, pace = shared.status.of(labeller)
        return {**run, "mine": pace, "labeller": labeller, "role": caller.role}

    @app.get("/api/history")
    def past(
        caller: AnyCaller,
        labeller: Annotated[str | None, Query(max_length=40)] = None,
        before: m.Id | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> m.History:
        """Answers, the latest first; invited people see their own."""
        blind = caller.role != "experimenter"
        return history(shared.store, shared.questions, caller.name if blind else labeller, before, limit, blind)


def _experimenting(app: FastAPI, shared: Shared) -> None:
    @app.get("/api/team")
    def team_report(_: Experimenter) -> m.Team:
        """Statistics of labellers and the reward model."""
        return shared.team.latest()

    @app.post("/api/answers/{seq}/known")
    def known(caller: Experimenter, seq: m.Id, mark: m.Known) -> dict[str, str]:
        """Say that an answer is known to be right, to check other labellers by it; or that it is not."""
        shared.intake.known(shared.session(caller, mark), seq, mark.known)
        return {}

    @app.post("/api/invites")
    def invite(_: Experimenter, request: Request, guest: m.NewSession) -> m.Invited:
        """An address under which one person labels, under this name only."""
        token = shared.access.invite(guest.labeller)
        return {"labeller": guest.labeller, "url": f"http://{request.headers['host']}/?token={token}"}


def _files(app: FastAPI, shared: Shared) -> None:
    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        return static_file("index.html", request)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str, request: Request) -> Response:
        return static_file(name, request)

    @app.get("/clips/{name}.webp", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
    def clip(name: str) -> Response:
        """A lossless sheet of frames."""
        return clip_file(shared.folder / "clips", name)


def _refusing(app: FastAPI) -> None:
    """Reply to every error with {"code", "message"}."""

    @app.exception_handler(Refusal)
    def refused(_: Request, fault: Refusal) -> Response:
        return JSONResponse(fault.body, fault.status, headers={"Retry-After": "1"} if fault.status == 429 else None)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, fault: RequestValidationError) -> Response:
        wrong = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in fault.errors()]
        return refused(_, Refusal("invalid", "; ".join(wrong)[:500]))

    @app.exception_handler(HTTPException)
    def http(_: Request, fault: HTTPException) -> Response:
        code = HTTP_CODES.get(fault.status_code, "invalid")
        return JSONResponse({"code": code, "message": str(fault.detail)}, fault.status_code, headers=fault.headers)

    @app.exception_handler(StorageFull)
    def full(_: Request, fault: StorageFull) -> Response:
        log.error("%s", fault)
        return refused(_, Refusal("storage_full", f"{fault}; the answer was not stored"))

    @app.exception_handler(UserError)
    def store(_: Request, fault: UserError) -> Response:
        log.error("%s", fault)
        return refused(_, Refusal("store", str(fault)))

    @app.exception_handler(Exception)
    def internal(_: Request, fault: Exception) -> Response:
        return refused(_, Refusal("internal", f"{type(fault).__name__}; see what the server printed"))
