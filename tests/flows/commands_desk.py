"""A CPO that takes commands, and what is stored of it: what the tests of commands share."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
from attrs import define, field

from flows.support import NOW, URL, FakeClock, Peer, at, cpo_server, envelope, peer
from ocpi_emsp import Emsp, Token
from ocpi_emsp.models import CommandResponseType, TokenType, WhitelistType
from ocpi_emsp.resources import PendingCommand, SentCommand
from ocpi_emsp.testing.cpo import samples

ACCEPTED, REJECTED, TIMEOUT = CommandResponseType.ACCEPTED, CommandResponseType.REJECTED, CommandResponseType.TIMEOUT
UNKNOWN_SESSION = CommandResponseType.UNKNOWN_SESSION
SECONDS = 10.0
"""What any wait here may take before it counts as hanging."""


def token(uid: str = "T0") -> Token:
    return Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id="IT-BEC-1",
        issuer="Be Charge",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=NOW,
    )


@define
class CommandServer:
    """A CPO that acknowledges commands with ``data``, or as ``answer`` says; ``meanwhile`` runs before it answers."""

    data: Any = field(factory=lambda: {"result": "ACCEPTED"})
    status_code: int = 1000
    meanwhile: Callable[[dict[str, Any]], None] = lambda _body: None
    answer: Callable[[httpx.Request], httpx.Response] | None = None
    bodies: list[tuple[str, dict[str, Any]]] = field(factory=list)
    headers: list[httpx.Headers] = field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "/commands/" not in request.url.path:
            return cpo_server(request)
        body = json.loads(request.content)
        self.bodies.append((request.url.path, body))
        self.headers.append(request.headers)
        self.meanwhile(body)
        if self.answer is not None:
            return self.answer(request)
        return httpx.Response(200, json=envelope(self.data, self.status_code))

    def client(self) -> httpx.Client:
        """The ``http_client`` of an eMSP whose partner this is."""
        return httpx.Client(transport=httpx.MockTransport(self))

    def async_client(self) -> httpx.AsyncClient:
        """The ``aio_http_client``."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self))

    @property
    def uid(self) -> str:
        """The id of the last command that came in."""
        return str(self.bodies[-1][1]["response_url"]).rpartition("/")[2]


def known(server: CommandServer, **settings: Any) -> Peer:
    """A registered CPO whose location LOC1 and session SES1 are stored, and our token T0."""
    settings = {"http_client": server.client, "aio_http_client": server.async_client, **settings}
    cpo = peer(**settings)
    place = samples.location()
    cpo.put("locations/*/LOC1", {**place, "last_updated": at(0)})
    session = samples.session("SES1", at=place, start=NOW - timedelta(hours=1), status="ACTIVE")
    cpo.put("sessions/*/SES1", {**session, "last_updated": at(0)})
    cpo.emsp.tokens.put(token())
    cpo.events.clear()
    return cpo


def start(emsp: Emsp, **options: Any) -> PendingCommand:
    """A START_SESSION for NL-TNM."""
    with emsp.partner("NL-TNM").client() as cpo:
        return cpo.start_session(token=token(), location_id="LOC1", evse_uid="LOC1-E1", **options)


def stop(emsp: Emsp) -> PendingCommand:
    """A STOP_SESSION for NL-TNM."""
    with emsp.partner("NL-TNM").client() as cpo:
        return cpo.stop_session(session_id="SES1")


def callback(sent: SentCommand | PendingCommand) -> str:
    """Where its result comes in, below our 2.1.1."""
    command = sent.command if isinstance(sent, PendingCommand) else sent
    return f"commands/{command.command.value}/{command.uid}"


def path_of(body: dict[str, Any]) -> str:
    """The same, of a command as the CPO gets it."""
    return str(body["response_url"]).removeprefix(f"{URL}/2.1.1/")


def stored(cpo: Peer, uid: str) -> SentCommand:
    """A command as it is stored."""
    sent = cpo.emsp.commands.get("NL-TNM", uid)
    assert sent is not None
    return sent


__all__ = ["FakeClock", "Peer"]
