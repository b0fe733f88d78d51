"""The body of an ASGI request, read on demand."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ocpi_emsp.adapters import BodyTime
from ocpi_emsp.adapters.in_time import in_time, within
from ocpi_emsp.adapters.lifespan import Message, Receive
from ocpi_emsp.errors import CallerGone
from ocpi_emsp.settings import HttpLimits


class AsgiBody:
    """Reads, or drops, what a server received."""

    is_complete = False
    is_gone = False
    """True once the caller closed the connection."""
    is_late = False
    _ahead = b""
    _received = 0
    _time: BodyTime | None = None

    def __init__(self, receive: Receive, limits: HttpLimits) -> None:
        self._receive = receive
        self._limits = limits

    async def read(self, most: int) -> bytes:
        """See :class:`ocpi_emsp.ports.ReadBody`."""
        body: bytes | bytearray = self._ahead
        while len(body) < most and not self.is_complete:
            waiting = self._receive().__await__()
            try:
                waits_for = next(waiting)
            except StopIteration as end:  # data that is already there needs no timer
                message: Message = end.value
            else:
                message = await self._in_time(waiting, waits_for)
            if message["type"] != "http.request":
                self.is_gone = True
                raise CallerGone("the connection ended before the body was complete")
            part: bytes = message.get("body", b"")
            self.is_complete = not message.get("more_body", False)
            self._received += len(part)
            if not body:  # the usual body, complete: it is not copied
                if self.is_complete and len(part) <= most:
                    return part
                body = part
                continue
            if isinstance(body, bytes):
                body = bytearray(body)
            body += part
        self._ahead = bytes(body[most:])
        return bytes(body[:most])

    async def _in_time(self, waiting: Generator[Any, Any, Message], waits_for: Any) -> Message:
        if self._time is None:
            self._time = BodyTime(self._limits)
        try:
            message = await within(waiting, waits_for, self._time.begin(self._received))
        except TimeoutError:
            self.is_late = True
            raise self._time.passed() from None
        self._time.end()
        return message

    async def drop(self, most: int, seconds: float) -> None:
        """Read about ``most`` more bytes, for ``seconds`` at most, and drop them."""
        try:
            await in_time(self._drop(most), seconds)
        except TimeoutError:
            self.is_late = True

    async def _drop(self, most: int) -> None:
        while most > 0 and not self.is_complete:
            message = await self._receive()
            if message["type"] != "http.request":
                return
            most -= len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
