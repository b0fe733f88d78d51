"""Raw connections: for callers that no HTTP library can play."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from attrs import define

from served.support import BASE, SECONDS

STEP = 0.02
"""Seconds between two pieces of what drips."""


@define
class Connection:
    """A connection of which every byte is written by hand."""

    sock: socket.socket
    received: bytes = b""

    def send(self, data: bytes) -> None:
        """Send it all."""
        self.sock.sendall(data)

    def has_answer(self, seconds: float = 0.0) -> bool:
        """Whether something can be read, or the connection has ended."""
        return bool(select.select([self.sock], [], [], seconds)[0])

    def drip(self, piece: bytes, most: int) -> int:
        """Send a piece again and again until something is answered; returns how many it were."""
        for number in range(most):
            if self.has_answer(STEP):
                return number
            self.send(piece)
        raise AssertionError(f"{most} pieces were taken without an answer")

    def head(self) -> list[str]:
        """The status line and the headers of an answer."""
        while b"\r\n\r\n" not in self.received:
            part = self.sock.recv(65536)
            assert part, f"the connection ended after {self.received!r}"
            self.received += part
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        return head.decode("latin-1").lower().split("\r\n")

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and envelope of an answer."""
        status, *lines = self.head()
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        while len(self.received) < length:
            part = self.sock.recv(65536)
            assert part, "the answer is not whole"
            self.received += part
        body, self.received = self.received[:length], self.received[length:]
        return int(status.split()[1]), headers, json.loads(body)

    def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            while part := self.sock.recv(65536):
                self.received += part
        return self.received

    def has_ended(self) -> bool:
        """Whether the server ends the connection, with nothing more to read."""
        try:
            return self.received == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


@contextmanager
def connected(origin: str) -> Iterator[Connection]:
    """A connection to a server."""
    address = urlsplit(origin)
    with socket.create_connection((address.hostname, address.port), SECONDS) as sock:
        yield Connection(sock)


def head(method: str, path: str, token: str, *headers: str) -> bytes:
    """The head of a request below our base."""
    lines = (f"{method} {BASE}{path} HTTP/1.1", "Host: x", f"Authorization: Token {token}", *headers)
    return "\r\n".join((*lines, "", "")).encode()
