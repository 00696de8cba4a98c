"""Static files and clips: found by name in a folder's listing or by digest, never by a path from a request."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import Request, Response

from prefrl.labelling.messages import Refusal
from prefrl.rendering.clip_cache import SHA256

STATIC = Path(__file__).parent / "static"
KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp",
}  # fmt: skip


def static_file(name: str, request: Request) -> Response:
    """A file of the page; a browser asks again each time, so that an update is seen at once."""
    file = next((path for path in STATIC.iterdir() if path.name == name and path.suffix in KINDS), None)
    if file is None:
        raise Refusal("not_found", f"the page has no file {name[:100]!r}")
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=KINDS[file.suffix])


def clip_file(clips: Path, name: str) -> Response:
    """A frame sheet, if its content is what its name says."""
    missing = Refusal("not_found", "there is no such clip; ask for the question again")
    if not SHA256.fullmatch(name):
        raise missing
    path = clips / f"{name}.webp"
    try:
        content = path.read_bytes() if path.resolve().parent == clips.resolve() else b""
    except OSError:
        raise missing from None
    if hashlib.sha256(content).hexdigest() != name:
        raise missing
    return Response(content, headers={"Cache-Control": "private, max-age=31536000, immutable"}, media_type="image/webp")
