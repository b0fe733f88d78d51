"""A CPO that says what a test wants it to say, and the same CPO registered with an eMSP."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias, cast

from anyio.from_thread import BlockingPortal
from attrs import define, field

from ocpi_emsp import Emsp, PartyId
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Key
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from ocpi_emsp.testing.cpo.wire import encode
from served.support import (
    SECONDS,
    Document,
    Host,
    Json,
    Logs,
    Ocpi,
    Stored,
    encoded,
    objects,
    quick_async_client,
    quick_client,
)

Scripted: TypeAlias = tuple[int, str, bytes]
"""HTTP status, content type, body."""
ENDED: Scripted = (200, "application/json", b'{"status_code":1000,"timestamp":"2024-01-01T00:00:00Z"}')
MODULES = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")


def envelope(data: Json = None, *, status: int = 200, code: int = 1000) -> Scripted:
    """An OCPI envelope."""
    document = {"data": data, "status_code": code, "status_message": "", "timestamp": "2024-01-01T00:00:00Z"}
    return status, "application/json", encode(document)


def html(status: int) -> Callable[[Document], Scripted]:
    """A page of some proxy."""
    return lambda _: (status, "text/html", b"<html><body>Bad Gateway</body></html>")


def json_of(content: bytes) -> Callable[[Document], Scripted]:
    """Anything, said to be JSON."""
    return lambda _: (200, "application/json", content)


def says(data: Any = None, *, status: int = 200, code: int = 1000) -> Callable[[Document], Scripted]:
    """An envelope."""
    return lambda _: envelope(data, status=status, code=code)


def offers(*endpoints: tuple[str, str]) -> Callable[[Document], Scripted]:
    """Version details."""
    listed = [{"identifier": identifier, "url": url} for identifier, url in endpoints]
    return says({"version": "2.1.1", "endpoints": listed})


UNUSABLE: dict[str, tuple[str, Callable[[Document], Scripted]]] = {
    "html": ("/versions", html(200)),
    "html-502": ("/versions", html(502)),
    "html-details": ("/2.1.1", html(200)),
    "401": ("/versions", says(status=401, code=2000)),
    "404-details": ("/2.1.1", says(status=404, code=2000)),
    "ocpi-error": ("/versions", says(code=3000)),
    "ocpi-error-details": ("/2.1.1", says(code=2000)),
    "redirect": ("/versions", says([], status=302)),
    "empty": ("/versions", json_of(b"")),
    "no-envelope": ("/versions", json_of(b"[]")),
    "no-data": ("/versions", json_of(b'{"status_code":1000}')),
    "data-of-another-kind": ("/versions", says({"version": "2.1.1"})),
    "version-without-url": ("/versions", says([{"version": "2.1.1"}])),
    "details-without-endpoints": ("/2.1.1", says({"version": "2.1.1"})),
    "endpoint-without-tls": ("/2.1.1", offers(("credentials", "http://192.0.2.1/credentials"))),
    "endpoint-that-is-a-file": ("/2.1.1", offers(("credentials", "file:///etc/passwd"))),
    "too-large": ("/versions", json_of(b'{"data":"' + b"a" * 100_000 + b'"}')),
}


@define
class FakeCpo:
    """The versions, version details and credentials endpoints of a CPO; `script` replaces the answer of a path.

    `token` is what the eMSP has to present. `requests` says what came: method, path, Authorization, body.
    """

    origin: str
    name: str
    logs: Logs
    country_code: str = "NL"
    party_id: str = "TNM"
    token: str = field(repr=False, default="")
    versions: tuple[str, ...] = ("2.0", "2.1.1")
    modules: tuple[str, ...] = MODULES
    base64: bool = False
    script: dict[str, Callable[[Document], Scripted]] = field(factory=dict)
    requests: list[tuple[str, str, str, bytes]] = field(factory=list)

    @property
    def url(self) -> str:
        """The base of its paths."""
        return f"{self.origin}/{self.name}"

    @property
    def versions_url(self) -> str:
        """Where an eMSP starts."""
        return f"{self.url}/versions"

    def fresh_token(self) -> str:
        """A new token for the eMSP to present."""
        self.token = self.logs.secret(secrets.token_urlsafe(32))
        return self.token

    def credentials(self, **changes: Json) -> Document:
        """Its credentials object."""
        document = {
            "token": self.token,
            "url": self.versions_url,
            "business_details": {"name": "The New Motion"},
            "party_id": self.party_id,
            "country_code": self.country_code,
        }
        return {**document, **changes}

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> Scripted:
        """What it says to a request."""
        self.requests.append((method, path, authorization, body))
        written = encoded(self.token) if self.base64 else self.token
        if authorization != f"Token {written}":
            return envelope(status=401, code=2000)
        if path in self.script:
            return self.script[path](json.loads(body) if body else {})
        if path == "/versions":
            return envelope([{"version": each, "url": f"{self.url}/{each}"} for each in self.versions])
        if path == "/2.1.1":
            endpoints = [{"identifier": each, "url": f"{self.url}/2.1.1/{each}"} for each in self.modules]
            return envelope({"version": "2.1.1", "endpoints": endpoints})
        return envelope(status=404, code=2000)

    @property
    def paths(self) -> list[str]:
        """Method and path of every request, oldest first."""
        return [f"{method} {path}" for method, path, _, _ in self.requests]


class FakeCpoServer(ThreadingHTTPServer):
    """Serves any number of fake CPOs, each below its name; one thread per request, so a CPO may call back."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _FakeCpoHandler)
        self.cpos: dict[str, FakeCpo] = {}

    def add(self, logs: Logs, country_code: str = "NL", party_id: str = "TNM") -> FakeCpo:
        """A new fake CPO."""
        origin, name = f"http://127.0.0.1:{self.server_address[1]}", f"cpo{len(self.cpos) + 1}"
        cpo = self.cpos[name] = FakeCpo(origin, name, logs, country_code, party_id)
        cpo.fresh_token()
        return cpo


