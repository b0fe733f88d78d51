"""Bounds on the connections to ``ocpi-emsp serve``, before and after a request is served: uvicorn has none.

Rules of this module:
- a head that is not complete in time, and a response that is not read in time, end their connection;
- a connection beyond the allowed number is closed at once: uvicorn's own limit would answer partners on open
  connections, without an envelope;
- one step of the event loop reads little: a parser creates an event for each chunk, which may be a single byte;
- the bytes of an HTTP request beside its body are bounded, in its head and between its chunks, by the class for the
  parser: connections_httptools.py if httptools is installed, otherwise connections_h11.py.

Needs the extra ``server``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from attrs import frozen

from ocpi_emsp import logs


@frozen(kw_only=True)
class ConnectionLimits:
    """Bounds on the connections of one process."""

    connections: int = 500
    """Connections at once: far more than partners and a proxy use, and half of the files that a process may usually
    open.
    """
    head_bytes: int = 16_384
    """Bytes of a request's line and headers together; real ones have 1 KB."""
    framing_bytes: int = 16_384
    """Bytes between the chunks of a body, beside as many bytes as the body has; clients send 6 for thousands."""
    read_bytes: int = 8_192
    """Bytes read in one step of the event loop: as chunks of one byte they are 10 ms of work for h11."""
    head_seconds: float = 10.0
    """Seconds from the start of the wait for a request to its complete head."""
    idle_seconds: float = 30.0
    """Seconds between two requests on one connection: a partner that pushes reuses it sooner."""
    write_seconds: float = 60.0
    """Seconds within which a caller must continue reading, once a response does not fit into the socket."""
    backlog: int = 512
    """Connections that the kernel accepts while the process is busy: as many as may be open."""

    def __str__(self) -> str:
        return (
            f"{self.connections} connections at once; a request's head has {self.head_bytes} bytes and "
            f"{self.head_seconds:g} s; idle connections end after {self.idle_seconds:g} s"
        )


class Config(uvicorn.Config):
    """Settings of a server whose connections are bounded by ``protocol``."""

    def __init__(self, app: Any, limits: ConnectionLimits, protocol: type[Bounded], **options: Any) -> None:
        super().__init__(
            app,
            http=lambda **given: LittleReads(protocol(**given)),  # type: ignore[arg-type] # it is only called
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the eMSP's settings say which proxy headers count
            backlog=limits.backlog,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type] # it is passed to call_later
            h11_max_incomplete_event_size=limits.head_bytes,
            **options,
        )
        self.limits: Final = limits
        self.is_full = False
        """Said once, until a connection is accepted again."""


if TYPE_CHECKING:

    class _Protocol(asyncio.Protocol):
        """What uvicorn's protocols for h11 and for httptools have in common."""

        config: Any
        connections: set[Any]
        cycle: Any
        loop: asyncio.AbstractEventLoop
        transport: asyncio.Transport

        def __init__(self, config: Any, *given: Any, **named: Any) -> None: ...

        def send_400_response(self, msg: str) -> None: ...

        def on_response_complete(self) -> None: ...

        def timeout_keep_alive_handler(self) -> None: ...

else:
    _Protocol = object


class Bounded(_Protocol):
    """Closes a connection that is neither used nor read from; a mixin for a protocol of uvicorn."""

    limits: ConnectionLimits
    _awaited: asyncio.TimerHandle | None = None
    """Closes the connection unless a head is complete."""
    _unread: asyncio.TimerHandle | None = None
    """Closes the connection unless the caller continues to read."""

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self.limits = config.limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        is_full = len(self.connections) > self.limits.connections
        if is_full and not self.config.is_full:
            logs.warning("server.full", connections=self.limits.connections)
        self.config.is_full = is_full
        if is_full:
            transport.abort()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        elif self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def send_400_response(self, msg: str) -> None:
        """Reject an unreadable request; in the middle of a response the connection can only be closed."""
        if self._may_refuse():
            super().send_400_response(msg)
            self._end_unread()
        else:
            self.transport.abort()

    def _may_refuse(self) -> bool:
        """Return True if an unreadable request has no response yet."""
        raise NotImplementedError

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._end_unread()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._end_unread()

    def _end_unread(self) -> None:
        """Limit the time for which a closed connection stays open until its responses are read."""
        if self.transport.is_closing() and self._unread is None:
            self._unread = self._ends_after(self.limits.write_seconds)

    def _await_head(self) -> None:
        if self._awaited is None:
            self._awaited = self._ends_after(self.limits.head_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self._ends_after(self.limits.write_seconds)

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


class LittleReads(asyncio.BufferedProtocol):
    """Reads little at a time for a protocol of uvicorn: only a buffered protocol controls the amount.

    It is a separate class, because uvloop does not use the buffer of an object that is an asyncio.Protocol as well.
    """

    def __init__(self, protocol: Bounded) -> None:
        self._protocol = protocol
        self._read = memoryview(bytearray(protocol.limits.read_bytes))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 # as asyncio has it
        """Return the buffer for the next read."""
        return self._read

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._protocol.data_received(bytes(self._read[:nbytes]))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
