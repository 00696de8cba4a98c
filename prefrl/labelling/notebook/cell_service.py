"""The label service of a run for notebook cells: the server's own application, called in this process without a port."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from prefrl.core.errors import UserError
from prefrl.labelling import service
from prefrl.labelling.access import Access, Caller

Call = Callable[[str, str, str | None], httpx.Response]
"""Method, path with its query, and body -> the reply."""

log = logging.getLogger(__name__)


class CellService:
    """Passes the requests of cells to the application of the label page; open while at least one cell shows the run.

    The security gate is left out: it guards a port, and whoever reaches a kernel may run any code in it.
    """

    def __init__(self, folder: Path, labeller: str, modules: Sequence[str] = (), store: str | None = None):
        """labeller, modules, store: as `service.opened` has them"""
        self.folder, self.labeller, self.modules, self.store = folder, labeller, modules, store
        self.caller = Caller(
            "experimenter", secrets.token_urlsafe(24)
        )  # its token signs sessions, which outlive a closed service
        self.sessions: set[str] = set()  # of cells that show the run and have not left
        self._call: Call | None = None
        self._open = ExitStack()

    def request(self, path: str, method: str = "GET", body: str | None = None) -> httpx.Response:
        """The reply to a request. Not thread-safe."""
        try:
            reply = self._opened()(method, path, body)
        except UserError as fault:
            return httpx.Response(503, json={"code": "store", "message": str(fault)})
        self._track_sessions(path, body, reply)
        return reply

    def end(self) -> None:
        """Release the leases of every cell, and close the service."""
        for session in list(self.sessions):
            self.request("/api/leave", "POST", json.dumps({"session": session}))
        self._close()

    @property
    def open(self) -> bool:
        return self._call is not None

    def _opened(self) -> Call:
        if self._call is None:
            served = service.opened(
                self.folder,
                Access(self.caller.token, 0),
                modules=self.modules,
                store=self.store,
                labeller=self.labeller,
            )
            with ExitStack() as opening:
                self._call = opening.enter_context(_in_process(opening.enter_context(served).app, self.caller))
                self._open = opening.pop_all()
        return self._call

    def _track_sessions(self, path: str, body: str | None, reply: httpx.Response) -> None:
        """Close the service when the last cell leaves; a later request opens it again."""
        if path == "/api/session" and reply.status_code == 200:
            self.sessions.add(reply.json()["session"])
        elif path == "/api/leave" and reply.status_code == 200:
            self.sessions.discard(json.loads(body or "{}")["session"])
            if not self.sessions:
                self._close()

    def _close(self) -> None:
        self._call = None
        self._open.close()


@contextmanager
def _in_process(app: ASGIApp, caller: Caller) -> Iterator[Call]:
    """Calls of an application by one caller. Its event loop has a thread of its own; the notebook's loop is busy."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app({**scope, "state": {"caller": caller}}, receive, send)
        except Exception:  # what the application raises after it has answered with 500, for a server to log
            log.exception("%s %s", scope["method"], scope["path"])
            raise

    transport = httpx.ASGITransport(called, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://notebook", timeout=None)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="label-application", daemon=True)
    thread.start()

    def call(method: str, path: str, body: str | None) -> httpx.Response:
        request = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
        return asyncio.run_coroutine_threadsafe(request, loop).result()

    try:
        yield call
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
