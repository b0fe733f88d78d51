"""What a driver waits for: a real-time authorization, and a START_SESSION with its result, on the store in memory.

Target: an authorization costs at most ten times a bare endpoint that only parses the JSON: it authenticates, reads the
token and the location, and journals the decision. A hook's own time is not counted, nor that of a thread it runs in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from measure import UNBOUNDED, Result, compare
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest, Emsp, Limits, Token
from ocpi_emsp.models import TokenType, WhitelistType
from ocpi_emsp.settings import AuthorizeLimits
from ocpi_emsp.wire import Request
from put_location import call_asgi, registered
from samples import dump, location

_PLACE = dump({"location_id": "LOC1", "evse_uids": [json.loads(location(2))["evses"][0]["uid"]]})
_AUTHORIZE = "/ocpi/emsp/2.1.1/tokens/012345678/authorize"
_CALLS = 300
_TOKEN = Token(
    uid="012345678",
    type=TokenType.RFID,
    auth_id="DE8ACC12E46L89",
    issuer="Be Charge",
    valid=True,
    whitelist=WhitelistType.NEVER,
    last_updated=datetime(2024, 1, 1, tzinfo=UTC),
)


def results() -> Iterator[Result]:
    """Authorizations without and with a hook, and a command with its result, each against the bare endpoint."""
    endpoint = Starlette(routes=[Route(_AUTHORIZE, _only_loads, methods=["POST"])])
    bare = call_asgi(endpoint, "POST", _AUTHORIZE, "", lambda: _PLACE)
    for name, decide in (("authorize, by the stored token", None), ("authorize, by an async hook", _allow)):
        emsp, token = _known()
        if decide is not None:
            emsp.authorize(decide)
        ours = call_asgi(emsp.asgi(), "POST", _AUTHORIZE, token, lambda: _PLACE)
        yield compare(name, ours, bare, _CALLS)
    yield compare("START_SESSION, acknowledged, and its result", _command(*_known()), bare, _CALLS // 3)


async def _only_loads(request: StarletteRequest) -> JSONResponse:
    json.loads(await request.body())
    return JSONResponse({"status_code": 1000})


async def _allow(request: AuthorizationRequest) -> AuthorizationInfo:
    return request.allow()


def _known() -> tuple[Emsp, str]:
    """An eMSP that knows a token and a location; nothing suspends, so its hooks have no deadline."""
    emsp, token = registered(Limits(authorize=AuthorizeLimits(timeout=None), inbound=UNBOUNDED))
    emsp.tokens.put(_TOKEN)
    headers = {"authorization": f"Token {token}"}
    answer = emsp.handle(Request("PUT", "/2.1.1/locations/NL/TNM/LOC1", headers=headers, body=location(2)))
    assert answer.status == 201, answer.body
    return emsp, token


def _command(emsp: Emsp, token: str) -> Callable[[], object]:
    headers = {"authorization": f"Token {token}"}

    def call() -> object:
        with emsp.partner("NL-TNM").client() as cpo:
            pending = cpo.start_session(token=_TOKEN, location_id="LOC1", force=True)
        path = f"/2.1.1/commands/START_SESSION/{pending.uid}"
        emsp.handle(Request("POST", path, headers=headers, body=b'{"result":"ACCEPTED"}'))
        assert pending.result(timeout=1) == "ACCEPTED"
        return None

    return call
