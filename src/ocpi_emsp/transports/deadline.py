"""A deadline for all socket operations of a blocking client: it ends a head that drips as well as a body.

Rules of this module:
- a client's own timeouts are for one read: an occasional byte satisfies them, and the time before the head of a
  response is complete cannot be measured. So every read, write and connection of a client waits no longer than the time
  left;
- the deadline is that of the caller's context: a blocking client does its work in the caller's thread;
- any network backend of httpcore is wrapped: another one may choose the address.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ocpi_emsp.transports.wire_bytes import READ_BYTES, counted

_END: ContextVar[float | None] = ContextVar("end", default=None)


class OutOfTime(Exception):
    """The deadline has passed."""


@contextmanager
def until(end: float | None) -> Iterator[None]:
    """Set a deadline for sockets within the block, as a moment of ``time.monotonic``. Raises OutOfTime."""
    before = _END.set(end)
    try:
        yield
    finally:
        _END.reset(before)


def _left(timeout: float | None) -> float | None:
    """Return the timeout, or the time left until the deadline."""
    end = _END.get()
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise OutOfTime
    return left if timeout is None else min(timeout, left)


class TimedBackend:
    """A ``NetworkBackend`` whose streams observe the deadline."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> TimedStream:
        """Open a connection."""
        return TimedStream(self._inner.connect_tcp(host, port, timeout=_left(timeout), **options))

    def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> TimedStream:
        """Open a connection to a socket of this machine."""
        return TimedStream(self._inner.connect_unix_socket(path, timeout=_left(timeout), **options))

    def sleep(self, seconds: float) -> None:
        """Wait before another attempt."""
        self._inner.sleep(_left(seconds))


class TimedStream:
    """A ``NetworkStream`` that observes the deadline, and counts what is read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read available data, up to READ_BYTES. Raises OutOfTime, TooMuchSent."""
        return counted(self._inner.read(min(max_bytes, READ_BYTES), timeout=_left(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._inner.write(buffer, timeout=_left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        """Start TLS on it."""
        return TimedStream(self._inner.start_tls(ssl_context, server_hostname, timeout=_left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection."""
        return self._inner.get_extra_info(info)


def keep_deadlines(transports: list[Any]) -> None:
    """Make these transports of a client observe the deadline; a transport without sockets needs nothing."""
    for transport in transports:
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = TimedBackend(pool._network_backend)  # httpx does not pass a backend on
