"""Calls an ASGI application in this process, without a server or a port."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from prefrl.labelling.access import Caller

log = logging.getLogger(__name__)


@dataclass
class Reply:
    """The application's response."""

    status: int = 500
    kind: str = "text/plain"
    content: bytes = b""


class Inside:
    """An ASGI application with an event loop in a thread of its own; the notebook's loop is busy."""

    def __init__(self, app: Any, caller: Caller):
        self.app, self.caller = app, caller
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="label-application", daemon=True)

    def __enter__(self) -> Inside:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def ask(self, method: str, target: str, body: str | None) -> Reply:
        """One request, from any thread but the application's own. target: path and query"""
        return asyncio.run_coroutine_threadsafe(self._call(method, target, body), self.loop).result()

    async def _call(self, method: str, target: str, body: str | None) -> Reply:
        reply, waiting = Reply(), [{"type": "http.request", "body": (body or "").encode(), "more_body": False}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.kind = dict(message["headers"]).get(b"content-type", b"").decode()
            else:
                reply.content += message.get("body", b"")

        try:
            await self.app(self._scope(method, target), receive, send)
        except Exception:  # what the application raises after it has answered with 500, for a server to log
            log.exception("%s %s", method, target)
        return reply

    def _scope(self, method: str, target: str) -> dict[str, Any]:
        path, _, query = target.partition("?")
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(b"host", b"notebook"), (b"content-type", b"application/json")], "client": None, "server": None,
            "state": {"caller": self.caller},
        }  # fmt: skip
