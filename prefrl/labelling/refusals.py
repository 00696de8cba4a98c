"""Error replies of the label server: an HTTP status, a code for programs and a message for people."""

from __future__ import annotations

from typing import Any

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
