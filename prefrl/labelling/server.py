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

from prefrl.config.settings import Config
from prefrl.config.values import load
from prefrl.core.errors import StorageFull, UserError
from prefrl.labelling import messages as m
from prefrl.labelling import team
from prefrl.labelling.access import Access, Caller, Rate, Session, open_session, read_session
from prefrl.labelling.answers import Intake
from prefrl.labelling.files import clip_file, static_file
from prefrl.labelling.history import history
from prefrl.labelling.questions import Questions
from prefrl.labelling.refusals import Refusal
from prefrl.labelling.security import Gate
from prefrl.labelling.status import StatusBoard
from prefrl.labelling.writes import Writes
from prefrl.runs.address import user
from prefrl.store.store import LabelStore

log = logging.getLogger(__name__)
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": m.Error} for code in (400, 401, 403, 404, 405, 413, 415, 422, 429, 503, 507)
}
HTTP_CODES = {404: "not_found", 405: "method"}


async def _caller(request: Request) -> Caller:
    return request.state.caller


Who = Annotated[Caller, Depends(_caller)]
SessionQuery = Annotated[str | None, Query(max_length=512)]


class Parts:
    """The objects that the routes share."""

    def __init__(
        self, folder: Path, store: LabelStore, access: Access, rate: Rate, trouble: Callable[[], str | None],
        present: dict[str, float], labeller: str, rng: Random | None,
    ):  # fmt: skip
        writes = Writes(store.engine)
        self.folder, self.store, self.access, self.rate = folder, store, access, rate
        self.config: Config = load(folder / "config.yaml")
        self.questions = Questions(store, folder, writes, self.config.teacher, rng)
        self.intake = Intake(store, self.questions, writes)
        self.status = StatusBoard(store, folder, self.config, self.questions, trouble)
        self.team = team.Reports(store, self.questions, self.config.teacher.combine)
        self.present, self.labeller = present, labeller

    def session(self, caller: Caller, text: str) -> Session:
        """The session that a request names, if it is the caller's and within the rate limit."""
        session = read_session(caller, text)
        self.rate.count(session.id)
        self.present[session.labeller] = time.time()
        return session


def make_app(
    folder: Path,
    store: LabelStore,
    access: Access,
    *,
    trouble: Callable[[], str | None] = lambda: None,
    rate: Rate | None = None,
    present: dict[str, float] | None = None,
    labeller: str | None = None,
    rng: Random | None = None,
) -> Gate:
    """The server of one run as an ASGI application, behind its gate.

    trouble: why no clips are drawn, or None; present: labeller -> time of the last request, updated here;
    labeller: the name that the page proposes; rng: chooses orders and checks.
    """
    present = {} if present is None else present
    parts = Parts(Path(folder), store, access, rate or Rate(), trouble, present, labeller or user(), rng)
    app = FastAPI(
        title="prefrl label server", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json", responses=ERRORS
    )
    for add in (_labelling, _correcting, _reading, _experimenting, _files, _refusing):
        add(app, parts)
    return Gate(app, access)


def _labelling(app: FastAPI, parts: Parts) -> None:
    @app.post("/api/session", response_model=m.Opened)
    def session(caller: Who, new: m.NewSession) -> Response:
        """Open a session for a labeller. Whoever was invited labels under that name."""
        name = caller.name or new.labeller
        return JSONResponse({"session": open_session(caller, name), "labeller": name, "role": caller.role})

    @app.post("/api/next", response_model=m.Questions)
    def next_questions(caller: Who, wanted: m.Want) -> Response:
        """Questions to show next, leased for a minute."""
        session = parts.session(caller, wanted.session)
        questions = parts.questions.next(session, wanted.want, wanted.holding, wanted.again)
        return JSONResponse({"questions": questions})

    @app.post(
        "/api/answers",
        status_code=201,
        response_model=m.Answered,
        responses={200: {"model": m.Answered}, 409: {"model": m.AnsweredAlready}},
    )
    def answer(caller: Who, given: m.Answer) -> Response:
        """Answer a question by the ticket of its display. Sent again it counts once."""
        session = parts.session(caller, given.session)
        body, status = parts.intake.answer(caller, session, given)
        return JSONResponse(body, status)

    @app.post("/api/heartbeat")
    def heartbeat(caller: Who, holding: m.Holding) -> dict[str, str]:
        """Hold these questions for another minute."""
        session = parts.session(caller, holding.session)
        parts.questions.renew(session, holding.holding)
        return {}

    @app.post("/api/leave")
    def leave(caller: Who, leaving: m.OfSession) -> dict[str, str]:
        """Give all questions back."""
        parts.questions.release(parts.session(caller, leaving.session))
        return {}

    @app.post("/api/flag")
    def flag(caller: Who, flag: m.Flag) -> dict[str, str]:
        """Take a question with a broken clip out for everybody."""
        parts.intake.flag(caller, parts.session(caller, flag.session), flag)
        return {}


