"""The other side of bench/load.py: what a good engineer writes by hand for the five operations, and nothing more.

Rules of this module:
- Starlette; a document is one row, a change one statement with its commit, an answer an envelope;
- the caller is looked up by the SHA-256 of its token in each request, and owns what its path names;
- a body is parsed with ``json.loads``, and its ``last_updated`` has to be a time; nothing else is checked;
- the same durability as ours: PostgreSQL's defaults, SQLite in WAL mode with ``synchronous = FULL``.

    HAND_STORE=memory|sqlite:///FILE|postgresql://... uvicorn hand_app:app
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hand_stores import Owner, Store, Unauthorized, opened
from load_requests import BASE

_PUBLIC = "https://ocpi.example.com" + BASE
_store: Store = opened(os.environ["HAND_STORE"])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _answer(
    data: str | None = None, *, status: int = 200, code: int = 1000, headers: Mapping[str, str] | None = None
) -> Response:
    """An envelope around data that is JSON."""
    envelope = {"status_code": code, "status_message": "Success" if code == 1000 else "Error", "timestamp": _now()}
    text = json.dumps(envelope)
    if data is not None:
        text = f'{{"data": {data}, {text[1:]}'
    return Response(text, status, headers, "application/json")


def _caller(request: Request) -> str:
    _, _, token = request.headers.get("authorization", "").partition(" ")
    return hashlib.sha256(token.encode()).hexdigest()


def _parsed(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    datetime.fromisoformat(document["last_updated"])
    return dict(document)


def _owner(request: Request) -> Owner:
    return request.path_params["country_code"], request.path_params["party_id"]


async def patch_evse(request: Request) -> Response:
    body = await request.body()
    changes, path = _parsed(body), request.path_params
    place = path["location_id"], path["evse_uid"]
    found = await _store.patch_evse(_caller(request), _owner(request), place, body.decode(), changes)
    return _answer() if found else _answer(status=404, code=2003)


async def put_location(request: Request) -> Response:
    body = await request.body()
    location = _parsed(body)
    await _store.put_location(
        _caller(request), _owner(request), request.path_params["location_id"], body.decode(), location
    )
    return _answer()


async def post_cdr(request: Request) -> Response:
    body = await request.body()
    cdr = _parsed(body)
    if not await _store.post_cdr(_caller(request), cdr["id"], body.decode(), cdr):
        return _answer(code=2001)
    return _answer(status=201, headers={"location": f"{_PUBLIC}/cdrs/{cdr['id']}"})


async def authorize(request: Request) -> Response:
    asked = json.loads(await request.body())
    uid, location_id = request.path_params["uid"], asked["location_id"]
    found = await _store.authorize(_caller(request), uid, location_id, _now())
    if found is None:
        return _answer(status=404, code=2003)
    known = [each for each in asked.get("evse_uids", ()) if each in found]
    return _answer(json.dumps({"allowed": "ALLOWED", "location": {"location_id": location_id, "evse_uids": known}}))


async def tokens(request: Request) -> Response:
    offset = int(request.query_params.get("offset", 0))
    limit = min(int(request.query_params.get("limit", 100)), 1000)
    rows, total = await _store.tokens(_caller(request), offset, limit)
    headers = {
        "x-total-count": str(total),
        "x-limit": str(limit),
        "link": f'<{_PUBLIC}/tokens?offset={offset + limit}&limit={limit}>; rel="next"',
    }
    return _answer(f"[{','.join(rows)}]", headers=headers)


async def _unauthorized(_: Request, __: Exception) -> Response:
    return _answer(status=401, code=2001)


@contextlib.asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    await _store.open()
    yield
    await _store.close()


_LOCATION = BASE + "/locations/{country_code}/{party_id}/{location_id}"
app = Starlette(
    lifespan=_lifespan,
    exception_handlers={Unauthorized: _unauthorized},
    routes=[
        Route(_LOCATION + "/{evse_uid}", patch_evse, methods=["PATCH"]),
        Route(_LOCATION, put_location, methods=["PUT"]),
        Route(BASE + "/cdrs", post_cdr, methods=["POST"]),
        Route(BASE + "/tokens/{uid}/authorize", authorize, methods=["POST"]),
        Route(BASE + "/tokens", tokens),
    ],
)
