"""The label service of a run for notebook cells: open while at least one cell shows the run."""

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
    """Passes the requests of notebook cells to the same application that serves the page over HTTP.

    The security gate is left out: it guards a port, and whoever reaches a kernel may run any code in it.
    """

    def __init__(self, folder: Path, **options: Any):
        """options: those of `service.opened`"""
        self.folder, self.options = folder, options
        self.caller = Caller("experimenter", secrets.token_urlsafe(24))
        self.sessions: set[str] = set()  # of cells that show the run and have not left
        self._inside: Inside | None = None
        self._open = ExitStack()

    def ask(self, path: str, method: str = "GET", body: str | None = None) -> Reply:
        """The reply to a request. Not thread-safe."""
        try:
            reply = self._opened().ask(method, path, body)
        except UserError as fault:
            return Reply(_BUSY, "application/json", json.dumps({"code": "store", "message": str(fault)}).encode())
        self._track_sessions(path, body, reply)
        return reply

    def end(self) -> None:
        """Release the leases of every cell, and close the service."""
        for session in list(self.sessions):
            self.ask("/api/leave", "POST", json.dumps({"session": session}))
        self._close()

    @property
    def open(self) -> bool:
        return self._inside is not None

    def _opened(self) -> Inside:
        if self._inside is None:
            with ExitStack() as opening:
                gate = opening.enter_context(service.opened(self.folder, Access(self.caller.token, 0), **self.options))
                self._inside = opening.enter_context(Inside(gate.app, self.caller))
                self._open = opening.pop_all()
        return self._inside

    def _track_sessions(self, path: str, body: str | None, reply: Reply) -> None:
        """Close the service when the last cell leaves; a later request opens it again."""
        if path == "/api/session" and reply.status == 200:
            self.sessions.add(json.loads(reply.content)["session"])
        elif path == "/api/leave" and reply.status == 200:
            self.sessions.discard(json.loads(body or "{}")["session"])
            if not self.sessions:
                self._close()

    def _close(self) -> None:
        self._inside = None
        self._open.close()
