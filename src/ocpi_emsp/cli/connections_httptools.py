"""Bounded connections over httptools, which is llhttp: without bounds of its own or a pause, so all it is fed counts.

Rules of this module:
- a head counts twice: as it is parsed, which is exact and sees one that comes in one piece, and as it is fed, which
  sees one that never ends;
- a request that is whole is answered before what follows it is refused;
- another protocol that is offered is ignored, as h11 does: httptools would take the body for it;
- of requests that are sent before the answers to those before them, only so many wait.
"""

from __future__ import annotations

import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ocpi_emsp.cli.connections import Bounded, Config

_PIPELINED: Final = 100
"""Requests that wait on one connection: uvicorn goes on reading while they do, and partners pipeline none."""
_LINE: Final = len("  HTTP/1.1\r\n\r\n")
"""Of a head, beside the method, the path and the headers."""
_UPGRADE: Final = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_IGNORED: Final = b"Ignored"
"""As long as what it stands for."""


class _Refused(Exception):
    """Ends the parsing: uvicorn then refuses as it does what is no HTTP."""


def _without_upgrade(data: bytes) -> bytes:
    """What begins with a head, in which no other protocol is offered."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(_IGNORED, head) + end + rest


class HttpToolsBounded(Bounded, HttpToolsProtocol):
    """A bounded connection over httptools."""

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        self._in_head = True
        self._head = 0
        """Bytes of the head as it is parsed."""
        self._fed = 0
        """Bytes since the head began, or since it is complete; with those before it in one read, but for the latter."""
        self._reads = 0
        """Bytes of the current read."""
        self._body = 0
        self._is_refused = False
        """What follows is dropped: the requests before it are still answered."""

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._reads = len(data)
        self._fed += len(data)
        super().data_received(_without_upgrade(data) if self._in_head else data)
        if self._is_over() and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def _is_over(self) -> bool:
        if self._in_head:
            return self._fed > self.limits.head_bytes
        return self._fed - 2 * self._body > self.limits.framing_bytes

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._fed = True, _LINE, self._reads

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it follows the chunks of a body, and uvicorn would add it to what the application has
            self._count(len(name) + len(value) + len(": \r\n"))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._count(len(self.parser.get_method()))
        if len(self.pipeline) >= _PIPELINED or self.parser.should_upgrade():
            raise _Refused
        self._in_head, self._fed, self._body = False, 0, 0
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self.limits.head_bytes:
            raise _Refused

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._fed = True, 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, after the answers to the requests before it."""
        if self._is_answering() and not self.cycle.more_body:
            self._is_refused, self.cycle.keep_alive = True, False
        else:
            super().send_400_response(msg)

    def _may_refuse(self) -> bool:
        return not self._is_answering() or not (self.cycle.response_started or self.pipeline)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
