"""What a connection to ``ocpi-emsp serve`` may cost before and after a request is served: uvicorn bounds neither.

Rules of this module:
- a head that is not complete in time, and an answer that is not read in time, end their connection;
- a connection over the number that is allowed is closed at once: it would be answered by uvicorn, without an envelope.

Needs the extra ``server``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

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
            limit_concurrency=limits.connections + 1,
            timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type] # it is handed to call_later
            h11_max_incomplete_event_size=limits.head_bytes,
            **options,
        )
        self.limits: Final = limits
        self.is_full = False
        """Said once, until a connection is accepted again."""


class BoundedProtocol(H11Protocol):
    """A connection that ends if it is neither used nor read from."""

    config: Config
    _awaited: asyncio.TimerHandle | None = None
    """Ends the connection unless a head is complete."""
    _unread: asyncio.TimerHandle | None = None
    """Ends the connection unless the caller reads on."""

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

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._await_head()
        elif self._awaited is not None:
            self._awaited.cancel()
            self._awaited = None

    def _await_head(self) -> None:
        if self._awaited is None:
            self._awaited = self._ends_after(self.config.limits.head_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._ends_after(self.config.limits.write_seconds)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _ends_after(self, seconds: float) -> asyncio.TimerHandle:
        end: Callable[[], None] = self.transport.abort
        return self.loop.call_later(seconds, end)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._awaited, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
