"""Settings of an AI labeller: its model and endpoint, its budget, and how its answers are combined."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from prefrl.core.errors import UserError
from prefrl.runs.address import is_loopback

ROUTE = "/chat/completions"
MOST_NAME = 40  # characters
DISAGREE = ("equal", "skip")
"""What a question counts as when the model's answers to its orders differ: its kind's undecided answer, or skipped."""
RANGES: dict[str, tuple[float, float]] = {
    "frames": (1, 64), "at_once": (1, 32), "timeout": (0.1, 3600), "patience": (0, 1e6), "max_tokens": (1, 1e6),
    "overlap": (0, 1), "widest": (64, 8192), "max_cost": (0, 1e9), "max_calls": (0, 1e9),
}  # fmt: skip
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,59}", re.IGNORECASE)


@dataclass(frozen=True)
class AISettings:
    """Settings of one AI labeller. Raises UserError for values that cannot work."""

    model: str  # as the endpoint calls it
    endpoint: str  # base URL of an OpenAI-compatible API, such as https://api.openai.com/v1
    key_env: str | None = None  # environment variable that holds the key; None: the endpoint wants none
    labeller: str | None = None  # the name its answers are stored under; None: "ai:" and the model
    frames: int = 8  # of each clip, evenly spaced
    disagree: str = "equal"  # see DISAGREE
    price: tuple[float, float] | None = None  # dollars per million tokens, sent and received
    max_cost: float | None = None  # dollars, for all of this labeller's calls about the run; None: no bound
    max_calls: int | None = None  # likewise
    at_once: int = 4  # questions that are with the model at the same time
    timeout: float = 120.0  # seconds for one call
    patience: float = 600.0  # seconds over which a call that fails is tried again
    max_tokens: int = 500  # of an answer
    overlap: float = 0.0  # share of the questions answered by others that it answers too, for comparison
    widest: int = 2048  # pixels; larger strips of frames are made smaller

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"{name}={value} is out of range: expected {low:g} to {high:g}")
        if not self.model.strip() or not self.model.isprintable():
            raise UserError(f"{self.model!r} is no name of a model; give it as the endpoint lists it")
        if self.labeller is not None and not (
            self.labeller.isprintable() and 1 <= len(self.labeller.strip()) <= MOST_NAME
        ):
            raise UserError(f"labeller={self.labeller!r} must have 1 to {MOST_NAME} printable characters")
        if self.disagree not in DISAGREE:
            raise UserError(f"disagree={self.disagree!r} must be one of {', '.join(DISAGREE)}")
        if self.price is not None and not (len(self.price) == 2 and all(0 <= dollars <= 1e6 for dollars in self.price)):
            raise UserError(f"price={self.price} must be two: dollars per million tokens sent, and received")
        if self.max_cost is not None and self.price is None:
            raise UserError(f"max_cost={self.max_cost} needs price: dollars per million tokens sent, and received")
        _check_address(self.endpoint)

    @property
    def name(self) -> str:
        """The labeller its answers are stored under, short enough for the page."""
        return self.labeller or f"ai:{self.model if len(self.model) <= MOST_NAME - 3 else self.model[3 - MOST_NAME :]}"

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).hostname or ""

    @property
    def leaves_the_machine(self) -> bool:
        return not is_loopback(self.host)

    @property
    def url(self) -> str:
        """The URL that calls are posted to."""
        return self.endpoint.rstrip("/").removesuffix(ROUTE) + ROUTE

    def key(self) -> str | None:
        """The API key, from the environment alone. No error shows it, nor a key_env that may be a key itself."""
        if self.key_env is None:
            return None
        if not _VARIABLE.fullmatch(self.key_env):
            raise UserError(
                "key_env must be the NAME of an environment variable that holds the key, not the key itself"
            )
        key = os.environ.get(self.key_env, "").strip()
        name = self.key_env if self.key_env.isupper() else "that key_env names"
        if not key:
            raise UserError(f"the environment variable {name} is not set; put the endpoint's key into it")
        if not key.isascii() or not key.isprintable() or " " in key:
            raise UserError(f"the environment variable {name} holds no key: there are blanks or odd characters in it")
        return key

    def cost(self, sent: float, received: float) -> float | None:
        """Cost of these tokens in dollars; None without prices."""
        return None if self.price is None else (sent * self.price[0] + received * self.price[1]) / 1e6


def _check_address(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"endpoint {endpoint.partition('?')[0].rpartition('@')[2]!r} is no address; give the base of an"
            " OpenAI-compatible API, such as https://api.openai.com/v1 or http://127.0.0.1:11434/v1"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"the endpoint's address at {parts.hostname} holds a user, a password or a query; keys come from an"
            " environment variable alone: --key-env NAME"
        )
