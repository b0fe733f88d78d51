"""Hooks and stores that fail, over HTTP, on both servers: nothing is half stored, and the partner hears 500 / 3000.

Where an authorize hook fails, the fallback answers: a driver waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import pytest

from ocpi_emsp import Allowed, AuthorizationInfo, AuthorizationRequest, Limits, Token, decode
from ocpi_emsp.errors import InvalidObject, NotEnoughInformation, Refusal
from ocpi_emsp.events import CdrReceived, Event, LocationReceived, ResyncRequested, TariffReceived
from ocpi_emsp.models import LocationReferences, Tariff
from ocpi_emsp.ports import EVENT, Kind, Record
from ocpi_emsp.settings import AuthorizeLimits, DeliveryLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.storage.memory import _MemoryTransaction
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from served.cases import TOKEN, post_cdr, put_location, put_tariff
from served.partner import Connect, Partner
from served.support import Answer, Document, journal

Hook: TypeAlias = Callable[..., Any]
SECRET = "the database at 10.0.0.7 is down"
AT_ONCE = Limits(delivery=DeliveryLimits(first_wait=timedelta(0)))
"""What failed is tried again by whatever comes next."""
AUTHORIZE = f"/2.1.1/tokens/{TOKEN.uid}/authorize"


def is_our_fault(answer: Answer) -> None:
    """500 / 3000 with the correlation id, and nothing of what went wrong."""
    assert answer.both == (500, 3000)
    assert answer.data is None
    assert answer.headers["x-correlation-id"] in answer.message
    for internal in (SECRET, "Error", "Exception", "ocpi_emsp", "line ", ".py"):
        assert internal not in answer.text


def traced(request: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """The answer to a request with a correlation id, which comes back."""
    answer = request(*args, headers={"x-correlation-id": "corr-4711"}, **kwargs)
    assert answer.headers["x-correlation-id"] == "corr-4711"
    return answer


# --- listeners ------------------------------------------------------------------------------------------------------


def failing(asynchronous: bool, broken: list[bool], heard: list[Event]) -> Hook:
    """A listener of either mode that raises while `broken` says so."""

    def listen(event: Event) -> None:
        if broken[0]:
            raise RuntimeError(SECRET)
        heard.append(event)

    async def listen_async(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        listen(event)

    return listen_async if asynchronous else listen


@pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])
def test_a_listener_that_raises(connect: Connect, asynchronous: bool) -> None:
    partner = connect(matrix=SupportMatrix.full(), limits=AT_ONCE)
    broken, heard = [True], list[Event]()
    partner.emsp.on(LocationReceived)(failing(asynchronous, broken, heard))
    path = partner.path("locations", "LOC1")
    answer = traced(partner.ocpi, "PUT", path, samples.location())
    is_our_fault(answer)
    assert "corr-4711" in answer.message
    # Stored, whole.
    assert {key.id for key in partner.objects} == {"LOC1", "LOC1-E1", "LOC1-E2"}
    assert partner.ocpi("GET", path).data == samples.location()
    # The event waits, with what happened to it, and is delivered later, once.
    assert heard == []
    [pending] = journal(partner.store, EVENT)
    assert (pending.name, pending.attempts) == ("LocationReceived", 1)
    assert SECRET in pending.error
    assert redeliver(partner) == 0
    assert [entry.attempts for entry in journal(partner.store, EVENT)] == [2]
    broken[0] = False
    assert redeliver(partner) == 1
    assert redeliver(partner) == 0
    [event] = heard
    assert isinstance(event, LocationReceived)
    assert (event.correlation_id, event.created, len(event.location.evses)) == ("corr-4711", True, 2)
    assert journal(partner.store, EVENT) == []


def redeliver(partner: Partner) -> int:
    """The eMSP's redelivery, in the mode of its server."""
    if partner.host.kind == "uvicorn":
        return anyio.run(partner.emsp.aio.redeliver)
    return partner.emsp.redeliver()


def test_a_cdr_is_not_lost_and_not_billed_twice(connect: Connect) -> None:
    partner = connect(limits=AT_ONCE)
    broken, heard = [True], list[Event]()
    partner.emsp.on(CdrReceived)(failing(False, broken, heard))
    is_our_fault(post_cdr(partner))
    assert partner.key(Kind.CDR, "CDR1") in partner.objects
    broken[0] = False
    # The CPO sends it again: the same answer as if nothing had happened, and the event that waited.
    answer = post_cdr(partner)
    assert answer.both == (201, 1000)
    assert answer.headers["location"].endswith("/cdrs/CDR1")
    assert len(heard) == 1
    assert post_cdr(partner).both == (201, 1000)
    assert len(heard) == 1
    assert redeliver(partner) == 0


