"""What a user's type checker sees of an eMSP; mypy and pyright read this file, nothing runs it."""

from collections.abc import Callable
from functools import partial
from typing import assert_type

import httpx
import httpx2

from ocpi_emsp import AuthorizationInfo, AuthorizationRequest, Cdr, Emsp, Location, PartyId, Session, Tariff, Token
from ocpi_emsp.events import CdrReceived, Event, SessionReceived
from ocpi_emsp.models import CommandResponseType, SessionStatus, Status
from ocpi_emsp.resources import AsyncPendingCommand, Party, PendingCommand, ReceivedDocument, SyncReport


class Billing:
    def bill(self, event: CdrReceived) -> None: ...

    async def note(self, event: Event) -> None: ...


def listeners(emsp: Emsp, billing: Billing) -> None:
    @emsp.on(CdrReceived)
    def bill(event: CdrReceived) -> int:
        return len(event.cdr.id)

    assert_type(bill, Callable[[CdrReceived], int])
    emsp.on(CdrReceived)(billing.bill)
    emsp.on(Event)(billing.note)
    emsp.on(CdrReceived)(billing.note)  # a listener of every event takes this one
    emsp.on(CdrReceived)(partial(two, 1))

    @emsp.on(CdrReceived)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    def of_another(event: SessionReceived) -> None: ...

    emsp.on(Event)(billing.bill)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    emsp.on("CdrReceived")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    emsp.on(CdrReceived)(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def two(number: int, event: CdrReceived) -> None: ...


def hooks(emsp: Emsp) -> None:
    @emsp.authorize
    async def may_charge(request: AuthorizationRequest) -> AuthorizationInfo:
        return request.allow()

    emsp.authorize(length)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def length(request: AuthorizationRequest) -> int:
    return len(request.token.uid)


def sync(emsp: Emsp, token: Token) -> None:
    assert_type(emsp.locations.get("NL-TNM", "LOC1"), Location | None)
    assert_type(emsp.cdrs.document(PartyId("NL", "TNM"), "CDR1"), ReceivedDocument | None)
    for evse in emsp.evses.list("NL-TNM", status=Status.AVAILABLE):
        assert_type(evse.uid, str)
    assert_type(list(emsp.cdrs.list()), list[Cdr])
    assert_type(emsp.sessions.get("NL-TNM", "S1"), Session | None)
    assert_type(list(emsp.tariffs.list("NL-TNM")), list[Tariff])
    assert_type(emsp.parties.get("NL-TNM"), Party | None)
    assert_type(emsp.partner("NL-TNM").sync(full=True), SyncReport)
    with emsp.partner("NL-TNM").client() as cpo:
        pending = cpo.start_session(token=token, location_id="LOC1")
    assert_type(pending, PendingCommand)
    assert_type(pending.result(timeout=30), CommandResponseType)
    emsp.tokens.put("T")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    emsp.locations.get(("NL", "TNM"), "LOC1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def awaited(emsp: Emsp, token: Token) -> None:
    assert_type(await emsp.aio.locations.get("NL-TNM", "LOC1"), Location | None)
    assert_type([each async for each in emsp.aio.cdrs.list("NL-TNM")], list[Cdr])
    assert_type(await emsp.aio.sessions.document("NL-TNM", "S1"), ReceivedDocument | None)
    assert_type([each async for each in emsp.aio.sessions.list(status=SessionStatus.ACTIVE)], list[Session])
    emsp.aio.tariffs.list(status="ACTIVE")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(await emsp.aio.partner("NL-TNM").sync(full=True), SyncReport)
    async with emsp.aio.running(), emsp.aio.partner("NL-TNM").client() as cpo:
        pending = await cpo.start_session(token=token, location_id="LOC1")
        async for location in cpo.locations():
            assert_type(location, Location)
    assert_type(pending, AsyncPendingCommand)
    assert_type(await pending, CommandResponseType)
    await emsp.aio.tokens.put("T")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def clients() -> None:
    identity = partial(
        Emsp, country_code="IT", party_id="BEC", name="Be Charge", url="https://a.test/x", store="memory"
    )
    identity(http_client=httpx2.Client, aio_http_client=httpx2.AsyncClient)
    identity(http_client=lambda: httpx.Client(), aio_http_client=lambda: httpx.AsyncClient())
    identity(http_client=lambda: httpx2.Client(transport=httpx2.HTTPTransport()))
    identity(http_client=httpx.AsyncClient)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    identity(aio_http_client=httpx2.Client)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
