"""A CPO that says what a test wants it to say, and the same CPO registered with an eMSP."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import httpx
from anyio.from_thread import BlockingPortal
from attrs import define, field

from ocpi_emsp import Emsp, PartyId
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Key
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from scripted_cpo import Handler, ScriptedCpo, reply
from served.support import (
    Document,
    Host,
    Json,
    Logs,
    Ocpi,
    Stored,
    emsp_at,
    objects,
)

ENDED = httpx.Response(200, json={"status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})


def html(status: int) -> Handler:
    """A page of some proxy."""
    return lambda _: httpx.Response(status, html="<html><body>Bad Gateway</body></html>")


def json_of(content: bytes) -> Handler:
    """Anything, said to be JSON."""
    return lambda _: httpx.Response(200, content=content, headers={"content-type": "application/json"})


def says(data: Any = None, *, status: int = 200, code: int = 1000) -> Handler:
    """An envelope."""
    return lambda _: reply(data, code, status=status)


def offers(*endpoints: tuple[str, str]) -> Handler:
    """Version details."""
    listed = [{"identifier": identifier, "url": url} for identifier, url in endpoints]
    return says({"version": "2.1.1", "endpoints": listed})


UNUSABLE: dict[str, tuple[str, Handler]] = {
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


@define(kw_only=True)
class FakeCpo(ScriptedCpo):
    """A scripted CPO with credentials, at an origin of its own."""

    origin: str
    logs: Logs
    country_code: str = "NL"
    party_id: str = "TNM"
    versions: Sequence[str] = ("2.0", "2.1.1")

    @property
    def url(self) -> str:
        """The base of its paths."""
        return f"{self.origin}{self.root}"

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


@define
class FakeCpos:
    """Any number of scripted CPOs at one origin, each below its name."""

    origin: str = ""
    cpos: dict[str, FakeCpo] = field(factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        return self.cpos[request.url.path.split("/")[1]](request)

    def add(self, logs: Logs) -> FakeCpo:
        """A new scripted CPO."""
        name = f"cpo{len(self.cpos) + 1}"
        cpo = self.cpos[name] = FakeCpo(origin=self.origin, root=f"/{name}", logs=logs)
        cpo.fresh_token()
        return cpo


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
        self.emsp = emsp_at(self.host, store=self.store, matrix=matrix)
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
    return ocpi.using(invitation.token_a.reveal())


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
