"""A network that delays, cuts, doubles, reorders and resets: what is stored is whole, and the next try repairs it.

On every store. Seen to fail: where a body counts as whole once the connection ends, a part of it is refused and stored
as a rejection; where a failed handshake leaves its placeholder, its token goes on working.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import httpx
import pytest
from anyio.from_thread import BlockingPortal
from attrs import evolve

from ocpi_emsp import Emsp, OcpiError
from ocpi_emsp.errors import TransportFailed
from ocpi_emsp.events import CdrReceived, Event
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.settings import RetryPolicy
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.handshake import HandshakeError
from ocpi_emsp.testing.cpo.outgoing import Exchange
from ocpi_emsp.transports.library import http
from our_emsp import LONG_AGO, token
from served.faulty_proxy import FAULTS, Fault, FaultyProxy, faulty_proxy
from served.partner import FakeCpo, invite, register, simulated
from served.support import BASE, SECONDS, TLS, Document, Host, Json, Logs, Ocpi, emsp_at

AnyStore: TypeAlias = MemoryStore | SqlStore
OLD, NEW, NEWER = "2024-05-01T00:00:00Z", "2024-05-02T00:00:00Z", "2024-05-03T00:00:00Z"
PARTY = "NL-TNM"


@pytest.fixture(scope="module")
def _proxy() -> Iterator[FaultyProxy]:
    with faulty_proxy() as running:
        yield running


@pytest.fixture
def proxy(_proxy: FaultyProxy) -> FaultyProxy:
    """The proxy without a fault so far."""
    _proxy.faults.clear()
    _proxy.given_up.clear()
    return _proxy


@pytest.fixture
def server(request: pytest.FixtureRequest, any_store: AnyStore) -> Host:
    """uvicorn, and waitress for the databases, whose connections are closed outside of its threads."""
    kind = "uvicorn" if isinstance(any_store, MemoryStore) else "waitress"
    running: Host = request.getfixturevalue(f"{kind}_running")
    return running


# --- the partner calls us -------------------------------------------------------------------------------------------


@pytest.fixture
def ours(server: Host, proxy: FaultyProxy, any_store: AnyStore) -> Emsp:
    """Our eMSP, which its partner reaches through the proxy."""
    proxy.target = server.origin
    emsp = emsp_at(server, url=proxy.origin + BASE, store=any_store, matrix=SupportMatrix.full())
    server.mount(emsp)
    return emsp


@pytest.fixture
def pushes(http: httpx.Client, proxy: FaultyProxy, ours: Emsp, fake_cpo: FakeCpo, logs: Logs) -> Ocpi:
    """NL-TNM, registered."""
    return register(invite(Ocpi(http, proxy.origin + BASE, logs), ours, fake_cpo), fake_cpo)


def location(power: int, evses: Sequence[str], updated: str) -> Document:
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_3_PHASE",
        "voltage": 230,
        "amperage": power,
        "last_updated": updated,
    }
    return {
        "id": "LOC1",
        "type": "ON_STREET",
        "name": f"of {power} A",
        "address": "F.Rooseveltlaan 3A",
        "city": "Gent",
        "postal_code": "9000",
        "country": "BEL",
        "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
        "evses": [
            {"uid": uid, "status": "AVAILABLE", "connectors": [connector], "last_updated": updated} for uid in evses
        ],
        "last_updated": updated,
    }


def session(kwh: float, updated: str, **changes: Json) -> Document:
    return {
        "id": "SES1",
        "start_datetime": OLD,
        "kwh": kwh,
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "AUTH_REQUEST",
        "location": location(16, ["E1"], OLD),
        "currency": "EUR",
        "charging_periods": [{"start_date_time": OLD, "dimensions": [{"type": "ENERGY", "volume": kwh}]}],
        "status": "ACTIVE",
        "last_updated": updated,
        **changes,
    }


def tariff(price: float, updated: str) -> Document:
    component = {"type": "ENERGY", "price": price, "step_size": 1}
    return {
        "id": "TAR1",
        "currency": "EUR",
        "elements": [{"price_components": [component]}],
        "last_updated": updated,
    }


CDR: Document = {
    "id": "CDR1",
    "start_date_time": OLD,
    "stop_date_time": NEW,
    "auth_id": "DE8ACC12E46L89",
    "auth_method": "AUTH_REQUEST",
    "location": location(16, ["E1"], OLD),
    "currency": "EUR",
    "charging_periods": [{"start_date_time": OLD, "dimensions": [{"type": "ENERGY", "volume": 20}]}],
    "total_cost": 4,
    "total_energy": 20,
    "total_time": 2,
    "last_updated": NEW,
}

Change: TypeAlias = tuple[str, str, Json]
BEFORE: tuple[Change, ...] = (
    ("PUT", "/2.1.1/locations/NL/TNM/LOC1", location(16, ["E1", "E2"], OLD)),
    ("PUT", "/2.1.1/sessions/NL/TNM/SES1", session(1, OLD)),
    ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", tariff(0.25, OLD)),
)
CHANGES: tuple[Change, ...] = (
    ("PUT", "/2.1.1/locations/NL/TNM/LOC1", location(32, ["E2", "E3"], NEW)),
    ("PATCH", "/2.1.1/locations/NL/TNM/LOC1/E2", {"status": "CHARGING", "last_updated": NEWER}),
    ("PUT", "/2.1.1/sessions/NL/TNM/SES1", session(2, NEW)),
    ("PATCH", "/2.1.1/sessions/NL/TNM/SES1", {"kwh": 3, "status": "COMPLETED", "last_updated": NEWER}),
    ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", tariff(0.5, NEW)),
    ("POST", "/2.1.1/cdrs", CDR),
    ("DELETE", "/2.1.1/tariffs/NL/TNM/TAR1", None),
)


def stored(emsp: Emsp) -> dict[str, bytes | None]:
    """Every document that the partner can write, assembled."""
    found = {
        "location": emsp.locations.document(PARTY, "LOC1"),
        "session": emsp.sessions.document(PARTY, "SES1"),
        "tariff": emsp.tariffs.document(PARTY, "TAR1"),
        "cdr": emsp.cdrs.document(PARTY, "CDR1"),
    }
    return {name: None if each is None else each.document for name, each in found.items()}


def attempt(send: Ocpi, proxy: FaultyProxy, change: Change, fault: Fault) -> None:
    """Send a change into a fault; what the partner hears of it is not looked at."""
    proxy.faults.append(fault)
    proxy.given_up.clear()
    patience = 0.05 if fault == "late" else SECONDS
    method, path, body = change
    with httpx.Client(timeout=patience, verify=TLS, trust_env=False) as http:
        hurried = Ocpi(http, send.base, send.logs, send.token)
        if fault == "doubled":
            assert hurried(method, path, body).code in (1000, 2000, 2003), "a DELETE finds nothing the second time"
        else:
            with pytest.raises(httpx.TransportError):
                hurried(method, path, body)
    goes_well_again(proxy)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_push_is_stored_whole_or_not_at_all(ours: Emsp, pushes: Ocpi, proxy: FaultyProxy, fault: Fault) -> None:
    events: list[Event] = []
    ours.on(Event)(events.append)
    for method, path, body in BEFORE:
        assert pushes(method, path, body).code == 1000
    for change in CHANGES:
        method, path, body = change
        before, heard = stored(ours), len(events)
        attempt(pushes, proxy, change, fault)
        after = stored(ours)
        arrived = fault not in ("head cut", "body cut", "reset")
        assert (after != before) == arrived, change
        if arrived:
            assert len([name for name in after if after[name] != before[name]]) == 1
        again = pushes(method, path, body)
        assert again.code == 1000 or (method == "DELETE" and arrived), again.text
        repaired = stored(ours)
        assert repaired != before
        assert repaired == after or not arrived
        said = [evolve(each, at=LONG_AGO, correlation_id="") for each in events[heard:]]
        assert all(said.count(each) == 1 for each in said), "each event once"
    whole = ours.locations.get(PARTY, "LOC1")
    assert whole is not None
    assert [(each.uid, each.connectors[0].amperage, str(each.status)) for each in whole.evses] == [
        ("E1", 16, "REMOVED"),
        ("E2", 32, "CHARGING"),
        ("E3", 32, "AVAILABLE"),
    ]
    assert len([each for each in events if isinstance(each, CdrReceived)]) == 1
    assert list(ours.rejections.list()) == []


def test_what_comes_in_the_wrong_order_ends_as_the_newest(ours: Emsp, pushes: Ocpi) -> None:
    newest: Sequence[Change] = (
        ("PUT", "/2.1.1/locations/NL/TNM/LOC1", location(63, ["E1", "E2", "E3"], NEWER)),
        ("PUT", "/2.1.1/sessions/NL/TNM/SES1", session(9, NEWER)),
        ("PUT", "/2.1.1/tariffs/NL/TNM/TAR1", tariff(0.75, NEWER)),
    )
    for method, path, body in newest:
        assert pushes(method, path, body).code == 1000
    wanted = stored(ours)
    for method, path, body in (*CHANGES[4::-2], *reversed(BEFORE)):
        pushes(method, path, body)
    assert stored(ours) == wanted


# --- handshakes, from either side -----------------------------------------------------------------------------------

EXCHANGES = ("versions", "details", "credentials")
PROMPT = [fault for fault in FAULTS if fault != "late"]
"""To whoever calls, a late answer is a lost one: where many faults follow one another, nobody waits for that."""


@pytest.fixture(scope="module")
def _cpo(portal: BlockingPortal) -> Iterator[SimulatedCpo]:
    with simulated(portal, SimulatedCpo(page_limit=2)) as running:
        yield running


@pytest.fixture
def patience(request: pytest.FixtureRequest) -> float:
    """Seconds that whoever calls through the proxy waits for an answer."""
    return 0.3 if request.node.callspec.params.get("fault") == "late" else SECONDS


@pytest.fixture
def cpo(_cpo: SimulatedCpo) -> SimulatedCpo:
    """A simulated CPO that is registered with nobody."""
    _cpo.registration.forget()
    return _cpo


def faulty(proxy: FaultyProxy, exchange: str, fault: Fault) -> None:
    """Let one exchange of a handshake go wrong."""
    proxy.faults.extend([*[None] * EXCHANGES.index(exchange), fault])


def goes_well_again(proxy: FaultyProxy) -> None:
    """From now on; an answer that was late comes now, and what it answers was served."""
    proxy.given_up.set()
    proxy.done.get(timeout=SECONDS)


PLACES = [*(("memory", each) for each in EXCHANGES), ("sqlite", "credentials"), ("postgresql", "credentials")]
"""Only the last exchange of a handshake stores something."""


in_every_place = pytest.mark.parametrize(("any_store", "exchange"), PLACES, indirect=["any_store"])


@pytest.mark.parametrize("fault", PROMPT)
@in_every_place
def test_a_partner_that_registers_is_registered_or_not(
    ours: Emsp, proxy: FaultyProxy, cpo: SimulatedCpo, portal: BlockingPortal, logs: Logs, exchange: str, fault: Fault
) -> None:
    invitation = ours.parties.invite(PARTY)
    register_with_us = partial(cpo.register, invitation.versions_url, logs.secret(invitation.token_a.reveal()))
    faulty(proxy, exchange, fault)
    done = _ends_well(portal, register_with_us)
    goes_well_again(proxy)
    if not done and not _ends_well(portal, register_with_us):
        # The answer with its token is lost, and the token that it registered with is used up: we invite it anew.
        assert exchange == "credentials"
        assert str(next(iter(ours.parties.list())).state) == "REGISTERED"
        ours.partner(PARTY).unregister(tell=False)
        invitation = ours.parties.invite(PARTY)
        again = partial(cpo.register, invitation.versions_url, logs.secret(invitation.token_a.reveal()))
        assert _ends_well(portal, again)
    _works_both_ways(ours, cpo, portal)


def _ends_well(portal: BlockingPortal, handshake: Callable[[], Awaitable[list[Exchange]]]) -> bool:
    try:
        return portal.call(handshake)[-1].ok
    except (http.HTTPError, HandshakeError):
        return False


def _works_both_ways(ours: Emsp, cpo: SimulatedCpo, portal: BlockingPortal) -> None:
    assert portal.call(cpo.push_tariff, "TAR1").ok
    assert ours.tariffs.get(PARTY, "TAR1") is not None
    with ours.partner(PARTY).client() as client:
        assert [each.id for each in client.tariffs()] == ["TAR1", "TAR2"]


@pytest.fixture
def behind(
    server: Host,
    proxy: FaultyProxy,
    any_store: AnyStore,
    cpo: SimulatedCpo,
    patience: float,
    monkeypatch: pytest.MonkeyPatch,
) -> Emsp:
    """Our eMSP, which reaches the CPO through the proxy."""
    emsp = emsp_at(
        server,
        store=any_store,
        retry_policy=RetryPolicy(attempts=1),
        http_client=lambda: httpx.Client(timeout=patience, verify=TLS, trust_env=False),
    )
    server.mount(emsp)
    proxy.target = cpo.url
    monkeypatch.setattr(cpo, "url", proxy.origin)
    return emsp


def register_with(cpo: SimulatedCpo, ours: Emsp, logs: Logs) -> bool:
    invitation = cpo.invite()
    try:
        ours.parties.register(invitation.versions_url, token_a=logs.secret(invitation.token_a))
    except OcpiError:
        return False
    return True


@pytest.mark.parametrize("fault", FAULTS)
@in_every_place
def test_we_are_registered_or_not(
    behind: Emsp, proxy: FaultyProxy, cpo: SimulatedCpo, portal: BlockingPortal, logs: Logs, exchange: str, fault: Fault
) -> None:
    faulty(proxy, exchange, fault)
    done = register_with(cpo, behind, logs)
    goes_well_again(proxy)
    if not done:
        assert list(behind.parties.list()) == []
        # Where only our side does not know that it went well, the CPO has a token that opens nothing, until it forgets.
        if cpo.registered:
            assert portal.call(cpo.unregister).status == 401
            cpo.registration.forget()
        assert register_with(cpo, behind, logs)
    _works_both_ways(behind, cpo, portal)


# --- we call the partner --------------------------------------------------------------------------------------------


@pytest.fixture
def registered(behind: Emsp, cpo: SimulatedCpo, logs: Logs) -> Emsp:
    """The same, registered."""
    assert register_with(cpo, behind, logs)
    return behind


def test_a_sync_that_broke_off_is_made_good_by_the_next(
    registered: Emsp, cpo: SimulatedCpo, proxy: FaultyProxy
) -> None:
    assert registered.partner(PARTY).sync().ok
    for fault in PROMPT:
        before = {each.name for each in registered.locations.list()}
        for location_id in ("LOC1", "LOC2", "LOC3"):
            cpo.change("locations", location_id, {"name": fault})
        proxy.faults.extend([None, fault])
        first = registered.partner(PARTY).sync(modules=["locations"], full=True)
        goes_well_again(proxy)
        assert first.failed == (fault != "doubled"), first
        assert {each.name for each in registered.locations.list()} <= {*before, fault}
        assert registered.partner(PARTY).sync(modules=["locations"]).ok
        assert {(each.name, len(each.evses)) for each in registered.locations.list()} == {(fault, 2)}


def test_a_token_that_did_not_arrive_is_pushed_again(registered: Emsp, cpo: SimulatedCpo, proxy: FaultyProxy) -> None:
    for number, fault in enumerate(PROMPT):
        proxy.faults.append(fault)
        registered.tokens.put(token(f"T{number}"))
        registered.partner(PARTY).push_tokens()
        goes_well_again(proxy)
        registered.partner(PARTY).push_tokens()
        assert cpo.received_tokens[-1].document["uid"] == f"T{number}"
        assert list(registered.tokens.failures(PARTY)) == []


def test_a_command_whose_answer_is_lost_has_its_result_or_none(
    registered: Emsp, cpo: SimulatedCpo, proxy: FaultyProxy, portal: BlockingPortal
) -> None:
    for number, fault in enumerate(PROMPT):
        proxy.faults.append(fault)
        registered.tokens.put(token(f"T{number}"))
        with registered.partner(PARTY).client() as client:
            start = partial(client.start_session, location_id="LOC1", token=token(f"T{number}"), force=True)
            if fault == "doubled":
                start()
            else:
                with pytest.raises(TransportFailed):
                    start()
        goes_well_again(proxy)
        portal.call(cpo.wait_idle)
        [*_, command] = registered.commands.list()
        arrived = fault not in ("head cut", "body cut", "reset")
        assert command.result == (CommandResponseType.ACCEPTED if arrived else None), fault
