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


class Deadlines(H11Protocol):
    """uvicorn's HTTP protocol with a deadline for each request, which uvicorn lacks."""

    def __init__(self, open_ones: dict[Deadlines, None], deadline: float, **uvicorns: Any):
        """open_ones: the connections of the server, the oldest first"""
        super().__init__(**uvicorns)
        self.open_ones, self.deadline = open_ones, deadline
        self.sending: asyncio.TimerHandle | None = None  # until the request has arrived
        self.reading: asyncio.TimerHandle | None = None  # until the client reads on

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        # asyncio does it only for sockets made in one certain way; without it a small reply waits 40 ms for its own ACK
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.open_ones[self] = None
        self._expect()
        self._make_room()

    def _make_room(self) -> None:
        """Close the oldest connections without a complete request: an honest client sends its request at once."""
        unfinished = [(each.sending.when(), id(each), each) for each in self.open_ones if each.sending]
        for _, _, each in sorted(unfinished)[:-MOST_UNFINISHED]:
            each.hang_up()
        idle = [each for each in self.open_ones if each.cycle is None or each.cycle.response_complete]
        for each in idle[: max(0, len(self.open_ones) - MOST)]:
            each.hang_up()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and self.conn.trailing_data[0]):
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
        if self.reading:
            self.reading.cancel()

    def hang_up(self) -> None:
        """Close the connection now."""
        self._forget()
        self.transport.abort()

    def _expect(self) -> None:
        """Start the deadline of a request; further data does not extend it."""
        self.sending = self.sending or self.loop.call_later(self.deadline, self.hang_up)

    def _arrived(self) -> None:
        if self.sending:
            self.sending.cancel()
            self.sending = None

    def _forget(self) -> None:
        self._arrived()
        if self.reading:
            self.reading.cancel()
        self.open_ones.pop(self, None)


def guarded(deadline: float = DEADLINE) -> Callable[..., Deadlines]:
    """The protocol factory for uvicorn's `http=`."""
    open_ones: dict[Deadlines, None] = {}
    return lambda **uvicorns: Deadlines(open_ones, deadline, **uvicorns)
