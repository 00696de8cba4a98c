"""Access control: tokens, the server's host names, and sessions that outlive a restart."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prefrl.labelling.messages import Refusal, Role

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MOST_INVITES = MOST_SESSIONS = 1000
SEPARATOR = "."
RATE, BURST = 50.0, 100.0  # requests a second and session, and how many at once


@dataclass(frozen=True)
class Caller:
    """The holder of a token. An invited labeller has one name, the experimenter may use any."""

    role: Role
    token: str = field(repr=False)
    name: str | None = None


@dataclass(frozen=True)
class Session:
    """One open page of one labeller."""

    id: str
    labeller: str


class Access:
    """The tokens of one server, and the names it answers to."""

    def __init__(
        self, token: str, port: int, names: tuple[str, ...] = (), addresses: bool = False,
        invites: dict[str, str] | None = None,
    ):  # fmt: skip
        """names: host names besides the loopback's; addresses: bare IP addresses are fine too; invites: name -> token"""
        self.token, self.port, self.addresses = token, port, addresses
        self.cookie = f"prefrl-{port}"  # cookies do not know ports, but several servers share a host
        self.hosts = {f"{name.lower()}:{port}" for name in (*LOOPBACK, *names)}
        self.invites = dict(invites or {})
        self.changed: Callable[[], None] = lambda: None  # called when somebody new is invited

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server, and not a name that an attacker points at it (DNS rebinding)."""
        name, _, port = host.lower().rpartition(":")
        return host.lower() in self.hosts or (self.addresses and port == str(self.port) and _is_address(name))

    def caller(self, token: str) -> Caller | None:
        """The holder of this token, compared in constant time."""
        callers = [Caller("labeller", secret, name) for name, secret in list(self.invites.items())]
        matching = [each for each in (*callers, Caller("experimenter", self.token)) if _same(token, each.token)]
        return matching[0] if matching else None

    def invite(self, name: str) -> str:
        """The token of an invited labeller, made when first asked for."""
        if name not in self.invites:
            if len(self.invites) >= MOST_INVITES:
                raise Refusal("invalid", f"{MOST_INVITES} people are invited already")
            self.invites[name] = secrets.token_urlsafe(24)
            self.changed()
        return self.invites[name]


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def open_session(caller: Caller, labeller: str) -> str:
    """A session nobody else can make: its id and labeller, signed with the caller's token."""
    id = secrets.token_hex(8)
    return SEPARATOR.join((id, labeller.encode().hex(), _signature(caller, id, labeller)))


def read_session(caller: Caller, session: str) -> Session:
    """The session, if this caller opened it. The server keeps no list of them, so they survive a restart."""
    id, _, rest = session.partition(SEPARATOR)
    name, _, signature = rest.partition(SEPARATOR)
    try:
        labeller = bytes.fromhex(name).decode()
    except ValueError:
        labeller = ""
    if not _same(signature, _signature(caller, id, labeller)):
        raise Refusal(
            "unknown_session", "this session was opened at another server or with another token; open a new one"
        )
    return Session(id, labeller)


def _signature(caller: Caller, id: str, labeller: str) -> str:
    return hmac.digest(caller.token.encode(), f"{id}{SEPARATOR}{labeller}".encode(), "sha256").hex()


class Rate:
    """A rate limit (token bucket) for each of the latest sessions."""

    def __init__(self, rate: float = RATE, burst: float = BURST):
        self.rate, self.burst = rate, burst
        self._left: dict[str, tuple[float, float]] = {}  # session -> requests left, and when; the latest last

    def count(self, session: str) -> None:
        now = time.monotonic()
        left, at = self._left.pop(session, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.rate)
        self._left[session] = (max(0.0, left - 1), now)
        if len(self._left) > MOST_SESSIONS:
            del self._left[next(iter(self._left))]
        if left < 1:
            raise Refusal("too_fast", f"more than {self.rate:g} requests a second; wait a moment")
