"""Quotas: how much a party may store here, pushed or pulled, and how large one object may become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from client.support import MODES, Mode
from flows.support import Answer, Peer, at, offline_emsp, peer
from ocpi_emsp import Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.events import QuotaReached, SessionReceived
from ocpi_emsp.flows.parties.quota import SLACK
from ocpi_emsp.ports import Kind, Query
from ocpi_emsp.settings import HttpLimits, QuotaLimits
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode
from ocpi_emsp.wire import Request
from our_emsp import register
from store.broken import AlteredStore
from sync.support import cdr as listed_cdr, location as listed_location, session as listed_session, synced

FULL = (200, 2000)


def session(number: int, minute: int = 0, **changes: Any) -> Document:
    return {**samples.session(f"S{number}"), "last_updated": at(minute), **changes}


def put_session(cpo: Peer, number: int, minute: int = 0, **changes: Any) -> Answer:
    return cpo.push("PUT", f"sessions/*/S{number}", session(number, minute, **changes))


def limits(**quotas: int) -> Limits:
    return Limits(quotas=QuotaLimits(**quotas))


def number_of(cpo: Peer, kind: str = Kind.SESSION) -> int:
    async def read() -> int:
        async with cpo.store.transaction(read_only=True) as tx:
            return (await tx.page(Query(kind=kind))).total

    return run(read())


def reached(cpo: Peer) -> list[tuple[str, str, int]]:
    return [(str(each.party), each.quota, each.limit) for each in cpo.events if isinstance(each, QuotaReached)]


# --- objects --------------------------------------------------------------------------------------------------------


def test_a_party_stores_no_more_objects_than_its_quota() -> None:
    """Without the quota: 20 sessions."""
    cpo = peer(limits=limits(objects=10))
    answers = [put_session(cpo, number) for number in range(20)]
    assert [each.both for each in answers] == [(201, 1000)] * 10 + [FULL] * 10
    assert "NL-TNM may store 10 objects here, and has no room left (QuotaLimits.objects)" in answers[-1].message
    assert number_of(cpo) == 10
    assert reached(cpo) == [("NL-TNM", "QuotaLimits.objects", 10)], "once, and not for each request"
    assert put_session(cpo, 3, minute=5, kwh=7).both == (200, 1000), "what replaces something is stored"
    assert put_session(cpo.other(), 1).both == (201, 1000), "the quota is each party's own"


def test_what_is_refused_for_a_quota_is_among_the_rejections_and_is_replayed_when_there_is_room() -> None:
    cpo = peer(limits=limits(objects=1))
    cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1"))
    assert put_session(cpo, 1).both == FULL
    (rejection,) = cpo.emsp.rejections.list()
    assert b"2000" in cpo.emsp.rejections.replay(rejection).body
    assert cpo.push("DELETE", "tariffs/*/TAR1").code == 1000
    assert cpo.emsp.rejections.replay(rejection).status == 201
    assert list(cpo.emsp.rejections.list()) == []


def test_the_documents_of_a_party_have_a_size() -> None:
    """Without the quota: 20 sessions, and one that grows without end."""
    size = len(encode(session(1)))
    cpo = peer(limits=limits(bytes=10 * size))
    assert [put_session(cpo, number).code for number in range(20)].count(1000) == 10
    grown = put_session(cpo, 1, 1, x_note="x" * size)
    assert grown.both == FULL
    assert "(QuotaLimits.bytes)" in grown.message
    assert put_session(cpo, 1, 2).both == (200, 1000)
    assert reached(cpo) == [("NL-TNM", "QuotaLimits.bytes", 10 * size)]


OVER: list[tuple[str, Callable[[Peer], Answer]]] = [
    ("location", lambda cpo: cpo.push("PUT", "locations/*/LOC2", samples.location("LOC2"))),
    ("evse", lambda cpo: cpo.push("PUT", "locations/*/LOC1/E9", samples.evse("E9"))),
    ("session", lambda cpo: put_session(cpo, 1)),
    ("tariff", lambda cpo: cpo.push("PUT", "tariffs/*/TAR1", samples.tariff("TAR1"))),
    ("cdr", lambda cpo: cpo.push("POST", "cdrs", samples.cdr("CDR2"))),
    ("conflict", lambda cpo: cpo.push("POST", "cdrs", {**samples.cdr("CDR1"), "total_cost": 99})),
    ("patched location", lambda cpo: cpo.push("PATCH", "locations/*/LOC1", {"evses": [samples.evse("E9")]})),
]


@pytest.mark.parametrize(("what", "push"), OVER, ids=[what for what, _ in OVER])
def test_every_kind_of_object_counts(what: str, push: Callable[[Peer], Answer]) -> None:
    cpo = peer(limits=limits(objects=4))
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    assert cpo.push("POST", "cdrs", samples.cdr("CDR1")).both == (201, 1000)
    assert push(cpo).both == FULL, what
    assert [number_of(cpo, kind) for kind in (Kind.LOCATION, Kind.EVSE, Kind.CDR, Kind.CDR_CONFLICT)] == [1, 2, 1, 0]


def test_a_party_has_a_quota_of_its_own_by_its_profile() -> None:
    cpo = peer()
    cpo.emsp.partner("NL-TNM").set_profile(max_objects=2, max_bytes=1_000_000)
    assert [put_session(cpo, number).both for number in range(3)] == [(201, 1000), (201, 1000), FULL]


def test_a_hub_has_one_quota_for_all_that_comes_over_its_connection() -> None:
    """Counting each owner alone: 20 sessions."""
    cpo = peer(limits=limits(objects=5))
    cpo.emsp.partner("NL-TNM").set_profile(allowed_parties=["DE-*"])
    codes = [cpo.push("PUT", f"sessions/DE/A{number:02}/S1", session(1)).code for number in range(20)]
    assert codes.count(1000) == 5


def test_there_is_room_again_after_a_minute_and_the_next_time_is_reported_again() -> None:
    cpo = peer(limits=limits(objects=16))
    for number in range(18):
        put_session(cpo, number)

    async def delete() -> None:
        async with cpo.store.transaction() as tx:
            for record in (await tx.page(Query(kind=Kind.SESSION, limit=4))).records:
                await tx.delete(record.key)

    run(delete())
    assert put_session(cpo, 30).both == FULL, "it is not looked at for each request"
    cpo.clock.advance(minutes=2)
    assert put_session(cpo, 31).both == (201, 1000)
    assert len(reached(cpo)) == 1
    assert [put_session(cpo, number).code for number in range(32, 36)] == [1000, 1000, 1000, 2000]
    assert len(reached(cpo)) == 2
    cpo.clock.advance(days=2)
    put_session(cpo, 40)
    assert len(reached(cpo)) == 3, "again, each day that it lasts"


def test_a_put_looks_at_nothing_else_that_a_party_has() -> None:
    """Looking at each PUT: 1,200 looks."""
    looks = list[str]()

    async def usage(tx: Any, name: str, owner: Any = None) -> Any:
        looks.append(name)
        return await tx.usage(name, owner)

    emsp = offline_emsp(store=AlteredStore({"usage": usage}))
    cpo = Peer(emsp, clock=None, store=None, token=register(emsp))  # type: ignore[arg-type] # neither is used
    for number in range(200):
        put_session(cpo, number)
    assert looks == []


@pytest.mark.parametrize("mode", MODES)
def test_processes_on_one_database_exceed_a_quota_by_their_slack_at_most(postgres_with_schema: str, mode: Mode) -> None:
    """Without looking at the database: as much for each process, 64 sessions."""
    stores = [SqlStore(postgres_with_schema) for _ in range(2)]
    emsps = [offline_emsp(store=store, limits=limits(objects=32)) for store in stores]
    token = register(emsps[0])

    async def put_all() -> None:
        for number in range(80):
            await emsps[number % 2].aio.handle(request(token, number))
        for store in stores:
            await store.aclose()

    if mode == "sync":
        for number in range(80):
            emsps[number % 2].handle(request(token, number))
    else:
        anyio.run(put_all)
    stored = len(list(emsps[0].sessions.list("NL-TNM")))
    for store in stores:
        store.close()
    assert 32 <= stored <= 32 + 2 * (32 // SLACK)


def request(token: str, number: int) -> Request:
    headers = {"authorization": f"Token {token}"}
    return Request("PUT", f"/2.1.1/sessions/NL/TNM/S{number}", "", headers, encode(session(number)))


# --- CDRs beside others, events that wait, parties behind a hub -------------------------------------------------------


def conflict(cpo: Peer, cost: int) -> Answer:
    return cpo.push("POST", "cdrs", {**samples.cdr("CDR1"), "total_cost": cost})


def test_cdrs_that_are_stored_beside_others_have_a_number() -> None:
    """Without the quota: 10 conflicts."""
    cpo = peer(limits=limits(cdr_conflicts=3))
    assert conflict(cpo, 1).both == (201, 1000)
    answers = [conflict(cpo, cost) for cost in range(2, 12)]
    assert [each.both for each in answers] == [(200, 2001)] * 3 + [FULL] * 7
    assert "3 CDRs of NL-TNM in conflict with another one of the same id" in answers[-1].message
    assert number_of(cpo, Kind.CDR_CONFLICT) == 3
    assert reached(cpo) == [("NL-TNM", "QuotaLimits.cdr_conflicts", 3)]
    assert conflict(cpo, 2).both == (200, 2001), "one that is stored is answered as before"
    assert conflict(cpo, 1).both == (201, 1000)


def test_events_that_no_process_takes_have_a_size() -> None:
    """Without the quota: 40 events, and as many as come."""
    cpo = peer(listen=False, outbox_events=[SessionReceived], limits=limits(events=20_000))
    answers = [put_session(cpo, 1, number, kwh=number) for number in range(40)]
    assert answers[-1].both == FULL
    assert "20000 bytes of events of NL-TNM are pending (QuotaLimits.events)" in answers[-1].message
    assert 5 < [each.code for each in answers].count(1000) < 30
    relay = cpo.emsp.relay(lambda _events: None)
    while relay.once():
        pass
    cpo.clock.advance(minutes=2)
    assert put_session(cpo, 1, 50).both == (200, 1000), "a relay took them"


def test_a_hub_brings_a_number_of_parties() -> None:
    """Without the quota: its party grows with each of them."""
    cpo = peer(limits=limits(owners=3))
    cpo.emsp.partner("NL-TNM").set_profile(allowed_parties=["DE-*"])
    answers = [cpo.push("PUT", f"sessions/DE/A{number:02}/S1", session(1)) for number in range(6)]
    assert [each.both for each in answers] == [(201, 1000)] * 3 + [FULL] * 3
    assert "the connection of NL-TNM brings objects of more parties than its limit of 3" in answers[-1].message
    assert cpo.push("PUT", "sessions/DE/A00/S2", session(2)).both == (201, 1000)
    assert reached(cpo) == [("NL-TNM", "QuotaLimits.owners", 3)]


# --- what is pulled -------------------------------------------------------------------------------------------------


def test_a_sync_ends_where_there_is_no_room_and_stores_no_half_page() -> None:
    """Without the quota: 30 locations. Refusing object by object: a location without some of its EVSEs."""
    found = list[Any]()
    with synced(limits=limits(objects=20), listen=found) as pair:
        pair.cpo.lists["locations"] = [listed_location(number) for number in range(30)]
        report = pair.pull()
        assert (report.ended.value, report.created) == ("failed", 20)
        assert "NL-TNM may store 20 objects here" in report.reason
        assert (len(pair.ids(Kind.LOCATION)), len(pair.ids(Kind.EVSE))) == (20, 40)
        again = pair.pull()
        assert (again.ended.value, again.created) == ("failed", 0)
        assert len([each for each in found if isinstance(each, QuotaReached)]) == 1
        pair.emsp.partner("NL-TNM").set_profile(max_objects=1000)
        assert pair.pull().ended.value == "done"
        assert (len(pair.ids(Kind.LOCATION)), len(pair.ids(Kind.EVSE))) == (30, 60)


def test_a_sync_rejects_cdrs_that_cannot_be_stored_beside_others_and_goes_on() -> None:
    """Without the quota: 4 conflicts."""
    found = list[Any]()
    with synced(limits=limits(cdr_conflicts=2), listen=found) as pair:
        pair.cpo.lists["cdrs"] = [listed_cdr(number) for number in range(4)]
        pair.pull("cdrs")
        pair.cpo.lists["cdrs"] = [*(listed_cdr(number, total_cost=99) for number in range(4)), listed_cdr(5)]
        report = pair.pull("cdrs", full=True)
        assert (report.ended.value, report.created, report.rejected) == ("done", 1, 4)
        assert "2 CDRs of NL-TNM in conflict with another one of the same id" in "".join(report.notes)
        assert len(pair.ids(Kind.CDR_CONFLICT)) == 2
        assert len(list(pair.emsp.rejections.list())) == 4
        assert len([each for each in found if isinstance(each, QuotaReached)]) == 1


def test_a_sync_that_changes_what_is_stored_needs_no_room() -> None:
    with synced(limits=limits(objects=3)) as pair:
        pair.cpo.lists["sessions"] = [listed_session(number) for number in range(3)]
        assert pair.pull("sessions").created == 3
        pair.cpo.lists["sessions"] = [listed_session(number, kwh=1) for number in range(3)]
        assert pair.pull("sessions", full=True).ended.value == "done"


# --- one object -----------------------------------------------------------------------------------------------------

SMALL = Limits(http=HttpLimits(request_body=8000))

GROWING: list[tuple[str, Callable[[int], Document]]] = [
    ("locations/*/LOC1", lambda number: {f"x_{number}": "x" * 2000}),
    ("locations/*/LOC1", lambda number: {"evses": [{"uid": "LOC1-E1", f"x_{number}": "x" * 2000}]}),
    ("locations/*/LOC1/LOC1-E1", lambda number: {"status": "BLOCKED", f"x_{number}": "x" * 2000}),
    ("locations/*/LOC1/LOC1-E1/1", lambda number: {"voltage": 230, f"x_{number}": "x" * 2000}),
    ("sessions/*/S1", lambda number: {"kwh": number, f"x_{number}": "x" * 2000}),
    ("tariffs/*/TAR1", lambda number: {"currency": "EUR", f"x_{number}": "x" * 2000}),
]


@pytest.mark.parametrize(("path", "change"), GROWING)
def test_no_patch_makes_an_object_larger_than_a_put_may_be(path: str, change: Callable[[int], Document]) -> None:
    """Without the bound: ten PATCHes of 2,000 bytes make 20 KB."""
    cpo = peer(limits=SMALL)
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    cpo.put("sessions/*/S1", session(1))
    cpo.put("tariffs/*/TAR1", samples.tariff("TAR1"))
    answers = [cpo.push("PATCH", path, {"name": "x", **change(number)}) for number in range(10)]
    assert answers[0].code == 1000, answers[0].message
    assert answers[-1].both == (200, 2001)
    assert "a PUT may have 8000 (HttpLimits.request_body)" in answers[-1].message
    assert len(encode(cpo.data(path))) <= 8000
    assert list(cpo.emsp.rejections.list())[-1].findings[0].rule == "object.size"
    shorter: Document = {name: None for name in change(0) if name.startswith("x_")} or {"name": "y"}
    assert cpo.push("PATCH", path, {"last_updated": at(60 * 24 * 20), **shorter}).code == 1000, "what does not grow"


def test_periods_that_are_appended_make_no_session_larger_than_a_put_may_be() -> None:
    """Without the bound: 100 periods."""
    cpo = peer(limits=SMALL)
    cpo.emsp.partner("NL-TNM").set_profile(append_charging_periods=True)
    cpo.put("sessions/*/S1", session(1, charging_periods=[]))
    period = {"dimensions": [{"type": "ENERGY", "volume": 1}], "x_note": "x" * 200}
    codes = [
        cpo.push("PATCH", "sessions/*/S1", {"charging_periods": [{"start_date_time": at(minute), **period}]}).code
        for minute in range(100)
    ]
    assert codes[-1] == 2001
    assert 10 < codes.count(1000) < 30


def test_a_location_of_evses_that_were_put_one_by_one_has_a_number_and_a_size() -> None:
    """Without the bounds: 30 EVSEs, and 60 KB."""
    few = peer(limits=limits(evses=5))
    few.put("locations/*/LOC1", samples.location("LOC1", evses=0))
    answers = [few.push("PUT", f"locations/*/LOC1/E{number}", samples.evse(f"E{number}")) for number in range(8)]
    assert [each.both for each in answers] == [(201, 1000)] * 5 + [(200, 2001)] * 3
    assert "it would have 6 EVSEs, 5 are stored (QuotaLimits.evses)" in answers[-1].message
    assert few.push("PATCH", "locations/*/LOC1", {"evses": [samples.evse("E9")]}).both == (200, 2001)
    assert len(few.data("locations/*/LOC1")["evses"]) == 5
    large = peer(limits=SMALL)
    large.put("locations/*/LOC1", samples.location("LOC1", evses=0))
    large_evse = {"x_note": "x" * 1500}
    codes = [
        large.push("PUT", f"locations/*/LOC1/E{number}", {**samples.evse(f"E{number}"), **large_evse}).code
        for number in range(30)
    ]
    assert 2 < codes.count(1000) < 5
    assert len(encode(large.data("locations/*/LOC1"))) <= 8000


def test_evses_that_grow_later_are_measured_when_they_have_doubled() -> None:
    """Without the bound: 8 EVSEs of 7,000 bytes."""
    cpo = peer(limits=SMALL)
    cpo.put("locations/*/LOC1", samples.location("LOC1", evses=8))
    for size in (1000, 3000, 7000):
        for number in range(8):
            body = {"status": "BLOCKED", "x_note": "x" * size, "last_updated": at(60 * 24 * 20)}
            cpo.push("PATCH", f"locations/*/LOC1/LOC1-E{number + 1}", body)
    assert len(encode(cpo.data("locations/*/LOC1"))) < 3 * 8000


def test_an_evse_has_a_number_of_connectors() -> None:
    """Without the bound: 20 connectors."""
    cpo = peer(limits=limits(connectors=10))
    cpo.put("locations/*/LOC1", samples.location("LOC1"))
    codes = [
        cpo.push("PUT", f"locations/*/LOC1/LOC1-E1/C{number}", samples.connector(f"C{number}")).both
        for number in range(20)
    ]
    assert codes == [(201, 1000)] * 9 + [(200, 2001)] * 11
    assert len(cpo.data("locations/*/LOC1/LOC1-E1")["connectors"]) == 10


@pytest.mark.parametrize("of_sql", [False, True])
def test_evses_that_puts_leave_out_again_and_again_do_not_pile_up(of_sql: bool) -> None:
    """Without the bound: 80 EVSEs, 78 of them REMOVED."""
    store: Any = SqlStore("sqlite://") if of_sql else None
    cpo = peer(limits=limits(evses=6), store=store)
    for day in range(40):
        evses = [samples.evse(f"E{day}-{number}", last_updated=samples.BASE) for number in range(2)]
        body = {**samples.location("LOC1"), "evses": evses, "last_updated": at(day)}
        assert cpo.push("PUT", "locations/*/LOC1", body).code == 1000, "a PUT is stored"
        cpo.clock.advance(minutes=1)
    left = [each["uid"] for each in cpo.data("locations/*/LOC1")["evses"]]
    assert left == [f"E{day}-{number}" for day in (36, 37, 38, 39) for number in range(2)]
    if of_sql:
        store.close()


def test_older_locations_bring_no_evses_without_end() -> None:
    """Without the bound: 42 EVSEs."""
    cpo = peer(limits=limits(evses=6))
    cpo.put("locations/*/LOC1", {**samples.location("LOC1"), "last_updated": at(1000)})
    codes = []
    for day in range(20):
        evses = [samples.evse(f"E{day}-{number}") for number in range(2)]
        codes.append(cpo.push("PUT", "locations/*/LOC1", {**samples.location("LOC1"), "evses": evses}).code)
    assert codes[-1] == 2001
    assert len(cpo.data("locations/*/LOC1")["evses"]) <= 8
