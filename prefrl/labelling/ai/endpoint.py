"""One call of a model over HTTP: returns its reply, or raises Busy (try again) or Refused (stop)."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from prefrl.core.errors import UserError
from prefrl.labelling.ai.ai_settings import AISettings
from prefrl.labelling.ai.reply import clean

LARGEST = 2**20  # bytes of a response; an answer has less than a thousandth of it
CONNECT = 10.0  # seconds
PASSING = {408, 409, 425, 429}  # and every status from 500 on: try again
SPENT = ("insufficient_quota", "insufficient credit", "billing")  # in the text of a 429 that waiting does not cure
PARAMETERS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "response_format": (("response_format", "json_schema", "structured output"), None),
    "temperature": (("temperature",), None),
    "max_tokens": (("max_tokens",), "max_completion_tokens"),
}
"""Parameters that some endpoints reject: name -> (words by which an error names it, parameter to send instead)."""
_IMAGE = re.compile(r"image|vision|multi-?modal", re.IGNORECASE)
_UNABLE = re.compile(r"not support|n't support|unsupported|text.only", re.IGNORECASE)

logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for each call, right through the progress bar


Message = Mapping[str, object]
"""A chat message in the format of OpenAI's API: its role and its content."""


@dataclass(frozen=True)
class Reply:
    """A model's reply and its token counts; None where the endpoint does not report them."""

    text: str
    sent: int | None
    received: int | None


class Refused(UserError):
    """The endpoint refuses this request; a retry would fail too."""

    status = 400


class Busy(Exception):
    """A retry may succeed. status: None if no response arrived; wait: seconds that the endpoint asks for

    garbled: the response was not a chat completion; at_once: the request was adjusted, so a retry need not wait
    """

    def __init__(
        self,
        why: str,
        status: int | None = None,
        wait: float | None = None,
        garbled: bool = False,
        at_once: bool = False,
    ):
        super().__init__(why)
        self.status, self.wait, self.garbled, self.at_once = status, wait, garbled, at_once


