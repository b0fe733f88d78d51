"""What the CPO sends us and asks of us: locations, sessions, CDRs, tariffs, our tokens (eMSP interface of mod_*.md).

Rules of this module: a push has had its effect where our backend heard the event with the new value in it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx

from ocpi_emsp.cli.demo.parties import Exchange
from ocpi_emsp.cli.demo.pulls import TOKENS
from ocpi_emsp.cli.demo.rows import Call, Seen
from ocpi_emsp.cli.demo.stage import Act, Stage, now
from ocpi_emsp.events import CdrReceived, EvseReceived, LocationReceived, SessionReceived, TariffReceived
from ocpi_emsp.support import FROM_CPO
from ocpi_emsp.testing.cpo import samples

PUSHES = Act()

LOCATION, EVSE, SESSION, CDR, TARIFF = "LOC1", "LOC1-E1", "SES1", "CDR-2024-0001", "TAR1"
_MOST_PAGES = 10


def _call(method: str, path: str) -> Call:
    return Call(path.split("/")[1], FROM_CPO, method, path)


PUT_LOCATION, PATCH_LOCATION, GET_LOCATION = (
    _call("PUT", "/locations/:path"),
    _call("PATCH", "/locations/:path"),
    _call("GET", "/locations"),
)
PUT_SESSION, PATCH_SESSION, GET_SESSION = (_call(method, "/sessions/:path") for method in ("PUT", "PATCH", "GET"))
POST_CDR, GET_CDR = _call("POST", "/cdrs"), _call("GET", "/cdrs/:path")
PUT_TARIFF, PATCH_TARIFF, DELETE_TARIFF = (_call(method, "/tariffs/:path") for method in ("PUT", "PATCH", "DELETE"))
GET_TARIFF = _call("GET", "/tariffs")
GET_TOKENS, AUTHORIZE = _call("GET", "/tokens"), _call("POST", "/tokens/:tokenUid/authorize")


@PUSHES.scene(PUT_LOCATION)
async def put_location(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """A location with two EVSEs."""
    exchange = await stage.tnm.call("PUT", "locations", stage.tnm.owned(LOCATION), body=samples.location(LOCATION))
    heard = stage.heard.has(LocationReceived, lambda event: event.location.id == LOCATION)
    yield PUT_LOCATION, exchange.seen(f"{stage.tnm} pushes location {LOCATION} with two EVSEs", effect=heard)


@PUSHES.scene(PATCH_LOCATION)
async def patch_evse(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """An EVSE is charging now."""
    changes = {"status": "CHARGING", "last_updated": now()}
    exchange = await stage.tnm.call("PATCH", "locations", stage.tnm.owned(LOCATION, EVSE), body=changes)
    heard = stage.heard.has(EvseReceived, lambda event: (event.evse.uid, event.evse.status) == (EVSE, "CHARGING"))
    yield PATCH_LOCATION, exchange.seen(f"{stage.tnm} says that EVSE {EVSE} is CHARGING", effect=heard)


@PUSHES.scene(PUT_SESSION)
async def put_session(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """A session that has begun."""
    session = samples.session(SESSION, status="ACTIVE")
    exchange = await stage.tnm.call("PUT", "sessions", stage.tnm.owned(SESSION), body=session)
    heard = stage.heard.has(SessionReceived, lambda event: event.session.id == SESSION)
    yield PUT_SESSION, exchange.seen(f"{stage.tnm} pushes the active session {SESSION}", effect=heard)


@PUSHES.scene(PATCH_SESSION)
async def patch_session(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The session goes on."""
    kwh = Decimal("13.2500")
    changes = {"kwh": kwh, "last_updated": now()}
    exchange = await stage.tnm.call("PATCH", "sessions", stage.tnm.owned(SESSION), body=changes)
    heard = stage.heard.has(SessionReceived, lambda event: (event.session.id, event.session.kwh) == (SESSION, kwh))
    yield PATCH_SESSION, exchange.seen(f"{stage.tnm} says that session {SESSION} is at {kwh} kWh", effect=heard)


