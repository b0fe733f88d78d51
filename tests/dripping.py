"""A server on loopback whose answers never end by themselves: a head or a body, byte by byte until told to stop."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from attrs import define, field

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 200000\r\n"
APART = 0.01
"""Seconds between two bytes: short enough for a short test, and never a wait that ends."""
SECONDS = 30.0
"""What anything here may take before it counts as hanging."""

Part = Literal["head", "body"]


@define
class Dripping:
    """The server: where it is, and what it does."""

    part: Part
    url: str = ""
    begun: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    """Released with each answer that begins to drip."""
    over: threading.Event = field(factory=threading.Event)
    """Set to let every connection go."""
    is_dry: bool = False
    """Somebody waited for all of it."""

    def answer(self, connection: socketserver.StreamRequestHandler) -> None:
        """Read a request, and drip."""
        while connection.rfile.readline().strip():
            pass
        whole, drop = (HEAD + b"\r\n", b" ") if self.part == "body" else (HEAD, b"x")
        connection.wfile.write(whole)
        self.begun.release()
        for _ in range(int(SECONDS / APART)):
            if self.over.wait(APART):
                return
            connection.wfile.write(drop)
        self.is_dry = True


@contextmanager
def dripping(part: Part = "body") -> Iterator[Dripping]:
    """Run one; each connection has a thread of its own."""
    made = Dripping(part)

    class Handler(socketserver.StreamRequestHandler):
        timeout = SECONDS

        def handle(self) -> None:
            with suppress(OSError):  # the client has gone
                made.answer(self)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/versions"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            server.shutdown()
            thread.join(SECONDS)
    assert not made.is_dry, "the client did not leave"
