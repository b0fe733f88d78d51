"""What the CPO sends to and requests from us: locations, sessions, CDRs, tariffs, our tokens (eMSP interface of
mod_*.md).

Rules of this module: a push was effective if our backend received the event with the new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi_emsp.cli.demo.parties import Exchange
from ocpi_emsp.cli.demo.pulls import TOKENS
from ocpi_emsp.cli.demo.rows import Call, Seen
from ocpi_emsp.cli.demo.stage import Act, Stage
from ocpi_emsp.codec import wire_time
from ocpi_emsp.events import CdrReceived, Event, EvseReceived, LocationReceived, SessionReceived, TariffReceived
from ocpi_emsp.support import FROM_CPO
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.transports.library import http

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


def _pushed(call: Call, what: str, ids: tuple[str, ...], document: Mapping[str, Any], received: type[Event]) -> None:
    """Add the scene of an object, or of changes to one, that our backend receives."""
    changes = document if call.method == "PATCH" else {}
    kind = received.__name__.removesuffix("Received").lower()

    def has_it(event: Any) -> bool:
        found, wanted = getattr(event, kind), {"uid" if kind == "evse" else "id": ids[-1], **changes}
        return all(getattr(found, name) == value for name, value in wanted.items())

    async def push(stage: Stage) -> Seen:
        body = {**document, "last_updated": wire_time(datetime.now(UTC))} if changes else document
        exchange = await stage.tnm.call(call.method, call.module, stage.tnm.owned(*ids), body=body)
        return exchange.seen(f"{stage.tnm} {what}", effect=stage.heard.has(received, has_it))

    PUSHES.theirs(call, push)


_KWH = Decimal("13.2500")
_AN_ACTIVE_SESSION = samples.session(SESSION, status="ACTIVE")
_TWO_EVSES, _CHARGING = f"pushes location {LOCATION} with two EVSEs", f"says that EVSE {EVSE} is CHARGING"
_pushed(PUT_LOCATION, _TWO_EVSES, (LOCATION,), samples.location(LOCATION), LocationReceived)
_pushed(PATCH_LOCATION, _CHARGING, (LOCATION, EVSE), {"status": "CHARGING"}, EvseReceived)
_pushed(PUT_SESSION, f"pushes the active session {SESSION}", (SESSION,), _AN_ACTIVE_SESSION, SessionReceived)
_pushed(PATCH_SESSION, f"says that session {SESSION} is at {_KWH} kWh", (SESSION,), {"kwh": _KWH}, SessionReceived)
_pushed(PUT_TARIFF, f"pushes tariff {TARIFF}", (TARIFF,), samples.tariff(TARIFF), TariffReceived)
_pushed(PATCH_TARIFF, f"changes the currency of tariff {TARIFF}", (TARIFF,), {"currency": "CHF"}, TariffReceived)


async def _post_cdr(stage: Stage) -> Seen:
    """Post the CDR of that session; it has another id."""
    exchange = await stage.tnm.call("POST", "cdrs", body=samples.cdr(CDR, of=samples.session(SESSION)))
    heard = stage.heard.has(CdrReceived, lambda event: event.cdr.id == CDR)
    linked = exchange.headers.get("location", "").endswith(CDR)
    return exchange.seen(f"{stage.tnm} posts CDR {CDR} of session {SESSION}", effect=heard and linked)


async def _get_tokens(stage: Stage) -> Seen:
    """Get our tokens, page after page."""
    for token in TOKENS:
        await stage.emsp.aio.tokens.put(token)
    pages = [await stage.tnm.call("GET", "tokens", query={"limit": "2"})]
    while (following := _next(pages[-1])) is not None and len(pages) < _MOST_PAGES:
        pages.append(await stage.tnm.call("GET", following))
    uids = [token["uid"] for page in pages for token in page.data or ()]
    all_there = uids == [token.uid for token in TOKENS] and len(pages) > 1
    return pages[-1].seen(f"{stage.tnm} pulls {len(uids)} tokens on {len(pages)} pages", effect=all_there)


async def _authorize(stage: Stage) -> Seen:
    """Request an authorization for a driver."""
    uid, place = TOKENS[0].uid, {"location_id": LOCATION, "evse_uids": [EVSE]}
    exchange = await stage.tnm.call("POST", "tokens", f"{uid}/authorize", body=place)
    answer = exchange.data if isinstance(exchange.data, dict) else {}
    right = answer.get("allowed") == "ALLOWED" and (answer.get("location") or {}).get("location_id") == LOCATION
    what = f"{stage.tnm} asks for {uid} at {LOCATION}: {answer.get('allowed', 'no answer')}"
    return exchange.seen(what if exchange.ok else what.partition(":")[0], effect=right)


async def _read(stage: Stage, kind: str, object_id: str) -> Seen:
    """Read the object as stored here."""
    path = object_id if kind == "CDR" else stage.tnm.owned(object_id)
    exchange = await stage.tnm.call("GET", f"{kind.lower()}s", path)
    has_it = isinstance(exchange.data, dict) and exchange.data.get("id") == object_id
    return exchange.seen(f"{stage.tnm} reads {kind} {object_id}", effect=has_it)


async def _delete_tariff(stage: Stage) -> Seen:
    exchange = await stage.tnm.call("DELETE", "tariffs", stage.tnm.owned(TARIFF))
    return exchange.seen(f"{stage.tnm} deletes tariff {TARIFF}")


PUSHES.theirs(POST_CDR, _post_cdr)
PUSHES.theirs(GET_TOKENS, _get_tokens)
PUSHES.theirs(AUTHORIZE, _authorize)
PUSHES.theirs(GET_LOCATION, lambda stage: _read(stage, "location", LOCATION))
PUSHES.theirs(GET_SESSION, lambda stage: _read(stage, "session", SESSION))
PUSHES.theirs(GET_CDR, lambda stage: _read(stage, "CDR", CDR))
PUSHES.theirs(GET_TARIFF, lambda stage: _read(stage, "tariff", TARIFF))
PUSHES.theirs(DELETE_TARIFF, _delete_tariff)


def _next(page: Exchange) -> str | None:
    """Return the absolute URL of the next page (transport_and_format.md: Link)."""
    return http.Response(200, headers=dict(page.headers)).links.get("next", {}).get("url")