def test_events_of_one_object_stay_in_order(connect: Connect) -> None:
    partner = connect(limits=AT_ONCE)
    broken, heard = [True], list[Event]()
    partner.emsp.on(TariffReceived)(failing(False, broken, heard))
    path = partner.path("tariffs", "TAR1")
    for currency in ("EUR", "CHF", "SEK"):
        is_our_fault(partner.ocpi("PUT", path, samples.tariff(currency=currency)))
    broken[0] = False
    assert partner.ocpi("PUT", path, samples.tariff(currency="NOK")).both == (200, 1000)
    assert [getattr(event, "tariff").currency for event in heard] == ["EUR", "CHF", "SEK", "NOK"]  # noqa: B009
    assert journal(partner.store, EVENT) == []


def test_the_first_listener_hears_although_the_second_fails(partner: Partner) -> None:
    broken = [True]
    partner.emsp.on(TariffReceived)(failing(False, broken, []))
    is_our_fault(put_tariff(partner))
    assert [type(event) for event in partner.events] == [TariffReceived]


def test_a_refusal_stays_refused_where_its_event_fails(connect: Connect) -> None:
    """A PATCH to an unknown object wants a resync; a listener that cannot take that is still our fault."""
    partner = connect(limits=AT_ONCE)
    broken, heard = [True], list[Event]()
    partner.emsp.on(ResyncRequested)(failing(False, broken, heard))
    is_our_fault(partner.ocpi("PATCH", partner.path("sessions", "SES9"), {"kwh": 1}))
    broken[0] = False
    assert redeliver(partner) == 1
    assert [getattr(event, "id") for event in heard] == ["SES9"]  # noqa: B009
    assert partner.objects == {}


def test_a_listener_that_cannot_read_something_does_not_blame_the_partner(partner: Partner) -> None:
    def listen(_: TariffReceived) -> None:
        decode(Tariff, b"{}")

    partner.emsp.on(TariffReceived)(listen)
    is_our_fault(put_tariff(partner))
    assert list(partner.emsp.rejections.list()) == []


