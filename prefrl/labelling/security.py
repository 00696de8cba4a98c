"""Security checks in front of the label page: host, token, origin, content type and size of each request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prefrl.labelling.access import Access, Caller
from prefrl.labelling.refusals import Refusal

MOST_BODY = 64 * 1024  # bytes
READING = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the first address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>prefrl</title><h1>This page needs its token</h1>
<p>Open the whole address that <code>prefrl label</code> printed. To see it again: <code>prefrl label RUN --url</code></p>
"""
ONWARD = '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0; url=/"><title>prefrl</title>'


class Gate:
    """ASGI middleware. A request that passes carries its Caller in scope["state"]["caller"]."""

    def __init__(self, app: Any, access: Access):
        self.app, self.access = app, access

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = Given(scope["headers"])
            try:
                await self._pass(scope, headers, receive, send)
            except Refusal as refusal:
                await _refuse(send, refusal, headers, scope)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:  # the page uses no websockets
            await send({"type": "websocket.close", "code": 1008})

    async def _pass(self, scope: dict[str, Any], headers: Given, receive: Any, send: Any) -> None:
        if scope["path"] == "/" and scope["method"] == "GET" and b"token=" in scope["query_string"]:
            await self._exchange(scope, headers, send)
            return
        scope.setdefault("state", {})["caller"] = self._admit(scope["method"], headers)
        body = await _whole_body(headers, receive)
        await self.app(scope, _replay(body, receive), _with_headers(send))

    def _admit(self, method: str, headers: Given) -> Caller:
        self._check_host(headers)
        caller = self.access.caller(self._token(headers))
        if caller is None:
            raise Refusal("token", "open the whole address that `prefrl label` printed; it ends with the token")
        if method not in READING:
            _check_write(headers)
        return caller

    def _check_host(self, headers: Given) -> None:
        host = headers.get("host", "")
        if not self.access.knows(host):
            expected = ", ".join(sorted(self.access.hosts))
            raise Refusal("host", f"this server is not {host[:100]!r}; it is {expected}. A tunnel must keep the port")

    def _token(self, headers: Given) -> str:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.access.cookie:
                return value
        return ""

    async def _exchange(self, scope: dict[str, Any], headers: Given, send: Any) -> None:
        """Swap the token in the address for a cookie, so that it stays in no history and no screenshot."""
        self._check_host(headers)
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self.access.caller(token) is None:
            raise Refusal(
                "token", "this token is of another server, or of an earlier one; see `prefrl label RUN --url`"
            )
        cookie = {"Set-Cookie": f"{self.access.cookie}={token}; HttpOnly; SameSite=Strict; Path=/"}
        if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            await _reply(send, 303, b"", {"Location": "/", **cookie})
        else:  # a redirect in a chain that began elsewhere (a link in a chat) would leave out the strict cookie
            await _reply(send, 200, ONWARD.encode(), {"Content-Type": "text/html; charset=utf-8", **cookie})


class Given(dict[str, str]):
    """A request's headers by lower-case name. Repeated ones are joined, so two hosts match none."""

    def __init__(self, raw: list[tuple[bytes, bytes]]):
        super().__init__()
        for name, value in raw:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self[key] = f"{self[key]}; {text}" if key in self else text


def _check_write(headers: Given) -> None:
    if headers.get("x-prefrl") != "1":
        raise Refusal("header", "requests that change something carry the header X-Prefrl: 1")
    origin = headers.get("origin")
    if origin is not None and _authority(origin) != headers["host"].lower():
        raise Refusal("origin", f"requests from {origin[:100]!r} are not taken")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Refusal("origin", "requests from other sites are not taken")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal("content_type", f"expected application/json, got {kind[:100]!r}")


def _authority(origin: str) -> str | None:
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") and not parts.path else None


async def _whole_body(headers: Given, receive: Any) -> bytes:
    """Read a body up to the size limit, whatever its Content-Length claims."""
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return b""
    claimed = headers.get("content-length", "0")
    too_large = Refusal("too_large", f"a request may have {MOST_BODY} bytes")
    if not claimed.isdigit() or int(claimed) > MOST_BODY:
        raise too_large
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal("invalid", "the connection ended within the request")
        body += message["body"]
        if len(body) > MOST_BODY:
            raise too_large
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Any) -> Any:
    """A receive function that yields the body already read, then further messages."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return waiting.pop() if waiting else await receive()

    return replayed


def _with_headers(send: Any) -> Any:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            own = {"Cache-Control": "no-store", **HEADERS}
            more = [pair for pair in _encoded(own) if pair[0] not in present]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _refuse(send: Any, refusal: Refusal, headers: Given, scope: dict[str, Any]) -> None:
    """Send an error reply and close the connection; the rest of the request is not read."""
    kind, body = "application/json", json.dumps(refusal.body).encode()
    if refusal.status == 401 and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
        kind, body = "text/html; charset=utf-8", LOCKED.encode()
    await _reply(send, refusal.status, body, {"Content-Type": kind, "Connection": "close"})


async def _reply(send: Any, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    own = {"Content-Length": str(len(body)), **headers}
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": _encoded(own)})
    await send({"type": "http.response.body", "body": body})
