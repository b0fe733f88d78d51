"""A proxy whose network is bad: it delays, cuts, doubles, holds back and resets exchanges, as a test says.

Rules: one fault for one exchange, and none for the others; whatever it does, the server behind it is done before the
client hears of it, so that a test can look at once at what is stored.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from attrs import define, field

Fault: TypeAlias = Literal["head cut", "body cut", "reset", "answer cut", "answer lost", "doubled", "late"]
"""What happens to one exchange: the request is cut in its head or body, or reset; the answer is cut, or lost by a
reset; the server gets the request twice, the client the second answer; the answer comes when nobody waits any more.
"""
FAULTS: tuple[Fault, ...] = get_args(Fault)

SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
_BUFFER = 65536


@define
class FaultyProxy:
    """``target``: the origin behind it. ``faults``: those of the next exchanges, None for one that goes well."""

    target: str = ""
    origin: str = ""
    faults: deque[Fault | None] = field(factory=deque)
    given_up: threading.Event = field(factory=threading.Event)
    """Set by the test once its client does not wait any longer for an answer that is late."""
    done: SimpleQueue[Fault] = field(factory=SimpleQueue)
    """The faults that happened; the server is done with their exchanges."""
    _lock: threading.Lock = field(factory=threading.Lock)

    def serve(self, client: socket.socket) -> None:
        """Every exchange of one connection."""
        with client, suppress(ConnectionError, TimeoutError):  # it is gone, or idle until the end of the test
            while request := _message(client):
                with self._lock:
                    fault = self.faults.popleft() if self.faults else None
                if not self._exchange(client, request, fault):
                    return

    def _exchange(self, client: socket.socket, request: bytes, fault: Fault | None) -> bool:
        """Hand over a request and its answer; True where the connection goes on."""
        if fault is None:
            client.sendall(self._answer(request))
            return True
        answer = b"" if fault in ("head cut", "body cut", "reset") else self._answer(request)
        if not answer:
            self._hand_over_a_part(request, fault)
        if fault == "doubled":
            answer = self._answer(request)
        self.done.put(fault)
        if fault == "late":
            assert self.given_up.wait(SECONDS), "nobody gave up"
        if fault in ("reset", "answer lost"):
            _reset(client)
        else:
            client.sendall(answer[: len(answer) - 20] if fault == "answer cut" else answer)
        return fault == "doubled"

    def _hand_over_a_part(self, request: bytes, fault: Fault) -> None:
        """What the server gets of a request that breaks off; it is done with that once it ended the connection."""
        head, _, body = request.partition(b"\r\n\r\n")
        part = head[: len(head) // 2] if fault == "head cut" else request[: len(request) - max(len(body) // 2, 1)]
        with self._server() as server:
            server.sendall(part)
            if fault == "reset":
                _reset(server)
                return
            server.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while server.recv(_BUFFER):
                    pass

    def _answer(self, request: bytes) -> bytes:
        with self._server() as server:
            server.sendall(request)
            return _message(server)

    def _server(self) -> socket.socket:
        target = urlsplit(self.target)
        return socket.create_connection((target.hostname, target.port), SECONDS)


def _reset(connection: socket.socket) -> None:
    """End a connection by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _message(connection: socket.socket) -> bytes:
    """A whole request or answer; empty where the other side ended the connection."""
    message = bytearray()
    while b"\r\n\r\n" not in message:
        received = connection.recv(_BUFFER)
        if not received:
            return b""
        message += received
    head, _, _ = bytes(message).partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    assert b"transfer-encoding" not in fields, "this proxy knows content-length alone"
    whole = len(head) + 4 + int(fields.get(b"content-length", b"0"))
    while len(message) < whole:
        received = connection.recv(_BUFFER)
        assert received, "the message ended early"
        message += received
    return bytes(message)


@contextmanager
def faulty_proxy() -> Iterator[FaultyProxy]:
    """A running proxy at a free port."""
    proxy = FaultyProxy()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy.origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=_accept, args=(listening, proxy), daemon=True)
        thread.start()
        yield proxy
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(SECONDS)


def _accept(listening: socket.socket, proxy: FaultyProxy) -> None:
    with suppress(OSError):  # the test is over
        while True:
            client, _ = listening.accept()
            client.settimeout(SECONDS)
            threading.Thread(target=proxy.serve, args=(client,), daemon=True).start()