def _correcting(app: FastAPI, parts: Parts) -> None:
    conflict: dict[int | str, dict[str, Any]] = {409: {"model": m.Error}}

    @app.post(
        "/api/answers/{seq}/revise",
        status_code=201,
        response_model=m.Revised,
        responses={200: {"model": m.Revised}, **conflict},
    )
    def revise(caller: Who, seq: m.Id, given: m.Revision) -> Response:
        """Give another answer in place of an earlier one, which stays on record."""
        session = parts.session(caller, given.session)
        body, status = parts.intake.revise(caller, session, seq, given)
        return JSONResponse(body, status)

    @app.post(
        "/api/answers/{seq}/withdraw",
        status_code=201,
        response_model=m.Withdrawn,
        responses={200: {"model": m.Withdrawn}, **conflict},
    )
    def withdraw(caller: Who, seq: m.Id, given: m.Withdrawal) -> Response:
        """Take an answer back and get its question again."""
        session = parts.session(caller, given.session)
        body, status = parts.intake.withdraw(caller, session, seq, given.ticket)
        return JSONResponse(body, status)


def _reading(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/status", response_model=m.Status)
    def status(caller: Who, session: SessionQuery = None) -> Response:
        """Progress of labelling and training."""
        labeller = read_session(caller, session).labeller if session else caller.name or parts.labeller
        return JSONResponse({**parts.status.of(labeller), "labeller": labeller, "role": caller.role})

    @app.get("/api/history", response_model=m.History)
    def past(
        caller: Who,
        labeller: Annotated[str | None, Query(max_length=40)] = None,
        before: m.Id | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Answers, the latest first; invited people see their own."""
        name = caller.name if caller.role == "labeller" else labeller
        return JSONResponse(
            history(parts.store, parts.questions, name, before, limit, blind=caller.role != "experimenter")
        )


def _experimenting(app: FastAPI, parts: Parts) -> None:
    @app.get("/api/team", response_model=m.Team)
    def team_report(caller: Who) -> Response:
        """Statistics of labellers and the reward model."""
        _experimenter_only(caller)
        return JSONResponse(parts.team.latest())

    @app.post("/api/answers/{seq}/known")
    def known(caller: Who, seq: m.Id, mark: m.Known) -> dict[str, str]:
        """Say that an answer is known to be right, to check other labellers by it; or that it is not."""
        _experimenter_only(caller)
        parts.intake.known(parts.session(caller, mark.session), seq, mark.known)
        return {}

    @app.post("/api/invites", response_model=m.Invited)
    def invite(caller: Who, request: Request, guest: m.NewSession) -> Response:
        """An address under which one person labels, under this name only."""
        _experimenter_only(caller)
        token = parts.access.invite(guest.labeller)
        url = f"http://{request.headers['host']}/?token={token}"
        return JSONResponse({"labeller": guest.labeller, "url": url})


def _experimenter_only(caller: Caller) -> None:
    if caller.role != "experimenter":
        raise Refusal("experimenter_only", "this is for the experimenter; you were invited to label")


def _files(app: FastAPI, parts: Parts) -> None:
    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        return static_file("index.html", request)

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str, request: Request) -> Response:
        return static_file(name, request)

    @app.get("/clips/{name}.webp", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
    def clip(name: str) -> Response:
        """A lossless sheet of frames."""
        return clip_file(parts.folder / "clips", name)


def _refusing(app: FastAPI, _: Parts) -> None:
    """Reply to every error with {"code", "message"}."""

    def reply(code: str, message: str, status: int, **more: Any) -> Response:
        return JSONResponse({"code": code, "message": message, **more}, status)

    @app.exception_handler(Refusal)
    def refused(_: Request, fault: Refusal) -> Response:
        return JSONResponse(fault.body, fault.status, headers={"Retry-After": "1"} if fault.status == 429 else None)

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, fault: RequestValidationError) -> Response:
        wrong = [f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in fault.errors()]
        return reply("invalid", "; ".join(wrong)[:500], 422)

    @app.exception_handler(HTTPException)
    def http(_: Request, fault: HTTPException) -> Response:
        code = HTTP_CODES.get(fault.status_code, "invalid")
        return JSONResponse({"code": code, "message": str(fault.detail)}, fault.status_code, headers=fault.headers)

    @app.exception_handler(StorageFull)
    def full(_: Request, fault: StorageFull) -> Response:
        log.error("%s", fault)
        return reply("storage_full", f"{fault}; the answer was not stored", 507)

    @app.exception_handler(UserError)
    def store(_: Request, fault: UserError) -> Response:
        log.error("%s", fault)
        return reply("store", str(fault), 503)

    @app.exception_handler(Exception)
    def internal(_: Request, fault: Exception) -> Response:
        return reply("internal", f"{type(fault).__name__}; see what the server printed", 500)