@PUSHES.scene(POST_CDR)
async def post_cdr(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CDR of that session; its id is another one."""
    cdr = samples.cdr(CDR, of=samples.session(SESSION))
    exchange = await stage.tnm.call("POST", "cdrs", body=cdr)
    heard = stage.heard.has(CdrReceived, lambda event: event.cdr.id == CDR)
    linked = exchange.headers.get("location", "").endswith(CDR)
    yield POST_CDR, exchange.seen(f"{stage.tnm} posts CDR {CDR} of session {SESSION}", effect=heard and linked)


@PUSHES.scene(PUT_TARIFF)
async def put_tariff(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """A tariff."""
    exchange = await stage.tnm.call("PUT", "tariffs", stage.tnm.owned(TARIFF), body=samples.tariff(TARIFF))
    heard = stage.heard.has(TariffReceived, lambda event: event.tariff.id == TARIFF)
    yield PUT_TARIFF, exchange.seen(f"{stage.tnm} pushes tariff {TARIFF}", effect=heard)


@PUSHES.scene(PATCH_TARIFF)
async def patch_tariff(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The tariff in another currency."""
    changes = {"currency": "CHF", "last_updated": now()}
    exchange = await stage.tnm.call("PATCH", "tariffs", stage.tnm.owned(TARIFF), body=changes)
    heard = stage.heard.has(TariffReceived, lambda event: (event.tariff.id, event.tariff.currency) == (TARIFF, "CHF"))
    yield PATCH_TARIFF, exchange.seen(f"{stage.tnm} changes the currency of tariff {TARIFF}", effect=heard)


@PUSHES.scene(GET_TOKENS)
async def get_tokens(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """Our tokens, page after page."""
    for token in TOKENS:
        await stage.emsp.aio.tokens.put(token)
    pages = [await stage.tnm.call("GET", "tokens", query={"limit": "2"})]
    while (following := _next(pages[-1])) is not None and len(pages) < _MOST_PAGES:
        pages.append(await stage.tnm.call("GET", following))
    uids = [token["uid"] for page in pages for token in page.data or ()]
    all_there = uids == [token.uid for token in TOKENS] and len(pages) > 1
    yield GET_TOKENS, pages[-1].seen(f"{stage.tnm} pulls {len(uids)} tokens on {len(pages)} pages", effect=all_there)


@PUSHES.scene(AUTHORIZE)
async def authorize(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """May this driver charge there?"""
    uid, place = TOKENS[0].uid, {"location_id": LOCATION, "evse_uids": [EVSE]}
    exchange = await stage.tnm.call("POST", "tokens", f"{uid}/authorize", body=place)
    answer = exchange.data if isinstance(exchange.data, dict) else {}
    right = answer.get("allowed") == "ALLOWED" and (answer.get("location") or {}).get("location_id") == LOCATION
    what = f"{stage.tnm} asks for {uid} at {LOCATION}: {answer.get('allowed', 'no answer')}"
    yield AUTHORIZE, exchange.seen(what if exchange.ok else what.partition(":")[0], effect=right)


@PUSHES.scene(GET_LOCATION)
async def get_location(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The location as we have it."""
    exchange = await stage.tnm.call("GET", "locations", stage.tnm.owned(LOCATION))
    yield GET_LOCATION, exchange.seen(f"{stage.tnm} reads location {LOCATION}", effect=_is(exchange, LOCATION))


@PUSHES.scene(GET_SESSION)
async def get_session(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The session as we have it."""
    exchange = await stage.tnm.call("GET", "sessions", stage.tnm.owned(SESSION))
    yield GET_SESSION, exchange.seen(f"{stage.tnm} reads session {SESSION}", effect=_is(exchange, SESSION))


@PUSHES.scene(GET_CDR)
async def get_cdr(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The CDR as we have it."""
    exchange = await stage.tnm.call("GET", "cdrs", CDR)
    yield GET_CDR, exchange.seen(f"{stage.tnm} reads CDR {CDR}", effect=_is(exchange, CDR))


@PUSHES.scene(GET_TARIFF)
async def get_tariff(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The tariff as we have it."""
    exchange = await stage.tnm.call("GET", "tariffs", stage.tnm.owned(TARIFF))
    yield GET_TARIFF, exchange.seen(f"{stage.tnm} reads tariff {TARIFF}", effect=_is(exchange, TARIFF))


@PUSHES.scene(DELETE_TARIFF)
async def delete_tariff(stage: Stage) -> AsyncIterator[tuple[Call, Seen]]:
    """The tariff is no more."""
    exchange = await stage.tnm.call("DELETE", "tariffs", stage.tnm.owned(TARIFF))
    yield DELETE_TARIFF, exchange.seen(f"{stage.tnm} deletes tariff {TARIFF}")


def _is(exchange: Exchange, object_id: str) -> bool:
    data: Any = exchange.data
    return isinstance(data, dict) and data.get("id") == object_id


def _next(page: Exchange) -> str | None:
    """The absolute URL of the next page (transport_and_format.md: Link)."""
    return httpx.Response(200, headers=dict(page.headers)).links.get("next", {}).get("url")
