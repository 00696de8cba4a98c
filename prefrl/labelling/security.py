"""Security checks in front of the label page: host, token, origin, content type and size of each request."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from prefrl.labelling.access import Access, Caller
from prefrl.labelling.messages import Refusal

MOST_BODY = 64 * 1024  # bytes
READING = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the first address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every reply that does not set them itself."""

LOCKED = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>prefrl</title><h1>This page needs its token</h1>
<p>Open the whole address that <code>prefrl label</code> printed. To see it again: <code>prefrl label RUN --url</code></p>
"""
ONWARD = '<!doctype html><html lang="en"><meta http-equiv="refresh" content="0; url=/"><title>prefrl</title>'


class Gate:
    """ASGI middleware. A request that passes carries its Caller in scope["state"]["caller"]."""

    def __init__(self, app: FastAPI, access: Access):
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # the page uses no websockets
            return await send({"type": "websocket.close", "code": 1008})
        request, send = Request(scope, receive), _with_headers(send)
        try:
            if scope["path"] == "/" and request.method == "GET" and b"token=" in scope["query_string"]:
                return await self._exchange(request)(scope, receive, send)
            scope.setdefault("state", {})["caller"] = self._admit(request)
            await self.app(scope, _replay(await _whole_body(request), receive), send)
        except Refusal as refusal:
            await _reply(refusal, request)(scope, receive, send)

    def _admit(self, request: Request) -> Caller:
        self._check_host(request)
        caller = self.access.caller(self._token(request))
        if caller is None:
            raise Refusal("token", "open the whole address that `prefrl label` printed; it ends with the token")
        if request.method not in READING:
            _check_write(request)
        return caller

    def _check_host(self, request: Request) -> None:
        host = _header(request, "host")
        if not self.access.knows(host):
            expected = ", ".join(sorted(self.access.hosts))
            raise Refusal("host", f"this server is not {host[:100]!r}; it is {expected}. A tunnel must keep the port")

    def _token(self, request: Request) -> str:
        kind, _, token = _header(request, "authorization").partition(" ")
        return token.strip() if kind.lower() == "bearer" else request.cookies.get(self.access.cookie, "")

    def _exchange(self, request: Request) -> Response:
        """Swap the token in the address for a cookie, so that it stays in no history and no screenshot."""
        self._check_host(request)
        token = parse_qs(request.scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self.access.caller(token) is None:
            raise Refusal(
                "token", "this token is of another server, or of an earlier one; see `prefrl label RUN --url`"
            )
        cookie = {"Set-Cookie": f"{self.access.cookie}={token}; HttpOnly; SameSite=Strict; Path=/"}
        if _is_own_site(request):
            return Response(status_code=303, headers={"Location": "/", **cookie})
        # a redirect in a chain that began elsewhere (a link in a chat) would leave out the strict cookie
        return HTMLResponse(ONWARD, headers=cookie)


def _header(request: Request, name: str, missing: str = "") -> str:
    """A header of the request. Repeated ones are joined, so that two hosts match none."""
    return "; ".join(request.headers.getlist(name) or [missing])


def _is_own_site(request: Request) -> bool:
    return _header(request, "sec-fetch-site", "none") in ("none", "same-origin")


def _check_write(request: Request) -> None:
    if _header(request, "x-prefrl") != "1":
        raise Refusal("header", "requests that change something carry the header X-Prefrl: 1")
    origin = _header(request, "origin")
    if "origin" in request.headers and _authority(origin) != _header(request, "host").lower():
        raise Refusal("origin", f"requests from {origin[:100]!r} are not taken")
    if not _is_own_site(request):
        raise Refusal("origin", "requests from other sites are not taken")
    kind = _header(request, "content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal("content_type", f"expected application/json, got {kind[:100]!r}")


def _authority(origin: str) -> str | None:
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") and not parts.path else None


async def _whole_body(request: Request) -> bytes:
    """Read a body up to the size limit, whatever its Content-Length claims."""
    claimed = _header(request, "content-length", "0")
    too_large = Refusal("too_large", f"a request may have {MOST_BODY} bytes")
    if not claimed.isdigit() or int(claimed) > MOST_BODY:
        raise too_large
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BODY:
                raise too_large
    except ClientDisconnect as fault:
        raise Refusal("invalid", "the connection ended within the request") from fault
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive function that yields the body already read, then further messages."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _reply(refusal: Refusal, request: Request) -> Response:
    """An error reply that closes the connection; the rest of the request is not read."""
    closing = {"Connection": "close"}
    if refusal.status == 401 and request.method == "GET" and "text/html" in _header(request, "accept"):
        return HTMLResponse(LOCKED, 401, closing)
    return JSONResponse(refusal.body, refusal.status, closing)
