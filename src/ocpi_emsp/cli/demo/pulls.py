"""What we request of a CPO and send to it: its lists, our tokens, commands (the CPO interface of mod_*.md).

Rules of this module: a list counts as pulled if it had several pages and all its objects were readable; a command
counts as done if its result was received.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ocpi_emsp.cli.demo.parties import Misbehaved
from ocpi_emsp.cli.demo.rows import COMMAND_RESULT, Call, Seen
from ocpi_emsp.cli.demo.stage import Act, Stage
from ocpi_emsp.events import CommandResultReceived
from ocpi_emsp.listing import AsyncListing
from ocpi_emsp.models import CommandResponseType, Token, TokenType, WhitelistType
from ocpi_emsp.resources import AsyncPendingCommand
from ocpi_emsp.support import TO_CPO
from ocpi_emsp.testing.cpo import samples

PULLS = Act()

RESULT_SECONDS = 5.0
"""Seconds until the result of a command is expected; a simulated charge point has it at once."""
_START = datetime(2024, 1, 1, tzinfo=UTC)
_LOCATION, _EVSE, _CONNECTOR, _ACTIVE_SESSION = "LOC1", "LOC1-E1", "1", "SES4"

TOKENS = tuple(
    Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id=f"IT-BEC-C{uid}",
        issuer="Be Charge",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=_START,
    )
    for uid in ("012345678", "012345679", "01234567A")
)
"""Our drivers' tokens: three, so that a page of two is not the last one."""

LOCATIONS, SESSIONS, CDRS, TARIFFS = (
    Call(module, TO_CPO, "GET", f"/{module}") for module in ("locations", "sessions", "cdrs", "tariffs")
)
PUT_TOKEN, PATCH_TOKEN, GET_TOKEN = (
    Call("tokens", TO_CPO, method, "/tokens/:path") for method in ("PUT", "PATCH", "GET")
)
RESERVE_NOW, START_SESSION, STOP_SESSION, UNLOCK_CONNECTOR = (
    Call("commands", TO_CPO, "POST", f"/commands/{name}")
    for name in ("RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR")
)


async def _pull(name: str, listing: AsyncListing[Any]) -> str:
    pages = objects = 0
    async for page in listing.pages():
        pages += 1
        objects += len(page.items)
    if listing.rejected:
        raise Misbehaved(f"{len(listing.rejected)} of the {name} cannot be read")
    if listing.total is not None and listing.total != objects:
        raise Misbehaved(f"there are {objects} {name} where X-Total-Count says {listing.total}")
    if pages < 2:
        raise Misbehaved(f"{objects} {name} came on {pages} page, where several were asked for")
    return "; ".join([f"we pull {objects} {name} on {pages} pages", *listing.notes])


@PULLS.ours(LOCATIONS, "we pull locations")
async def _locations(stage: Stage) -> str:
    pulled = await _pull("locations", stage.client.locations(limit=2))
    location = await stage.client.location(_LOCATION)
    evse = await stage.client.evse(_LOCATION, _EVSE)
    connector = await stage.client.connector(_LOCATION, _EVSE, _CONNECTOR)
    return f"{pulled}; then {location.id}, its EVSE {evse.uid} and connector {connector.id}"


@PULLS.ours(SESSIONS, "we pull sessions")
async def _sessions(stage: Stage) -> str:
    return await _pull("sessions", stage.client.sessions(date_from=_START, limit=2))  # the date is required


@PULLS.ours(CDRS, "we pull CDRs")
async def _cdrs(stage: Stage) -> str:
    return await _pull("CDRs", stage.client.cdrs(limit=2))


@PULLS.ours(TARIFFS, "we pull tariffs")
async def _tariffs(stage: Stage) -> str:
    return await _pull("tariffs", stage.client.tariffs(limit=1))  # there are two


@PULLS.ours(PUT_TOKEN, "we push a token")
async def _put_token(stage: Stage) -> str:
    await stage.client.put_token(TOKENS[0])
    return f"we push token {TOKENS[0].uid}"


@PULLS.ours(PATCH_TOKEN, "we patch a token")
async def _patch_token(stage: Stage) -> str:
    await stage.client.patch_token(TOKENS[0].uid, valid=False)
    return f"we say that token {TOKENS[0].uid} is invalid"


@PULLS.ours(GET_TOKEN, "we read a token back")
async def _get_token(stage: Stage) -> str:
    token = await stage.client.token(TOKENS[0].uid)
    if token.valid:
        raise Misbehaved("the CPO still has it as valid")
    return f"we read token {token.uid} back: it is not valid"


async def _known(stage: Stage) -> None:
    """Store the objects of commands: a command about an unknown object is not sent."""
    cpo = stage.abc
    for module, owned, document in (
        ("locations", cpo.owned(_LOCATION), samples.location(_LOCATION)),
        ("sessions", cpo.owned(_ACTIVE_SESSION), samples.session(_ACTIVE_SESSION, status="ACTIVE")),
    ):
        exchange = await cpo.call("PUT", module, owned, body=document)
        if not exchange.ok:
            raise Misbehaved(f"its {module} cannot be stored")


def _command(call: Call, send: Callable[[Stage], Awaitable[AsyncPendingCommand]]) -> None:
    """Add the scene of a command: it is acknowledged, and its result is received."""
    name = call.path.rpartition("/")[2]

    @PULLS.ours(call, f"we send {name}")
    async def command(stage: Stage) -> str:
        if call == RESERVE_NOW:
            await _known(stage)
        pending = await send(stage)
        if pending.acknowledgement != CommandResponseType.ACCEPTED:
            raise Misbehaved(f"the CPO says {pending.acknowledgement}")
        try:
            result = await pending.result(timeout=RESULT_SECONDS)
        except TimeoutError:
            raise Misbehaved(f"no result came within {RESULT_SECONDS:g} seconds") from None
        if result != CommandResponseType.ACCEPTED:
            raise Misbehaved(f"the result is {result}")
        return f"we send {name}: acknowledged {pending.acknowledgement}, result {result}"


_command(
    RESERVE_NOW,
    lambda stage: stage.client.reserve_now(
        token=TOKENS[1],
        location_id=_LOCATION,
        evse_uid=_EVSE,
        expiry_date=datetime.now(UTC) + timedelta(hours=1),
        reservation_id=1,
    ),
)
_command(
    START_SESSION,
    lambda stage: stage.client.start_session(token=TOKENS[1], location_id=_LOCATION, evse_uid=_EVSE),
)
_command(STOP_SESSION, lambda stage: stage.client.stop_session(session_id=_ACTIVE_SESSION))
_command(
    UNLOCK_CONNECTOR,
    lambda stage: stage.client.unlock_connector(location_id=_LOCATION, evse_uid=_EVSE, connector_id=_CONNECTOR),
)


async def _command_results(stage: Stage) -> Seen:
    """Return how we answered the results."""
    results = await stage.abc.command_results()
    if not results:
        raise Misbehaved("no command result was sent")
    answers = [
        Seen(
            what=f"{stage.abc} sends {len(results)} command results",
            http_status=result["status"],
            status_code=result["status_code"],
            effect=stage.heard.has(CommandResultReceived, lambda event: event.party_id == stage.abc.party_id),
        )
        for result in results
    ]
    return next((answer for answer in answers if not answer.success), answers[-1])


PULLS.theirs(COMMAND_RESULT, _command_results)