class Endpoint:
    """An OpenAI-compatible API. Thread-safe."""

    def __init__(self, settings: AISettings):
        self.settings, self._key = settings, settings.key()
        # the parameters that this endpoint takes, as far as is known; response_format is filled in for each call
        self._parameters = {"response_format": None, "temperature": 0, "max_tokens": settings.max_tokens}
        self._adjusting = threading.Lock()
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "prefrl"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self.http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(settings.timeout, connect=min(CONNECT, settings.timeout), pool=None),
            limits=httpx.Limits(max_connections=None),
            follow_redirects=False,  # the key is for this host
            trust_env=settings.leaves_the_machine,  # no proxy between this machine and itself
            verify=settings.url.startswith("https:"),
        )

    def close(self) -> None:
        self.http.close()

    def ask(self, messages: Sequence[Message], reply_format: Mapping[str, object]) -> Reply:
        """Call the model once. Raises Busy if a retry may succeed, Refused if not."""
        parameters: dict[str, object] = {**self._parameters}
        if "response_format" in parameters:
            parameters["response_format"] = reply_format
        status, headers, content = self._post({"model": self.settings.model, "messages": messages, **parameters})
        if status == 200:
            return self._reply(headers, content)
        raise self._fault(status, headers, self._message(content), parameters)

    def _post(self, body: Mapping[str, object]) -> tuple[int, httpx.Headers, bytes]:
        """POST a request; bounds the size of the response and the time it may take."""
        deadline, content = time.monotonic() + self.settings.timeout, bytearray()
        try:
            with self.http.stream("POST", self.settings.url, json=body) as response:
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise Busy(
                        "the response is compressed, which was not asked for", response.status_code, garbled=True
                    )
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > LARGEST:
                        raise Busy(f"the response has more than {LARGEST} bytes", garbled=True)
                    if time.monotonic() > deadline:
                        raise Busy(f"no whole response within {self.settings.timeout:g} s")
                return response.status_code, response.headers, bytes(content)
        except httpx.TimeoutException as fault:
            raise Busy(f"no response within {self.settings.timeout:g} s ({type(fault).__name__})") from None
        except httpx.HTTPError as fault:
            why = self._cleaned(str(fault)) or type(fault).__name__
            raise Busy(f"no connection to {self.settings.host}: {why}") from None

    def _reply(self, headers: httpx.Headers, content: bytes) -> Reply:
        try:
            completion = json.loads(content)
            if isinstance(completion, dict) and completion.get("error") and not completion.get("choices"):
                raise Busy(f"an error in place of a reply: {self._message(content)}", 200)
            text = _text(completion["choices"][0]["message"])
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            content_type = self._cleaned(headers.get("content-type", "nothing in particular"))
            start = self._cleaned(content[:80].decode(errors="replace"))
            raise Busy(f"not a chat completion but {content_type}: {start!r}", 200, garbled=True) from None
        usage = completion.get("usage")
        return Reply(text, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))

    def _fault(
        self, status: int, headers: httpx.Headers, text: str, parameters: Mapping[str, object]
    ) -> Busy | Refused:
        """What to raise for a status other than 200."""
        url, model = self.settings.url, self.settings.model
        if _IMAGE.search(text) and (_UNABLE.search(text) or 400 <= status < 500 and status not in (401, 402, 403, 429)):
            return Refused(
                f"{model!r} does not take pictures, or not these; choose a model with vision. It said: {text}"
            )
        if status == 429 and any(sign in text.lower() for sign in SPENT):
            return Refused(f"the account at {self.settings.host} has run out ({text}); add credit, then start again")
        if status in PASSING or status >= 500:
            return Busy(f"status {status}: {text}", status, _seconds(headers.get("retry-after")))
        if status in (400, 422) and self._adjust(text, parameters):
            return Busy(f"status {status}: {text}", status, at_once=True)
        if 300 <= status < 400:
            to = self._cleaned(headers.get("location", "nowhere"))
            return Refused(f"{url} redirects to {to}; if you trust it, give that as the endpoint")
        variable = "the" if self._key else "an"
        remedies = {
            401: f"the key was not accepted; put a valid one into {variable} environment variable that key_env names",
            402: "the account has no credit; add some, then start again",
            403: "access is forbidden; the key may not use this model, or not from here",
            404: f"there is no model {model!r}, or no API at {url}; check both",
            413: "the pictures are too large; lower frames or widest",
        }
        remedy = remedies.get(status, "the request was refused")
        return Refused(f"{self.settings.host} answered {status}: {remedy}. It said: {text}")

    def _adjust(self, text: str, parameters: Mapping[str, object]) -> bool:
        """Drop or rename the parameter that the endpoint rejects. Returns whether a retry may succeed."""
        for name, (signs, instead) in PARAMETERS.items():
            if name in parameters and any(sign in text.lower() for sign in signs):
                with self._adjusting:
                    adjusted = {**self._parameters}
                    if name in adjusted and (value := adjusted.pop(name)) is not None and instead:
                        adjusted[instead] = value
                    self._parameters = adjusted
                return True
        return False

    def _message(self, content: bytes) -> str:
        """The error text of a response, cleaned for display."""
        try:
            body = json.loads(content)
            error = body.get("error", body) if isinstance(body, dict) else body
            parts = [error.get("message"), error.get("code"), error.get("type")] if isinstance(error, dict) else [error]
            text = " ".join(str(part) for part in parts if part) or json.dumps(error)
        except (ValueError, RecursionError):
            text = content[:2000].decode(errors="replace")
        return self._cleaned(text) or "nothing"

    def _cleaned(self, text: str) -> str:
        """Untrusted text cleaned for display, with our key masked in case it repeats it."""
        return clean(text.replace(self._key, "***") if self._key else text, 300)


def _text(message: Mapping[str, object]) -> str:
    """The text of a message: as a string, in parts, or as a refusal. Raises TypeError for anything else."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    if content is None:
        content = message.get("refusal") or ""
    if not isinstance(content, str):
        raise TypeError(f"a message holds {type(content).__name__}")
    return content


def _count(usage: object, name: str) -> int | None:
    """A token count; None if it is missing or invalid."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 10**9 else None


def _seconds(header: str | None) -> float | None:
    """Retry-After: seconds, or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
