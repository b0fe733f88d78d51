"""The body of an ASGI request, read when it is wanted."""

from __future__ import annotations

from ocpi_emsp.adapters import BodyTime
from ocpi_emsp.adapters.in_time import InTime
from ocpi_emsp.adapters.lifespan import Receive
from ocpi_emsp.errors import CallerGone
from ocpi_emsp.settings import HttpLimits


class AsgiBody:
    """Reads, or drops, what a server received."""

    def __init__(self, receive: Receive, limits: HttpLimits) -> None:
        self._receive = receive
        self._time = BodyTime(limits)
        self._ahead = b""
        self.is_complete = False
        self.is_gone = False
        """The caller ended the connection."""
        self.is_late = False

    async def read(self, most: int) -> bytes:
        """See :class:`ocpi_emsp.ports.ReadBody`."""
        body: bytes | bytearray = self._ahead
        while len(body) < most and not self.is_complete:
            part = await self._next()
            if not body:  # the usual one, whole: it is not copied
                body = part
                continue
            if isinstance(body, bytes):
                body = bytearray(body)
            body += part
        self._ahead = bytes(body[most:])
        return bytes(body[:most])

    async def _next(self) -> bytes:
        seconds = self._time.begin()
        try:
            message = await InTime(self._receive(), seconds)
        except TimeoutError:
            self.is_late = True
            raise self._time.passed() from None
        if message["type"] != "http.request":
            self.is_gone = True
            raise CallerGone("the connection ended before the body was complete")
        part: bytes = message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        self._time.end(len(part))
        return part

    async def drop(self, most: int, seconds: float) -> None:
        """Read up to about ``most`` bytes more, for so long at most, and drop them."""
        try:
            await InTime(self._drop(most), seconds)
        except TimeoutError:
            self.is_late = True

    async def _drop(self, most: int) -> None:
        while most > 0 and not self.is_complete:
            message = await self._receive()
            if message["type"] != "http.request":
                return
            most -= len(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)
