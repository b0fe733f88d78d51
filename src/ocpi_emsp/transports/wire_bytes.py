"""Counts the bytes read from a connection for one response: its head, interim responses and framing as well as its
body.

Rules of this module:
- a client's body is only a part of these bytes, so its length does not bound the others: interim responses (RFC 9110
  15.2) may follow each other without end, a chunk may have one byte, and 60 KB of extensions;
- the count is that of the caller's context: a client reads in the task, or the thread, of its caller;
- a read is small: its bytes are parsed before any other task of an event loop has a turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from attrs import define

READ_BYTES: Final = 16_384
"""Bytes read at once: as chunks of one byte they are some 30 ms of work."""
FRAMING_BYTES: Final = 131_072
"""Bytes of a response beside its body, and beside the same number again: more than the longest accepted head."""


class TooMuchSent(Exception):
    """More bytes were sent than a response needs."""


@define
class WireBytes:
    """Counts what is read for one response of at most ``limit`` bytes."""

    limit: int
    read: int = 0

    def add(self, read: int) -> None:
        """Count bytes that were read. Raises TooMuchSent."""
        self.read += read
        self._check(self.limit)

    def check_body(self, body: int) -> None:
        """Compare the count with the bytes of the resulting body. Raises TooMuchSent."""
        self._check(body)

    def _check(self, body: int) -> None:
        most = 2 * body + FRAMING_BYTES
        if self.read > most:
            raise TooMuchSent(f"more than {most} bytes were sent for {body} bytes of a response")


_COUNT: ContextVar[WireBytes | None] = ContextVar("count", default=None)


@contextmanager
def counting(limit: int) -> Iterator[WireBytes]:
    """Count the reads of one response within the block."""
    count = WireBytes(limit)
    before = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(before)


def counted(read: bytes) -> bytes:
    """Count bytes for the current response."""
    count = _COUNT.get()
    if count is not None:
        count.add(len(read))
    return read


class AsyncCountedBackend:
    """An ``AsyncNetworkBackend`` whose streams count; a blocking one does so in deadline.py."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """Open a connection."""
        return _AsyncCountedStream(await self._inner.connect_tcp(host, port, timeout=timeout, **options))

    async def connect_unix_socket(self, path: str, timeout: float | None = None, **options: Any) -> Any:
        """Open a connection to a socket of this machine."""
        return _AsyncCountedStream(await self._inner.connect_unix_socket(path, timeout=timeout, **options))

    async def sleep(self, seconds: float) -> None:
        """Wait before another attempt."""
        await self._inner.sleep(seconds)


class _AsyncCountedStream:
    """An ``AsyncNetworkStream`` that counts what is read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read available data, up to READ_BYTES. Raises TooMuchSent."""
        return counted(await self._inner.read(min(max_bytes, READ_BYTES), timeout=timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        await self._inner.write(buffer, timeout=timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        """Start TLS on it."""
        return _AsyncCountedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout=timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection."""
        return self._inner.get_extra_info(info)


def count_reads(transports: list[Any]) -> None:
    """Count the reads of these transports of an async client; a transport without sockets reads nothing."""
    for transport in transports:
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = AsyncCountedBackend(pool._network_backend)  # httpx does not pass a backend on