# --- authorize ------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking(connect: Connect) -> Callable[..., Partner]:
    """NL-TNM with LOC1, and one of our tokens that a hook decides about; only we may authorize it."""

    def make(hook: Hook | None, **options: Any) -> Partner:
        partner = connect(**options)
        partner.emsp.tokens.put(TOKEN)
        put_location(partner)
        if hook is not None:
            partner.emsp.authorize(hook)
        return partner

    return make


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hanging hooks wait for; set at the end."""
    event = threading.Event()
    yield event
    event.set()


def returning(value: object, asynchronous: bool) -> Hook:
    """An authorize hook of either mode that answers, or raises, the value."""

    def decide(_: AuthorizationRequest) -> object:
        if isinstance(value, Exception):
            raise value
        return value

    async def decide_async(request: AuthorizationRequest) -> object:
        return decide(request)

    return decide_async if asynchronous else decide


def hanging(released: threading.Event, asynchronous: bool) -> Hook:
    """An authorize hook of either mode that does not answer."""

    def decide(_: AuthorizationRequest) -> None:
        released.wait()

    async def decide_async(_: AuthorizationRequest) -> None:
        await anyio.sleep_forever()

    return decide_async if asynchronous else decide


def allowing(location_id: str, *evse_uids: str) -> AuthorizationInfo:
    """ALLOWED, there."""
    references = LocationReferences(location_id=location_id, evse_uids=evse_uids)
    return AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)


PLACE = {"location_id": "LOC1", "evse_uids": ["LOC1-E1"]}
NONSENSE: dict[str, object] = {
    "none": None,
    "true": True,
    "text": "ALLOWED",
    "dict": {"allowed": "ALLOWED"},
    "enum": Allowed.ALLOWED,
    "text-for-an-enum": AuthorizationInfo(allowed="YES"),  # type: ignore[arg-type] # that is the nonsense
    "too-long-an-id": allowing("L" * 100),
    "another-location": allowing("LOC2"),
    "another-evse": allowing("LOC1", "LOC1-E2"),
    "an-evse-of-another-location": allowing("LOC1", "LOC2-E1"),
    "raises": RuntimeError(SECRET),
    "raises-an-assertion": AssertionError(SECRET),
    "raises-what-a-bad-request-would": InvalidObject(SECRET),
    "raises-another-refusal": Refusal(SECRET),
}
each_mode = pytest.mark.parametrize("asynchronous", [False, True], ids=["plain", "async"])


@each_mode
@pytest.mark.parametrize("answer", NONSENSE)
def test_the_fallback_answers_where_an_authorize_hook_answers_nonsense(
    asking: Callable[..., Partner], answer: str, asynchronous: bool
) -> None:
    """Of a token that is never to be whitelisted, a CPO that cannot reach us would not decide anything else."""
    partner = asking(returning(NONSENSE[answer], asynchronous))
    before = partner.objects
    given = traced(partner.ocpi, "POST", AUTHORIZE, PLACE)
    assert (given.both, given.data) == ((200, 1000), {"allowed": "NOT_ALLOWED"})
    assert SECRET not in given.text
    assert partner.objects == before
    assert list(partner.emsp.rejections.list()) == []
    [decision] = partner.emsp.authorizations.list()
    assert (decision.decided_by, decision.correlation_id) == ("fallback", "corr-4711")


@each_mode
@pytest.mark.parametrize("answer", ["none", "raises", "another-evse", "raises-what-a-bad-request-would"])
def test_without_a_fallback_it_is_our_fault(asking: Callable[..., Partner], answer: str, asynchronous: bool) -> None:
    partner = asking(returning(NONSENSE[answer], asynchronous), authorize_fallback=None)
    is_our_fault(traced(partner.ocpi, "POST", AUTHORIZE, PLACE))
    assert list(partner.emsp.rejections.list()) == []
    assert [decision.outcome for decision in partner.emsp.authorizations.list()] == ["500/3000"]


@each_mode
def test_an_authorize_hook_that_hangs(
    asking: Callable[..., Partner], released: threading.Event, asynchronous: bool
) -> None:
    limits = Limits(authorize=AuthorizeLimits(timeout=0.05, threads=1))
    partner = asking(hanging(released, asynchronous), limits=limits, authorize_fallback=Allowed.ALLOWED)
    for _ in range(3):
        assert partner.ocpi("POST", AUTHORIZE, PLACE).data == {"allowed": "ALLOWED", "location": PLACE}
    assert {decision.decided_by for decision in partner.emsp.authorizations.list()} == {"fallback"}
    # The server and the store have their threads.
    assert partner.ocpi("GET", "/2.1.1/tokens").both == (200, 1000)


@each_mode
def test_an_authorize_hook_that_needs_more(asking: Callable[..., Partner], asynchronous: bool) -> None:
    partner = asking(returning(NotEnoughInformation("which EVSE?"), asynchronous))
    answer = partner.ocpi("POST", AUTHORIZE, {"location_id": "LOC1"})
    assert answer.both == (200, 2002)
    assert "which EVSE?" in answer.message


@each_mode
def test_an_authorize_hook_decides(asking: Callable[..., Partner], asynchronous: bool) -> None:
    asked: list[tuple[Token, LocationReferences | None]] = []

    def decide(token: Token, location: LocationReferences | None) -> AuthorizationInfo:
        asked.append((token, location))
        return AuthorizationInfo(allowed=Allowed.NO_CREDIT)

    async def decide_async(token: Token, location: LocationReferences | None) -> AuthorizationInfo:
        return decide(token, location)

    partner = asking(decide_async if asynchronous else decide)
    assert partner.ocpi("POST", AUTHORIZE, PLACE).data == {"allowed": "NO_CREDIT"}
    assert partner.ocpi("POST", AUTHORIZE).data == {"allowed": "NO_CREDIT"}
    references = LocationReferences(location_id="LOC1", evse_uids=("LOC1-E1",))
    assert asked == [(TOKEN, references), (TOKEN, None)]


@each_mode
def test_only_what_was_asked_for_and_is_there_is_answered(asking: Callable[..., Partner], asynchronous: bool) -> None:
    partner = asking(returning(allowing("LOC1", "LOC9-E1", "LOC1-E2", "LOC1-E1"), asynchronous))
    place = {"location_id": "LOC1", "evse_uids": ["LOC1-E1", "LOC2-E1"]}
    assert partner.ocpi("POST", AUTHORIZE, place).data == {"allowed": "ALLOWED", "location": PLACE}


@pytest.mark.parametrize("place", [{"evse_uids": ["LOC2-E1"]}, {"evse_uids": ["LOC1-E1"], "connector_ids": ["9"]}])
def test_evses_and_connectors_of_another_place(asking: Callable[..., Partner], place: Document) -> None:
    partner = asking(returning(allowing("LOC1"), False))
    answer = partner.ocpi("POST", AUTHORIZE, {"location_id": "LOC1", **place})
    assert answer.both == (200, 2001)
    assert answer.pointers == {f"/{list(place)[-1]}/0"}
    assert partner.ocpi("POST", AUTHORIZE, {"location_id": "LOC2", **place}).both == (404, 2003)


@pytest.mark.parametrize("path", ["/2.1.1/tokens/unknown/authorize", f"{AUTHORIZE}?type=OTHER", f"{AUTHORIZE}?type=X"])
def test_an_unknown_token_is_not_asked_about(asking: Callable[..., Partner], path: str) -> None:
    partner = asking(returning(AuthorizationInfo(allowed=Allowed.ALLOWED), False))
    assert partner.ocpi("POST", path).both == (404, 2000)
    assert partner.ocpi("POST", f"{AUTHORIZE}?type=RFID").both == (200, 1000)


# --- stores ---------------------------------------------------------------------------------------------------------


class BreakingTransaction(_MemoryTransaction):
    """Fails while the second EVSE is written, and where an event is."""

    async def put(self, record: Record) -> None:
        if record.key.id == "LOC1-E2":
            raise OSError(SECRET)
        await super().put(record)


class BreakingStore(MemoryStore):
    """A store of which the disk is full."""

    def transaction(self, *, read_only: bool = False) -> BreakingTransaction:
        return BreakingTransaction(self, read_only)


def test_a_store_that_fails_halfway(connect: Connect) -> None:
    partner = connect(store=BreakingStore())
    is_our_fault(traced(put_location_with, partner))
    assert partner.objects == {}
    assert partner.events == []
    assert journal(partner.store, EVENT) == []
    # What does not touch the broken place works.
    assert put_tariff(partner).both == (201, 1000)


def put_location_with(partner: Partner, headers: dict[str, str]) -> Answer:
    """LOC1 with two EVSEs."""
    return partner.ocpi("PUT", partner.path("locations", "LOC1"), samples.location(), headers=headers)


def test_a_failed_change_leaves_the_object_as_it_was(connect: Connect) -> None:
    partner = connect()
    put_location(partner)
    before, events = partner.objects, list(partner.events)
    broken = BreakingStore()
    broken.__dict__.update(partner.store.__dict__)
    partner.store = broken
    partner.switch(SupportMatrix.default())
    whole = samples.location() | {"name": "Other", "last_updated": "2024-03-01T00:00:00Z"}
    whole["evses"] = [evse | {"status": "BLOCKED", "last_updated": "2024-03-01T00:00:00Z"} for evse in whole["evses"]]
    is_our_fault(partner.ocpi("PUT", partner.path("locations", "LOC1"), whole))
    assert partner.objects == before
    assert partner.events == events


# --- depth that is read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [50, 300, 600, 900, 1100])
def test_what_is_nested_just_not_too_deeply_is_no_trouble_later(connect: Connect, depth: int) -> None:
    """What was accepted can be replaced, patched, compared and given back as well."""
    partner = connect(matrix=SupportMatrix.full())
    vendor = b',"x-vendor":' + b"[" * depth + b"]" * depth + b"}"

    def deep(document: Document) -> bytes:
        return encode(document)[:-1] + vendor

    put_location(partner)
    tariff, evse = partner.path("tariffs", "TAR1"), partner.path("locations", "LOC1", "LOC1-E1")
    first = partner.ocpi("PUT", tariff, content=deep(samples.tariff()))
    readable = first.code == 1000
    assert first.both == ((201, 1000) if readable else (200, 2001))
    assert readable or depth > 500
    for method, path, content in (
        ("PUT", tariff, deep(samples.tariff(currency="CHF"))),
        ("PUT", tariff, deep(samples.tariff(currency="CHF"))),
        ("PATCH", evse, deep({"status": "CHARGING"})),
        ("PATCH", evse, encode({"status": "BLOCKED"})),
        ("GET", evse, b""),
    ):
        answer = partner.ocpi(method, path, content=content)
        assert answer.both == ((200, 1000) if readable or b"x-vendor" not in content else (200, 2001)), answer.text
    assert vendor[1:-1] in partner.objects[partner.key(Kind.EVSE, "LOC1-E1", "LOC1")] or not readable
    # The same CDR twice, and then another one under its id.
    cdr = samples.cdr()
    codes = [
        partner.ocpi("POST", "/2.1.1/cdrs", content=content).code
        for content in (deep(cdr), deep(cdr), deep(cdr | {"currency": "CHF"}))
    ]
    assert codes == ([1000, 1000, 2001] if readable else [2001, 2001, 2001])
    kept = [rejection.body for rejection in partner.emsp.rejections.list()]
    assert deep(cdr | {"currency": "CHF"}) in kept
