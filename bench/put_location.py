"""PUT location through the ASGI app in process, as a ratio to a bare Starlette endpoint that only parses the JSON.

Target: at least 1.0 times the bare endpoint's requests per second. Every push differs from the one before: one EVSE
that starts or stops charging (the usual push), or all of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import ocpi_emsp
from measure import UNBOUNDED, Result, compare
from ocpi_emsp import Emsp, Limits, SupportMatrix
from ocpi_emsp.storage import MemoryStore
from samples import dump, location

_BASE = "/ocpi/emsp/2.1.1/locations"
_MOMENT = "2015-07-01T00:00:00Z"


def results() -> Iterator[Result]:
    """Locations with 2, 10 and 100 EVSEs, one or all of them changed by each push; the ratio is requests per second."""
    for evses, calls in ((2, 500), (10, 300), (100, 40)):
        for changed, charging in (("one EVSE", frozenset({0})), ("all EVSEs", frozenset(range(evses)))):
            yield _compare(f"{evses} EVSEs, {changed} changed", evses, charging, calls)


def _compare(name: str, evses: int, charging: frozenset[int], calls: int) -> Result:
    emsp, token = registered()
    app, bare = emsp.asgi(), Starlette(routes=[Route(_BASE + "/{cc}/{pid}/{id}", _only_loads, methods=["PUT"])])
    templates = tuple(_template(evses, charging, on) for on in (True, False))
    result = compare(name, _caller(app, token, templates), _caller(bare, token, templates), calls)
    return Result(result.name, result.ours, result.reference, 1 / result.ratio)


def _template(evses: int, charging: frozenset[int], on: bool) -> bytes:
    """A push whose location, and whose EVSEs in ``charging``, are stamped with a moment to be filled in."""
    document = json.loads(location(evses, charging=charging if on else frozenset()))
    document["last_updated"] = _MOMENT
    for number in charging:
        document["evses"][number]["last_updated"] = _MOMENT
    return dump(document)


async def _only_loads(request: Request) -> JSONResponse:
    json.loads(await request.body())
    return JSONResponse({"status_code": 1000})


def _caller(app: Any, token: str, templates: tuple[bytes, ...]) -> Callable[[], object]:
    """Pushes the templates in turns, each a second later than the last; both sides pay for filling in the time."""
    pushes = itertools.cycle(templates)
    seconds = itertools.count(int(datetime(2016, 1, 1, tzinfo=UTC).timestamp()))

    def body() -> bytes:
        stamp = datetime.fromtimestamp(next(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return next(pushes).replace(_MOMENT.encode(), stamp.encode())

    return call_asgi(app, "PUT", f"{_BASE}/NL/TNM/LOC1", token, body)


def call_asgi(app: Any, method: str, path: str, token: str, body: Callable[[], bytes]) -> Callable[[], object]:
    """Sends a request to an ASGI application in process, whatever it answers, as long as it is a success."""
    answers: list[int] = []
    headers = [
        (b"host", b"ocpi.example.com"),
        (b"authorization", f"Token {token}".encode()),
        (b"content-type", b"application/json"),
        (b"accept", b"*/*"),
        (b"user-agent", b"cpo"),
    ]

    def call() -> object:
        sent = body()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        _finish(app(scope, receive, send))
        assert answers.pop() in (200, 201)
        return None

    return call


def _finish(coroutine: Any) -> None:
    """Neither side waits for anything, so no event loop is needed; it would cost both sides the same."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("suspended")


def registered(limits: Limits | None = None, matrix: SupportMatrix | None = None) -> tuple[Emsp, str]:
    """An eMSP with NL-TNM registered, and the token that NL-TNM calls it with; commands are acknowledged."""
    modules = ("credentials", "commands")
    endpoints = [{"identifier": name, "url": f"https://cpo.example.com/2.1.1/{name}"} for name in modules]
    answers = {
        "/versions": [{"version": "2.1.1", "url": "https://cpo.example.com/2.1.1"}],
        "/2.1.1": {"version": "2.1.1", "endpoints": endpoints},
        "/2.1.1/commands/START_SESSION": {"result": "ACCEPTED"},
    }

    def cpo(request: httpx.Request) -> httpx.Response:
        answer = {"data": answers[request.url.path], "status_code": 1000, "timestamp": "2015-06-30T21:59:59Z"}
        return httpx.Response(200, json=answer)

    emsp = Emsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url="https://ocpi.example.com/ocpi/emsp",
        store=MemoryStore(),
        limits=limits or Limits(inbound=UNBOUNDED),
        matrix=matrix,
        http_client=lambda: httpx.Client(transport=httpx.MockTransport(cpo)),
    )
    credentials = {
        "token": "token-b",
        "url": "https://cpo.example.com/versions",
        "business_details": {"name": "The New Motion"},
        "party_id": "TNM",
        "country_code": "NL",
    }
    token_a = emsp.parties.invite("NL-TNM").token_a.reveal()
    headers = {"authorization": f"Token {token_a}"}
    body = json.dumps(credentials).encode()
    answer = emsp.handle(ocpi_emsp.wire.Request("POST", "/2.1.1/credentials", headers=headers, body=body))
    return emsp, json.loads(answer.body)["data"]["token"]
