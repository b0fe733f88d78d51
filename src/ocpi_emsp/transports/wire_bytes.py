"""What is read from a connection for one answer: its head, interim answers and framing count as well as its body.

Rules of this module:
- a client's body is what is left of them, so its length bounds none of the others: an interim answer (RFC 9110 15.2)
  may follow another without end, a chunk may have one byte, and 60 KB of extensions;
- the count is that of the caller's context: a client reads in the task, or the thread, of its caller;
- a read is small: what came in one is parsed before anything else of an event loop has a turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from attrs import define

READ_BYTES: Final = 16_384
"""Read at once: of chunks of one byte they are some 30 ms of work."""
FRAMING_BYTES: Final = 131_072
"""Of a response beside its body, and beside as many bytes as the body has: more than the longest head that is read."""


class TooMuchSent(Exception):
    """More was sent than an answer needs."""


@define
class WireBytes:
    """Counts what is read for one answer of ``limit`` bytes at most."""

    limit: int
    read: int = 0

    def add(self, read: int) -> None:
        """Count what was read. Raises TooMuchSent."""
        self.read += read
        self._check(self.limit)

    def check_body(self, body: int) -> None:
        """Compare it with the bytes of the body that came of it. Raises TooMuchSent."""
        self._check(body)

    def _check(self, body: int) -> None:
        most = 2 * body + FRAMING_BYTES
        if self.read > most:
            raise TooMuchSent(f"more than {most} bytes were sent for {body} bytes of a response")


_COUNT: ContextVar[WireBytes | None] = ContextVar("count", default=None)


@contextmanager
def counting(limit: int) -> Iterator[WireBytes]:
    """A block that reads one answer."""
    count = WireBytes(limit)
    before = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(before)


def counted(read: bytes) -> bytes:
    """Count it for the answer that is read."""
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
        """Wait before another try."""
        await self._inner.sleep(seconds)


class _AsyncCountedStream:
    """An ``AsyncNetworkStream`` that counts what is read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, up to READ_BYTES. Raises TooMuchSent."""
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
        """Begin TLS on it."""
        return _AsyncCountedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout=timeout))

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._inner.get_extra_info(info)


def count_reads(transports: list[Any]) -> None:
    """Let what these transports of an async client read be counted; one that has no sockets reads nothing."""
    for transport in transports:
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = AsyncCountedBackend(pool._network_backend)  # httpx passes no backend on
