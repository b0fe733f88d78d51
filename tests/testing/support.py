"""What the tests of the simulated CPO share: a minimal eMSP, and a CPO registered with it."""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import anyio
import httpx
from attrs import define, field

from ocpi_emsp.testing.cpo import (
    SimulatedCpo,
    samples,
)
from ocpi_emsp.testing.cpo.server import serving

CPO = "http://cpo.test/ocpi/cpo"
API = f"{CPO}/2.1.1"
EMSP = "https://emsp.test/ocpi/emsp"
MODULES = ("cdrs", "commands", "credentials", "locations", "sessions", "tariffs", "tokens")
TOKEN_A = "token-a"
TOKEN_B = "token-b"
SECONDS = 20
"""No wait of a test takes longer."""

CREDENTIALS = {
    "token": TOKEN_B,
    "url": f"{EMSP}/versions",
    "business_details": {"name": "Example Provider"},
    "party_id": "EXA",
    "country_code": "NL",
}


@define
class FakeEmsp:
    """A minimal eMSP as an ASGI application: versions, credentials, pages of one token, and 1000 to the rest.

    `failing` is a path that is answered with 500; `answers` replaces the data of an answer.
    """

    cpo: SimulatedCpo | None = None
    versions: list[str] = field(factory=lambda: ["2.0", "2.1.1"])
    modules: Sequence[str] = MODULES
    token: str = TOKEN_B
    tokens: list[dict[str, Any]] = field(factory=list)
    failing: str = ""
    answers: dict[tuple[str, str], Any] = field(factory=dict)
    cpo_token: str = ""
    requests: list[tuple[str, str, str, Any]] = field(factory=list)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["raw_path"].decode()
        if scope["query_string"]:
            target = f"{target}?{scope['query_string'].decode()}"
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
        document = json.loads(body, parse_float=Decimal) if body else None
        self.requests.append((scope["method"], target, authorization, document))
        status, headers, data = await self.answer(scope["method"], target, authorization, document)
        code = 1000 if status < 300 else 2000
        envelope = {"data": data, "status_code": code, "timestamp": "2024-01-01T00:00:00Z"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": json.dumps(envelope).encode()})

    async def answer(
        self, method: str, target: str, authorization: str, document: Any
    ) -> tuple[int, dict[str, str], Any]:
        path = target.split("?")[0].removeprefix("/ocpi/emsp")
        if self.failing and path == self.failing:
            return 500, {}, None
        if authorization not in (f"Token {self.token}", f"Token {_base64(self.token)}"):
            return 401, {}, None
        if (method, path) in self.answers:
            return 200, {}, self.answers[method, path]
        match method, path:
            case "GET", "/versions":
                return 200, {}, [{"version": each, "url": f"{EMSP}/{each}/"} for each in self.versions]
            case "GET", "/2.1.1/":
                endpoints = [{"identifier": each, "url": f"{EMSP}/m/{each}/"} for each in self.modules]
                return 200, {}, {"version": "2.1.1", "endpoints": endpoints}
            case (("POST" | "PUT" | "PATCH"), "/m/credentials/"):
                return 200, {}, await self.take_credentials(document)
            case "GET", "/m/tokens/":
                return self.token_page(target)
            case "POST", "/m/cdrs/":
                return 201, {"location": f"/ocpi/emsp/m/cdrs/{document['id']}"}, None
        return 200, {}, {"path": path}

    async def take_credentials(self, document: dict[str, Any]) -> dict[str, Any]:
        """Fetches the CPO's versions with the token offered, as a receiver must, and gives a new token."""
        self.cpo_token = document["token"]
        if self.cpo is not None:
            async with client(self.cpo, self.cpo_token) as http:
                assert (await http.get(self.cpo.versions_url)).status_code == 200
        self.token = "token-of-emsp"
        return {**CREDENTIALS, "token": self.token}

    def token_page(self, target: str) -> tuple[int, dict[str, str], Any]:
        offset = int(httpx.URL(target).params.get("offset", "0"))
        url = f"{EMSP}/m/tokens/?offset={offset + 1}"
        link = {"link": f'<{url}>; rel="next"'} if offset + 1 < len(self.tokens) else {}
        return 200, link, self.tokens[offset : offset + 1]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def client(cpo: SimulatedCpo, token: str = "") -> httpx.AsyncClient:
    """An HTTP client of the CPO's application that presents `token`."""
    headers = {"authorization": f"Token {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=cpo.app), headers=headers)


@define
class Pair:
    """A CPO and an eMSP that are registered with each other, and the eMSP's HTTP client."""

    cpo: SimulatedCpo
    emsp: FakeEmsp
    http: httpx.AsyncClient

    async def data(self, path: str) -> Any:
        return payload(await self.http.get(API + path))["data"]


def pair(scenario: Callable[[Pair], Awaitable[None]], **settings: Any) -> None:
    """Runs `scenario` with a registered pair, and closes everything after it."""

    async def run() -> None:
        emsp = FakeEmsp()
        transport = httpx.ASGITransport(app=emsp.app)
        async with SimulatedCpo(token_a=TOKEN_A, transport=transport, **settings) as cpo:
            async with client(cpo, TOKEN_A) as http:
                registered = payload(await http.post(f"{API}/credentials", json=CREDENTIALS))
            emsp.requests.clear()
            async with client(cpo, registered["data"]["token"]) as http:
                await scenario(Pair(cpo, emsp, http))

    anyio.run(run)


def served(scenario: Callable[[Pair, str], Awaitable[None]], **settings: Any) -> None:
    """Runs `scenario` with a pair whose CPO is served over HTTP, and the URL of its version 2.1.1."""

    async def run() -> None:
        emsp = FakeEmsp()
        cpo = SimulatedCpo(token_a=TOKEN_A, transport=httpx.ASGITransport(app=emsp.app), **settings)
        async with cpo, serving(cpo) as url, httpx.AsyncClient(timeout=SECONDS) as http:
            await scenario(Pair(cpo, emsp, http), await register(http, url))

    anyio.run(run)


async def register(http: httpx.AsyncClient, url: str) -> str:
    """Registers `http` with a CPO that is served at `url`; returns the URL of its version 2.1.1."""
    api = f"{url}/ocpi/cpo/2.1.1"
    headers = {"authorization": f"Token {TOKEN_A}"}
    registered = payload(await http.post(f"{api}/credentials", json=CREDENTIALS, headers=headers))
    http.headers["authorization"] = f"Token {registered['data']['token']}"
    return api


async def crawl(peer: Pair, path: str, *, pages: int = 20) -> list[httpx.Response]:
    """The pages of a list, as a client gets them that believes every next link; no more than `pages`."""
    found = [await peer.http.get(f"{API}{path}")]
    while (url := next_url(found[-1])) is not None and len(found) < pages:
        found.append(await peer.http.get(url))
    return found


def ids(pages: Sequence[httpx.Response]) -> list[list[str | None]]:
    """The ids on each page."""
    return [[each.get("id") for each in payload(page)["data"]] for page in pages]


def payload(response: httpx.Response) -> dict[str, Any]:
    """The envelope of an answer, checked for what every envelope must have."""
    envelope: dict[str, Any] = json.loads(response.text, parse_float=Decimal)
    assert response.headers["content-type"] == "application/json"
    assert isinstance(envelope["status_code"], int)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", envelope["timestamp"])
    return envelope


def next_url(response: httpx.Response) -> str | None:
    links = response.links
    return links["next"]["url"] if "next" in links else None


def receiver(emsp: FakeEmsp, **settings: Any) -> SimulatedCpo:
    return SimulatedCpo(token_a=TOKEN_A, transport=httpx.ASGITransport(app=emsp.app), **settings)


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def command(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "response_url": f"{EMSP}/m/commands/START_SESSION/1234",
        "token": samples.token(),
        "location_id": "LOC1",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


COMMANDS = {
    "START_SESSION": command(evse_uid="LOC1-E1"),
    "RESERVE_NOW": command(expiry_date="2030-01-01T00:00:00Z", reservation_id=7),
    "STOP_SESSION": command(token=None, location_id=None, session_id="SES4"),
    "UNLOCK_CONNECTOR": command(token=None, evse_uid="LOC1-E1", connector_id="1"),
}
