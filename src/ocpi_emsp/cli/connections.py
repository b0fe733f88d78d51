"""What a connection to ``ocpi-emsp serve`` may cost before and after a request is served: uvicorn bounds neither.

Rules of this module:
- a head that is not complete in time, and an answer that is not read in time, end their connection;
- a connection over the number that is allowed is closed at once: uvicorn's own limit would answer partners on
  connections that are open, without an envelope;
- a step of the event loop reads little: h11 makes an event of each chunk, which may be a single byte;
- what an HTTP request has beside its body is bounded, in its head and between its chunks.

Needs the extra ``server``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from attrs import frozen
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ocpi_emsp import logs


@frozen(kw_only=True)
class ConnectionLimits:
    """Bounds on the connections of one process."""

    connections: int = 500
    """At once: far more than partners and a proxy use, and half of the files that a process may usually open."""
    head_bytes: int = 16_384
    """Of a request's line and headers together; real ones have 1 KB."""
    framing_bytes: int = 16_384
    """Sent between the chunks of a body, beside as many bytes as the body has; clients send 6 for thousands."""
    read_bytes: int = 8_192
    """Read in one step of the event loop: of chunks of one byte they are 10 ms of work."""
    head_seconds: float = 10.0
    """From the first byte that is awaited to a complete head."""
    idle_seconds: float = 30.0
    """Between two requests on one connection: a partner that pushes uses it again sooner."""
    write_seconds: float = 60.0
    """In which a caller has to read on, once an answer does not fit into the socket."""
    backlog: int = 512
    """Connections that the kernel accepts while the process is busy: as many as may be open."""

    def __str__(self) -> str:
        return (
            f"{self.connections} connections at once; a request's head has {self.head_bytes} bytes and "
            f"{self.head_seconds:g} s; idle connections end after {self.idle_seconds:g} s"
        )


class Config(uvicorn.Config):
    """Settings of a server whose connections are bounded."""

    def __init__(self, app: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(
            app,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whose header counts is a setting of the eMSP
            backlog=limits.backlog,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type] # it is handed to call_later
            h11_max_incomplete_event_size=limits.head_bytes,
            **options,
        )
        self.limits: Final = limits
        self.is_full = False
        """Said once, until a connection is accepted again."""


class _Connection(h11.Connection):
    """Bounds a request's head, and what is sent between the chunks of its body."""

    def __init__(self, limits: ConnectionLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self._limits = limits
        self._sent = 0
        """Bytes since the request before, or since this one's head, with those that are not looked at yet."""
        self._body = 0

    def receive_data(self, data: bytes) -> None:
        """Take what was read."""
        self._sent += len(data)
        super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse the next event. Raises RemoteProtocolError also over a limit."""
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._body += len(event.data)
        elif isinstance(event, h11.Request):
            head = self._begin()
            if head > self._limits.head_bytes:
                raise h11.RemoteProtocolError(f"the head has {head} bytes", error_status_hint=431)
        elif isinstance(event, h11.EndOfMessage):
            self._begin()
        elif self.their_state is h11.SEND_BODY and self._sent - 2 * self._body > self._limits.framing_bytes:
            raise h11.RemoteProtocolError(f"{self._sent} bytes were sent for {self._body} bytes of a body")
        return event

    def _begin(self) -> int:
        """Count anew from here on; returns what was sent before."""
        left = len(self.trailing_data[0])
        before, self._sent, self._body = self._sent - left, left, 0
        return before


class BoundedProtocol(H11Protocol, asyncio.BufferedProtocol):
    """A connection that ends if it is neither used nor read from, and reads little at a time."""

    config: Config
    _awaited: asyncio.TimerHandle | None = None
    """Ends the connection unless a head is complete."""
    _unread: asyncio.TimerHandle | None = None
    """Ends the connection unless the caller reads on."""

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self.conn = _Connection(config.limits)
        self._read = memoryview(bytearray(config.limits.read_bytes))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        limits = self.config.limits
        is_full = len(self.connections) > limits.connections
        if is_full and not self.config.is_full:
            logs.warning("server.full", connections=limits.connections)
        self.config.is_full = is_full
        if is_full:
            transport.abort()
        else:
            self._await_head()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 # as asyncio has it
        """Where the next read goes: a protocol with a buffer says how much is read."""
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(self._read[:nbytes]))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._await_head()
        elif self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read; within an answer nothing else can be said."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
            self._end_unread()
        else:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._end_unread()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._end_unread()

    def _end_unread(self) -> None:
        """A connection that is closed stays until its answers are read: that has a time as well."""
        if self.transport.is_closing() and self._unread is None:
            self._unread = self._ends_after(self.config.limits.write_seconds)

    def _await_head(self) -> None:
        if self._awaited is None:
            self._awaited = self._ends_after(self.config.limits.head_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self._ends_after(self.config.limits.write_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def _ends_after(self, seconds: float) -> asyncio.TimerHandle:
        end: Callable[[], None] = self.transport.abort
        return self.loop.call_later(seconds, end)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._awaited, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
