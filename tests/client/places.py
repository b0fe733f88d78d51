"""Two hosts on this machine, one of which a policy may allow and the other one not, and what leads to them.

127.0.0.2 stands for a CPO on the internet, 127.0.0.1 for a service within our network, on the same port.
"""

import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

import dnslib
import httpx
from attrs import define, field
from dnslib.server import DNSLogger, DNSServer

from ocpi_emsp.url_policy import UrlPolicy
from scripted_cpo import Handler

CPO, INSIDE = "127.0.0.2", "127.0.0.1"
NAME = "cpo.example.com"
POLICY = UrlPolicy.default().allowing_http(NAME).allowing_network(CPO)
"""The CPO may be called, over http, as a public address may be; nothing else of this machine."""


@define
class Place:
    """A server, and what it was asked."""

    answer: Handler
    keeps_alive: bool = False
    requests: list[httpx.Request] = field(factory=list)
    connections: int = 0


@define
class Places:
    """Both servers, and the URL of a name that leads to one of them."""

    cpo: Place
    inside: Place
    port: int

    @property
    def url(self) -> str:
        return f"http://{NAME}:{self.port}/x"


def ok(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"data": [], "status_code": 1000})


@contextmanager
def places() -> Iterator[Places]:
    """Both, listening."""
    cpo, inside = Place(ok), Place(ok)
    with ExitStack() as stack:
        port = stack.enter_context(_listening(cpo, CPO, 0))
        stack.enter_context(_listening(inside, INSIDE, port))
        yield Places(cpo, inside, port)


@contextmanager
def _listening(place: Place, address: str, port: int) -> Iterator[int]:
    class Requests(BaseHTTPRequestHandler):
        timeout = 20

        def setup(self) -> None:
            place.connections += 1
            self.protocol_version = "HTTP/1.1" if place.keeps_alive else "HTTP/1.0"
            super().setup()

        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            url = f"http://{self.headers['host']}{self.path}" if self.path.startswith("/") else self.path
            request = httpx.Request(self.command, url, headers=list(self.headers.items()), content=body)
            place.requests.append(request)
            response = place.answer(request)
            with suppress(ConnectionError):
                self.send_response(response.status_code)
                for name, value in ({"content-length": str(len(response.content))} | dict(response.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.content)

        do_GET = do_POST = do_PUT = handle_request  # noqa: N815 # the names http.server looks for

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that is gone is no error."""

    with Server((address, port), Requests) as server, _serving(server):
        yield server.server_port


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(20)


# --- names ----------------------------------------------------------------------------------------------------------


@define
class Names:
    """A resolver whose answers to any name are given one after the other; the last one stays."""

    answers: Sequence[Sequence[str] | Exception]
    asked: list[tuple[str, int]] = field(factory=list)

    def __call__(self, host: str, port: int) -> Sequence[str]:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((host, port))
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def closed_port() -> Iterator[int]:
    """A port at which nothing listens, and that nothing else can take meanwhile."""
    with socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@define
class NameServer:
    """What a name server was asked, and how to ask it."""

    port: int
    asked: list[str] = field(factory=list)

    def resolver(self, host: str, _: int) -> list[str]:
        """Ask it over UDP, as a system's resolver does that caches nothing."""
        reply = dnslib.DNSRecord.parse(dnslib.DNSRecord.question(host, "A").send("127.0.0.1", self.port, timeout=20))
        return [str(record.rdata) for record in reply.rr]


@contextmanager
def name_server(*answers: Sequence[str]) -> Iterator[NameServer]:
    """A real one on this machine: an answer for each query, the last one for all that follow; it may not be cached."""

    class Zone:
        def resolve(self, request: Any, _: object) -> Any:
            reply = request.reply()
            found = answers[min(len(known.asked), len(answers) - 1)]
            known.asked.append(str(request.q.qname).removesuffix("."))
            for address in found:
                reply.add_answer(dnslib.RR(request.q.qname, rdata=dnslib.A(address), ttl=0))
            return reply

    server = DNSServer(Zone(), address="127.0.0.1", port=0, logger=DNSLogger(logf=lambda _: None))
    known = NameServer(server.server.server_address[1])
    with server.server, _serving(server.server):
        yield known
