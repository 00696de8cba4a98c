"""Who looks at a run from this process: while anybody does its label service is open, and nothing of it otherwise."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prefrl.core.errors import UserError
from prefrl.labelling import service
from prefrl.labelling.access import Access, Caller
from prefrl.labelling.notebook.inside import Inside, Reply

_BUSY = 503


class Visits:
    """Takes the page's requests to the application that answers them over HTTP elsewhere.

    The security gate is left out: it guards a port, and whoever reaches a kernel may run any code in it.
    """

    def __init__(self, folder: Path, **options: Any):
        """options: those of `service.opened`"""
        self.folder, self.options = folder, options
        self.caller = Caller("experimenter", secrets.token_urlsafe(24))
        self.sessions: set[str] = set()  # of cells that show the run and have not said goodbye
        self._inside: Inside | None = None
        self._open = ExitStack()

    def ask(self, path: str, method: str = "GET", body: str | None = None) -> Reply:
        """Do what a request asks for. Any number of times, one after the other."""
        try:
            reply = self._ready().ask(method, path, body)
        except UserError as fault:
            return Reply(_BUSY, "application/json", json.dumps({"code": "store", "message": str(fault)}).encode())
        self._count(path, body, reply)
        return reply

    def end(self) -> None:
        """Give back what every cell holds, and end the service."""
        for session in list(self.sessions):
            self.ask("/api/leave", "POST", json.dumps({"session": session}))
        self._close()

    @property
    def open(self) -> bool:
        return self._inside is not None

    def _ready(self) -> Inside:
        if self._inside is None:
            with ExitStack() as opening:
                gate = opening.enter_context(service.opened(self.folder, Access(self.caller.token, 0), **self.options))
                self._inside = opening.enter_context(Inside(gate.app, self.caller))
                self._open = opening.pop_all()
        return self._inside

    def _count(self, path: str, body: str | None, reply: Reply) -> None:
        """The last cell that leaves closes the service; one that asks again opens it again."""
        if path == "/api/session" and reply.status == 200:
            self.sessions.add(json.loads(reply.content)["session"])
        elif path == "/api/leave" and reply.status == 200:
            self.sessions.discard(json.loads(body or "{}")["session"])
            if not self.sessions:
                self._close()

    def _close(self) -> None:
        self._inside = None
        self._open.close()