class _FakeCpoHandler(BaseHTTPRequestHandler):
    wbufsize = -1  # headers and body in one packet
    timeout = SECONDS  # of a client that says nothing: closing the server waits for all

    def handle_request(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        name, _, path = self.path.lstrip("/").partition("/")
        cpos = cast(FakeCpoServer, self.server).cpos
        authorization = self.headers.get("authorization") or ""
        status, kind, content = cpos[name].answer(self.command, f"/{path}", authorization, body)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815 # the names http.server looks for

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@define
class Partner:
    """An eMSP, a CPO that is registered with it, and the CPO's way to call it."""

    host: Host
    emsp: Emsp
    store: MemoryStore
    cpo: FakeCpo
    ocpi: Ocpi
    token_a: str = field(default="", repr=False)
    events: list[Event] = field(factory=list)

    def switch(self, matrix: SupportMatrix) -> None:
        """Another eMSP of that matrix, on the same store and the same server."""
        self.emsp = Emsp(
            country_code="IT",
            party_id="BEC",
            name="Be Charge",
            url=self.host.url,
            store=self.store,
            matrix=matrix,
            url_policy="loopback",
            http_client=quick_client,
            aio_http_client=quick_async_client,
        )
        self.host.mount(self.emsp)

    def heard(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def path(self, module: str, *ids: str) -> str:
        """The path of one of the CPO's objects; `ids` are encoded already."""
        return "/".join(("/2.1.1", module, self.cpo.country_code, self.cpo.party_id, *ids))

    @property
    def objects(self) -> Stored:
        """Every stored object's document, by key."""
        return objects(self.store)

    def key(self, kind: str, object_id: str, parent: str = "") -> Key:
        """The key of one of the CPO's objects."""
        return Key(kind, self.cpo.country_code, self.cpo.party_id, object_id, parent)


def invite(ocpi: Ocpi, emsp: Emsp, cpo: FakeCpo, *, base64_token: bool = False) -> Ocpi:
    """A client with a token A for the CPO."""
    invitation = emsp.parties.invite(PartyId(cpo.country_code, cpo.party_id), base64_token=base64_token)
    assert invitation.versions_url == f"{ocpi.base}/versions"
    return ocpi.using(invitation.token_a)


def register(with_a: Ocpi, cpo: FakeCpo) -> Ocpi:
    """The handshake as the specification has it (credentials.md 3.1); returns a client with token C."""
    versions = with_a("GET", "/versions")
    details_url = next(each["url"] for each in versions.data if each["version"] == "2.1.1")
    endpoints = {each["identifier"]: each["url"] for each in with_a("GET", details_url).data["endpoints"]}
    answer = with_a("POST", endpoints["credentials"], cpo.credentials())
    assert answer.both == (201, 1000), answer.text
    return with_a.using(answer.data["token"])


Connect: TypeAlias = Callable[..., Partner]
"""The fixture that makes an eMSP, with the options given, and registers NL-TNM with it."""
MakeEmsp: TypeAlias = Callable[..., Emsp]
"""The fixture that makes an eMSP, with the options given, and mounts it."""


@contextmanager
def simulated(portal: BlockingPortal, cpo: SimulatedCpo) -> Iterator[SimulatedCpo]:
    """The simulated CPO, served over HTTP in the portal's thread."""
    with portal.wrap_async_context_manager(cpo), portal.wrap_async_context_manager(serving(cpo)):
        yield cpo


def works(ocpi: Ocpi) -> bool:
    """Whether the token opens a module."""
    answer = ocpi("GET", "/2.1.1/tokens")
    assert answer.both in ((200, 1000), (401, 2000))
    return answer.status == 200
