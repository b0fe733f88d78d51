"""What was lost is pulled by the next sync: an object that a PATCH did not find, a push that failed by our fault."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties import pending_resync as resync
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.storage import MemoryStore
from sync.support import NOW, Synced, location, moved, session, synced, tariff


@pytest.fixture
def pair() -> Iterator[Synced]:
    """Everything was pulled yesterday; what is added to the lists now is older, so that no window shows it."""
    with synced() as pair:
        pair.sync()
        pair.clock.advance(days=1)
        pair.cpo.asked.clear()
        yield pair


def wished(pair: Synced) -> list[tuple[str, str]]:
    async def read() -> list[tuple[str, str]]:
        async with lift_store(pair.store, in_place).transaction(read_only=True) as tx:
            found = [await resync.resync_requests(tx, ("NL", "TNM"), module) for module in sorted(resync.PULLED)]
        return [(wish.module, wish.id) for resync_requests in found for wish in resync_requests]

    return run(read())


def single(pair: Synced) -> list[str]:
    """The locations that were asked for one by one."""
    found = [each.url.path.removeprefix("/cpo/2.1.1/locations") for each in pair.cpo.asked]
    return [path[1:] for path in found if path]


@pytest.mark.parametrize(
    "path",
    ["locations/*/LOC1", "locations/*/LOC1/LOC1-E1", "locations/*/LOC1/LOC1-E1/1"],
    ids=["location", "evse", "connector"],
)
def test_a_patch_of_an_unknown_location_has_it_pulled(pair: Synced, path: str) -> None:
    pair.cpo.lists["locations"] = [location(1), location(2)]
    assert pair.push("PATCH", path, {"last_updated": "2024-06-02T11:00:00Z"}) == 404
    assert wished(pair) == [("locations", "LOC1")]
    report = pair.pull()
    assert (report.ended, report.created) == (SyncEnded.DONE, 1)
    assert (single(pair), pair.ids(Kind.LOCATION), wished(pair)) == (["LOC1"], ["LOC1"], [])


def test_the_same_wish_twice_is_one(pair: Synced) -> None:
    for _ in range(3):
        pair.push("PATCH", "locations/*/LOC1", {"name": "x"})
    assert wished(pair) == [("locations", "LOC1")]


def test_an_object_that_the_cpo_does_not_know_either_is_done_with(pair: Synced) -> None:
    pair.push("PATCH", "locations/*/NOWHERE", {"name": "x"})
    report = pair.pull()
    assert (report.ended, report.notes) == (SyncEnded.DONE, ("location 'NOWHERE' is not known to the CPO",))
    assert wished(pair) == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(403, json={"status_code": 2000, "timestamp": "x"}),
        httpx.Response(500, json={"status_code": 3000, "timestamp": "x"}),
    ],
    ids=["html", "403", "500"],
)
def test_a_wish_that_fails_stays_and_holds_up_nothing(pair: Synced, answer: httpx.Response) -> None:
    pair.cpo.lists["locations"] = [location(1), location(2, NOW)]
    pair.push("PATCH", "locations/*/LOC1", {"name": "x"})
    pair.cpo.answer = lambda request: answer if "/LOC1" in request.url.path else None
    report = pair.pull()
    assert (report.ended, pair.ids(Kind.LOCATION)) == (SyncEnded.DONE, ["LOC2"])
    assert "'LOC1' was not sent" in report.notes[0]
    assert wished(pair) == [("locations", "LOC1")]


def test_a_wish_whose_object_is_bad_is_a_rejection(pair: Synced) -> None:
    pair.cpo.lists["locations"] = [location(1) | {"coordinates": None}]
    pair.push("PATCH", "locations/*/LOC1", {"name": "x"})
    report = pair.pull()
    assert (report.rejected, wished(pair)) == (1, [])
    assert [each.path for each in pair.emsp.rejections.list()] == ["/2.1.1/locations/NL/TNM/LOC1"]


def test_an_id_is_encoded_on_its_way(pair: Synced) -> None:
    pair.cpo.lists["locations"] = [location(1) | {"id": "A/B 1"}]
    pair.push("PATCH", "locations/*/A%2FB%201", {"name": "x"})
    assert pair.pull().created == 1
    assert pair.ids(Kind.LOCATION) == ["A/B 1"]


@pytest.mark.parametrize("module", ["sessions", "tariffs"])
def test_what_has_no_single_get_widens_the_window(module: str) -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = []
        pair.sync()
        pair.clock.advance(hours=1)
        assert pair.push("PATCH", f"{module}/*/X1", {"last_updated": "2024-06-01T12:59:00Z"}) == 404
        pair.cpo.answer = lambda _: httpx.Response(500)
        pair.sync(modules=[module])
        assert wished(pair) == [(module, "X1")]
        pair.clock.advance(hours=1)
        pair.cpo.answer = lambda _: None
        pair.cpo.asked.clear()
        assert pair.sync(modules=[module]).ok
        assert wished(pair) == []


def test_a_window_reaches_back_to_the_wish() -> None:
    with synced() as pair:
        pair.push("PATCH", "sessions/*/SES1", {"kwh": 1})
        pair.clock.advance(seconds=1)
        before = NOW - timedelta(minutes=15)
        pair.clock.time = NOW + timedelta(days=2)
        # A sync of somebody's choice passes the wish; the next one reaches back to it.
        pair.sync(modules=["sessions"], since=NOW + timedelta(days=1))
        assert wished(pair) == [("sessions", "SES1")]
        pair.cpo.lists["sessions"] = [moved(session(1), NOW)]
        pair.cpo.asked.clear()
        report = pair.pull("sessions")
        assert report.created == 1
        assert pair.cpo.queries("sessions")[0]["date_from"] == before.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert wished(pair) == []


def test_a_push_that_failed_by_our_fault_is_pulled(pair: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("a defect of ours")

    with monkeypatch.context() as patch:
        patch.setattr("ocpi_emsp.flows.locations.inbound.store_new_location", broken)
        assert pair.push("PUT", "locations/*/LOC1", location(1)) == 500
        patch.setattr("ocpi_emsp.flows.tariffs.inbound.store_object", broken)
        assert pair.push("PUT", "tariffs/*/TAR1", tariff(1)) == 500
        assert pair.push("POST", "cdrs", {"id": "CDR1"}) == 200, "refused, which is no fault of ours"
    assert wished(pair) == [("locations", "LOC1"), ("tariffs", "TAR1")]
    pair.cpo.lists["locations"] = [location(1)]
    pair.cpo.lists["tariffs"] = [moved(tariff(1), pair.clock.time - timedelta(minutes=1))]
    pair.clock.advance(hours=1)
    assert pair.sync().ok
    assert (pair.ids(Kind.LOCATION), pair.ids(Kind.TARIFF), wished(pair)) == (["LOC1"], ["TAR1"], [])


def test_a_store_that_cannot_be_reached_loses_nothing() -> None:
    """Nothing can be noted then; the window of the next sync reaches back to the last one."""
    store = MemoryStore(lock_timeout=0.05)
    with synced(store=store) as pair:
        pair.sync()
        pair.clock.advance(hours=1)
        with store._lock:
            assert pair.push("PUT", "locations/*/LOC1", location(1)) == 500
        assert wished(pair) == []
        pair.cpo.lists["locations"] = [moved(location(1), NOW + timedelta(minutes=30))]
        assert pair.pull().created == 1


def test_a_party_that_wishes_for_too_much_gets_a_window(pair: Synced) -> None:
    for number in range(resync.MOST + 5):
        assert pair.push("PATCH", f"locations/*/L{number}", {"name": "x"}) == 404
    assert len(wished(pair)) == resync.MOST + 1
    assert ("locations", "") in wished(pair)
