"""Connection limits of the label server: a maximum number, and a deadline for each request (against slow loris)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

DEADLINE = 10.0  # seconds for a whole request to arrive, and for a client to go on reading a reply
MOST_UNFINISHED = 64  # connections whose request has not arrived
MOST = 256


class Ledger:
    """The connections of one server, the oldest first."""

    def __init__(self) -> None:
        self.all: dict[Deadlines, None] = {}
        self.unfinished: dict[Deadlines, None] = {}

    def make_room(self) -> None:
        """Close the oldest connections without a complete request: an honest client sends its request at once."""
        while len(self.unfinished) > MOST_UNFINISHED:
            next(iter(self.unfinished)).hang_up()
        while len(self.all) > MOST and (idle := next((one for one in self.all if one.idle), None)):
            idle.hang_up()


class Deadlines(H11Protocol):
    """uvicorn's HTTP protocol with a deadline for each request, which uvicorn lacks."""

    def __init__(self, ledger: Ledger, deadline: float, **uvicorns: Any):
        super().__init__(**uvicorns)
        self.ledger, self.deadline = ledger, deadline
        self.sending: asyncio.TimerHandle | None = None  # until the request has arrived
        self.reading: asyncio.TimerHandle | None = None  # until the client reads on

    @property
    def idle(self) -> bool:
        """Whether no reply is pending on this connection."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        # asyncio does it only for sockets made in one certain way; without it a small reply waits 40 ms for its own ACK
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ledger.all[self] = None
        self._expect()
        self.ledger.make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        unfinished = self.conn.their_state is h11.SEND_BODY or (
            self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        )
        if unfinished:
            self._expect()
        else:
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.reading = self.loop.call_later(self.deadline, self.hang_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self.reading)

    def hang_up(self) -> None:
        """Close the connection now."""
        self._forget()
        self.transport.abort()

    def _expect(self) -> None:
        """Start the deadline of a request; further data does not extend it."""
        if self not in self.ledger.unfinished:
            self.ledger.unfinished[self] = None
            self.sending = self.loop.call_later(self.deadline, self.hang_up)

    def _arrived(self) -> None:
        self.ledger.unfinished.pop(self, None)
        _cancel(self.sending)

    def _forget(self) -> None:
        self._arrived()
        _cancel(self.reading)
        self.ledger.all.pop(self, None)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer:
        timer.cancel()


def guarded(deadline: float = DEADLINE) -> Callable[..., Deadlines]:
    """The protocol factory for uvicorn's `http=`."""
    ledger = Ledger()
    return lambda **uvicorns: Deadlines(ledger, deadline, **uvicorns)
