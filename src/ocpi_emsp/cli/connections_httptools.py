"""Bounded connections over httptools (llhttp), which has no bounds of its own and cannot pause, so all input is
counted.

Rules of this module:
- a head is counted twice: as it is parsed, which is exact and detects one that arrives at once, and as it is fed, which
  detects one that never ends;
- a complete request is answered before the bytes after it are rejected;
- an offer of another protocol is ignored, as in h11: httptools would treat the body as that protocol;
- only a limited number of pipelined requests waits for the responses to earlier ones.
"""

from __future__ import annotations

import re
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ocpi_emsp.cli.connections import Bounded, Config

_PIPELINED: Final = 100
"""Requests that wait on one connection: uvicorn continues to read meanwhile, and partners pipeline none."""
_LINE: Final = len("  HTTP/1.1\r\n\r\n")
"""Bytes of a head beside the method, the path and the headers."""
_UPGRADE: Final = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_IGNORED: Final = b"Ignored"
"""Replacement of the same length."""


class _Refused(Exception):
    """Ends the parsing: uvicorn then answers as to anything that is not HTTP."""


def _without_upgrade(data: bytes) -> bytes:
    """Return data that begins with a head, without the offer of another protocol."""
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
        if self._in_head:  # else it is a trailer of a body, and uvicorn would add it to the request's headers
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
        """Reject an unreadable request, after the responses to the requests before it."""
        if self._is_answering() and not self.cycle.more_body:
            self._is_refused, self.cycle.keep_alive = True, False
        else:
            super().send_400_response(msg)

    def _may_refuse(self) -> bool:
        return not self._is_answering() or not (self.cycle.response_started or self.pipeline)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete
