"""Where a label server listens, and how people get there."""

from __future__ import annotations

import getpass
import ipaddress
import json
import socket
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

from prefrl.core.errors import UserError
from prefrl.core.files import new_file

FILE = "label-server.json"
LOCK = ".label.lock"  # in the run's folder: whoever holds it serves the run
FIRST_PORT, PORTS = 7700, 1000


@dataclass(frozen=True)
class Address:
    """A server of one run, as its file describes it to others of the same user."""

    host: str
    port: int
    token: str
    pid: int
    invites: dict[str, str] = field(default_factory=dict)
    beside_training: bool = False  # opened by a trainer, and to end with the run

    def url(self, token: str | None = None) -> str:
        return f"http://{self.name}:{self.port}/?token={token or self.token}"

    @property
    def name(self) -> str:
        """What to call the host in an address."""
        if is_wildcard(self.host):
            return socket.gethostname()
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def tunnel(self) -> str:
        """The ssh command to run on the labeller's machine. The port must stay the same."""
        target = self.host if is_loopback(self.host) and ":" not in self.host else "127.0.0.1"
        return f"ssh -N -L {self.port}:{target}:{self.port} {user()}@{socket.gethostname()}"

    def write(self, folder: Path) -> None:
        """Write the address into the run's folder, for this user's eyes only: it holds the token."""
        with new_file(folder / FILE, durable=False) as unfinished:
            unfinished.touch(0o600)
            unfinished.write_text(json.dumps(asdict(self)))


def read(folder: Path) -> Address | None:
    """The server of a run, which may have died; None if there was none or the file is not ours."""
    try:
        return Address(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    return host in ("", "0.0.0.0", "::")


def listen(host: str, port: int, folder: Path, before: int | None = None) -> socket.socket:
    """A listening socket. Port 0: the one that this run had before, else the port derived from its path, else any.

    An open page and its unsent answers are tied to the address, so a restarted server should get the same port.
    """
    usual = FIRST_PORT + zlib.crc32(str(folder.resolve()).encode()) % PORTS
    ports = [port] if port else [candidate for candidate in (before, usual, 0) if candidate is not None]
    for candidate in ports:
        try:
            if ":" not in host:
                return socket.create_server((host, candidate), backlog=256)
            both = socket.has_dualstack_ipv6()
            return socket.create_server((host, candidate), family=socket.AF_INET6, backlog=256, dualstack_ipv6=both)
        except OSError as fault:
            reason = fault
    raise UserError(f"cannot listen on {host}, port {ports[0]}: {reason}; give another --port or --host") from reason


def user() -> str:
    """The name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "user"
