"""PUT and GET of locations, EVSEs and connectors (mod_locations.md 2.2; PARTNER-QUIRKS.md rows 15 to 18)."""

import json
from typing import Any

import pytest

from flows.support import Peer, at, peer, uids, without
from ocpi_emsp.events import EvseReceived, EvseRemoved, LocationReceived
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode

LOCATION = "locations/*/LOC1"
EVSE = "locations/*/LOC1/LOC1-E1"
CONNECTOR = "locations/*/LOC1/LOC1-E1/1"


def location(minute: int = 0, **changes: Any) -> Document:
    return {**samples.location(), "last_updated": at(minute), **changes}


def evse(uid: str = "LOC1-E1", minute: int = 0, **changes: Any) -> Document:
    return {**samples.evse(uid), "last_updated": at(minute), **changes}


def connector(connector_id: str = "1", minute: int = 0, **changes: Any) -> Document:
    return {**samples.connector(connector_id), "last_updated": at(minute), **changes}


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose LOC1, with two EVSEs, is known; nothing has happened since."""
    known = peer()
    known.put(LOCATION, location())
    known.taken()
    return known


def test_a_repeated_member_of_an_evse_is_named_though_another_one_has_one_less(cpo: Peer) -> None:
    later = location(1)
    del later["evses"][1]["physical_reference"]
    body = encode(later).replace(b'"status":', b'"status":"BLOCKED","status":', 1)
    before = encode(location())
    assert body.count(b'":') == before.count(b'":')
    message = cpo.push("PUT", LOCATION, body).message
    assert "/evses/0/status: a member is repeated; the last one counts [json.repeated]" in message


# --- created and updated --------------------------------------------------------------------------------------------


def test_a_new_evse_is_created_and_a_known_one_updated(cpo: Peer) -> None:
    assert cpo.push("PUT", "locations/*/LOC1/NEW", evse("NEW", 1)).both == (201, 1000)
    assert cpo.push("PUT", "locations/*/LOC1/NEW", evse("NEW", 2, status="BLOCKED")).both == (200, 1000)
    assert cpo.data("locations/*/LOC1/NEW")["status"] == "BLOCKED"
    assert uids(cpo.data(LOCATION)) == ["LOC1-E1", "LOC1-E2", "NEW"]
    created, updated = cpo.events
    assert isinstance(created, EvseReceived)
    assert isinstance(updated, EvseReceived)
    assert (created.created, updated.created, updated.location_id, updated.evse.uid) == (True, False, "LOC1", "NEW")


def test_a_new_connector_is_created_and_a_known_one_updated(cpo: Peer) -> None:
    assert cpo.push("PUT", "locations/*/LOC1/LOC1-E1/2", connector("2", 1)).both == (201, 1000)
    assert cpo.push("PUT", CONNECTOR, connector("1", 2, amperage=16)).both == (200, 1000)
    assert [each["id"] for each in cpo.data(EVSE)["connectors"]] == ["1", "2"]
    assert cpo.data(CONNECTOR)["amperage"] == 16
    assert cpo.data("locations/*/LOC1/LOC1-E1/2") == connector("2", 1)
    assert cpo.taken() == ["EvseReceived", "EvseReceived"]


def test_a_location_is_assembled_from_its_evses_in_their_order(cpo: Peer) -> None:
    order = ["LOC1-E1", "LOC1-E2"]
    for minute, uid in enumerate(["LOC1-E2", "LOC1-E1"], start=1):
        cpo.put(f"locations/*/LOC1/{uid}", evse(uid, minute, status="OUTOFORDER"))
        assert uids(cpo.data(LOCATION)) == order
    cpo.put(LOCATION, location(5))
    assert uids(cpo.data(LOCATION)) == order
    assert cpo.data(LOCATION)["evses"][1] == cpo.data("locations/*/LOC1/LOC1-E2")


def test_a_location_without_evses_is_stored_and_takes_evses_later() -> None:
    cpo = peer()
    cpo.put(LOCATION, without(location(), "evses"))
    assert "evses" not in cpo.data(LOCATION)
    cpo.put(EVSE, evse(minute=1))
    assert uids(cpo.data(LOCATION)) == ["LOC1-E1"]


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("locations/*/NONE", 2003),
        ("locations/*/NONE/LOC1-E1", 2003),
        ("locations/*/NONE/LOC1-E1/1", 2003),
        ("locations/*/LOC1/NONE", 2000),
        ("locations/*/LOC1/NONE/1", 2000),
        ("locations/*/LOC1/LOC1-E1/9", 2000),
    ],
)
def test_what_is_not_known_is_404(cpo: Peer, method: str, path: str, code: int) -> None:
    ids = path.split("/")[2:]
    bodies = [location(id=ids[-1]), evse(ids[-1]), connector(ids[-1])]
    body = {"GET": None, "PUT": bodies[len(ids) - 1], "PATCH": {}}[method]
    is_new = path in ("locations/*/NONE", "locations/*/LOC1/NONE", "locations/*/LOC1/LOC1-E1/9")
    assert cpo.push(method, path, body).both == ((201, 1000) if is_new and method == "PUT" else (404, code))


def test_a_refused_location_leaves_nothing_and_says_where(cpo: Peer) -> None:
    broken = location(1, name="Other")
    del broken["evses"][1]["connectors"][0]["standard"]
    answer = cpo.push("PUT", LOCATION, broken)
    assert answer.both == (200, 2001)
    assert answer.findings == [("/evses/1/connectors/0/standard", "field.required")]
    assert cpo.data(LOCATION)["name"] != "Other"
    (rejection,) = cpo.emsp.rejections.list()
    assert rejection.body == encode(broken)


@pytest.mark.parametrize(
    ("body", "both"),
    [
        (b"", (400, 2000)),
        (b'{"id":"LOC1"', (400, 2000)),
        (b"\xff", (400, 2000)),
        (b"[]", (200, 2001)),
        (b'"LOC1"', (200, 2001)),
        (location(evses={"uid": "E1"}), (200, 2001)),
        (location(evses=["E1"]), (200, 2001)),
        (location(evses=[None]), (200, 2001)),
    ],
)
def test_a_body_that_is_no_location_changes_nothing(cpo: Peer, body: Any, both: tuple[int, int]) -> None:
    before = cpo.data(LOCATION)
    assert cpo.push("PUT", LOCATION, body).both == both
    assert cpo.data(LOCATION) == before
    assert len(list(cpo.emsp.rejections.list())) == 1


# --- order in time --------------------------------------------------------------------------------------------------


def test_an_older_evse_inside_a_newer_location_is_kept(cpo: Peer) -> None:
    cpo.put(EVSE, evse(minute=5, status="BLOCKED"))
    cpo.put(LOCATION, location(6, name="Newer", evses=[evse(minute=4), evse("LOC1-E2", 6, status="RESERVED")]))
    stored = cpo.data(LOCATION)
    assert stored["name"] == "Newer"
    assert [each["status"] for each in stored["evses"]] == ["BLOCKED", "RESERVED"]


def test_a_location_is_as_new_as_its_newest_evse(cpo: Peer) -> None:
    """Many CPOs leave a location's own last_updated alone when an EVSE changes."""
    cpo.put(EVSE, evse(minute=5, status="BLOCKED"))
    answer = cpo.push("PUT", LOCATION, location(0, evses=[evse(minute=6, status="CHARGING"), evse("LOC1-E2")]))
    assert answer.message == "Success"
    stored = cpo.data(LOCATION)
    assert stored["evses"][0]["status"] == "CHARGING"
    assert stored["last_updated"] == at(6)


def test_a_change_below_moves_everything_around_it_forward_and_never_back(cpo: Peer) -> None:
    cpo.put(CONNECTOR, connector(minute=7))
    assert cpo.data(EVSE)["last_updated"] == at(7)
    assert cpo.data(LOCATION)["last_updated"] == at(7)
    cpo.put("locations/*/LOC1/LOC1-E2", evse("LOC1-E2", minute=3))
    assert cpo.data(LOCATION)["last_updated"] == at(7)
    cpo.put("locations/*/LOC1/LOC1-E1/2", connector("2", minute=2))
    assert cpo.data(EVSE)["last_updated"] == at(7)
    cpo.put("locations/*/LOC1/LOC1-E2", evse("LOC1-E2", minute=8))
    assert cpo.data(LOCATION)["last_updated"] == at(8)
    assert cpo.data(EVSE)["last_updated"] == at(7)


# --- events ---------------------------------------------------------------------------------------------------------


def test_unchanged_content_under_a_newer_last_updated_is_stored_without_an_event(cpo: Peer) -> None:
    newer = location(5, evses=[evse(minute=4), samples.location()["evses"][1] | {"last_updated": at(5)}])
    cpo.put(LOCATION, newer)
    assert cpo.taken() == []
    assert cpo.data(LOCATION)["last_updated"] == at(5)
    assert cpo.data(EVSE)["last_updated"] == at(4)
    cpo.put(EVSE, evse(minute=6))
    assert cpo.taken() == []
    assert cpo.data(EVSE)["last_updated"] == at(6)


def test_spelling_and_order_of_members_are_no_change(cpo: Peer) -> None:
    reordered = dict(reversed(location(1).items()))
    spaced = json.dumps(reordered, indent=3, default=float).encode()
    cpo.put(LOCATION, spaced)
    assert cpo.taken() == []


def test_a_changed_evse_inside_a_location_is_one_event_of_the_location(cpo: Peer) -> None:
    cpo.put(LOCATION, location(1, evses=[evse(minute=1, status="BLOCKED"), location()["evses"][1]]))
    (event,) = cpo.events
    assert isinstance(event, LocationReceived)
    assert event.location.evses[0].status == "BLOCKED"


def test_an_evse_that_a_put_leaves_out_becomes_removed(cpo: Peer) -> None:
    cpo.put(LOCATION, location(5, evses=[evse(minute=1)]))
    removed, received = cpo.events
    assert isinstance(removed, EvseRemoved)
    assert isinstance(received, LocationReceived)
    assert (removed.location_id, removed.evse.uid, removed.evse.status) == ("LOC1", "LOC1-E2", "REMOVED")
    assert [each["status"] for each in cpo.data(LOCATION)["evses"]] == ["AVAILABLE", "REMOVED"]
    cpo.taken()
    cpo.put(LOCATION, location(6, evses=[evse(minute=1)]))
    assert cpo.taken() == []


def test_an_evse_that_a_put_leaves_out_keeps_its_own_time(cpo: Peer) -> None:
    """The CPO's own word counts: what it sends next about this EVSE is newer than its removal."""
    cpo.put(LOCATION, location(5, evses=[evse(minute=1)]))
    stored = cpo.data(LOCATION)
    assert (stored["last_updated"], stored["evses"][1]["last_updated"]) == (at(5), samples.evse()["last_updated"])
    cpo.put(LOCATION, location(7, evses=[evse(minute=1), evse("LOC1-E2", 7)]))
    assert cpo.data("locations/*/LOC1/LOC1-E2")["status"] == "AVAILABLE"


# --- kept exactly ---------------------------------------------------------------------------------------------------

EXACT = b"""{"id": "LOC1", "vendor" : {"b":[1e2 , 2.50],  "a": null}, "type":"VENDOR_TYPE","address":"Stra\xc3\x9fe 1",
 "city":"Gent","postal_code":"9000","country":"BEL","coordinates":{"latitude":"51.047599","longitude":"3.729944"},
 "evses":[{"uid":"E*1","status":"VENDOR_STATUS","vendor_price": 0.10000000000000000000001,
  "connectors":[ {"id":"1","standard":"VENDOR_PLUG","format":"SOCKET","power_type":"AC_3_PHASE","voltage":230,
   "amperage":32, "vendor":true,"last_updated":"2024-05-01T00:00:00Z"} ],"last_updated":"2024-05-01T00:00:00Z"}],
 "energy_mix":{"is_green_energy":false,"energy_sources":[{"source":"WIND","percentage": 60.500}]},
 "last_updated":"2024-05-01T00:00:00Z"}"""
KEPT = (
    b'{"b":[1e2 , 2.50],  "a": null}',
    b'"VENDOR_TYPE"',
    b'"Stra\xc3\x9fe 1"',
    b"0.10000000000000000000001",
    b'"VENDOR_STATUS"',
    b'{"id":"1","standard":"VENDOR_PLUG","format":"SOCKET","power_type":"AC_3_PHASE","voltage":230,\n'
    b'   "amperage":32, "vendor":true,"last_updated":"2024-05-01T00:00:00Z"}',
    b'"percentage": 60.500',
)


def test_vendor_fields_vendor_values_and_decimals_are_returned_as_received() -> None:
    cpo = peer()
    assert cpo.push("PUT", LOCATION, EXACT).both == (201, 1000)
    (event,) = cpo.events
    assert isinstance(event, LocationReceived)
    assert event.location.type == "VENDOR_TYPE"
    assert not event.location.type.known
    for kept in KEPT:
        assert kept in cpo.push("GET", LOCATION).raw
    cpo.clock.advance(minutes=1)
    assert cpo.push("PATCH", LOCATION, {"city": "Brugge"}).code == 1000
    assert cpo.push("PATCH", "locations/*/LOC1/E*1", {"floor_level": "1"}).code == 1000
    whole = cpo.push("GET", LOCATION).raw
    for kept in KEPT:
        assert kept in whole
    assert KEPT[5] in cpo.push("GET", "locations/*/LOC1/E*1").raw
    assert cpo.push("GET", "locations/*/LOC1/E*1/1").raw == KEPT[5]


@pytest.mark.parametrize("uid", ["A/B", "BE*BEC*E041503001", "with space", "100%", "ü", "a?b#c"])
def test_ids_may_hold_any_character(cpo: Peer, uid: str) -> None:
    segment = "".join(f"%{byte:02X}" for byte in uid.encode())
    assert cpo.push("PUT", f"locations/*/LOC1/{segment}", evse(uid, 1)).both == (201, 1000)
    assert cpo.data(f"locations/*/LOC1/{segment}")["uid"] == uid
    assert uids(cpo.data(LOCATION))[-1] == uid
    assert cpo.push("PUT", f"locations/*/{segment}", location(id=uid)).both == (201, 1000)
    assert cpo.data(f"locations/*/{segment}")["id"] == uid


def test_an_evse_with_an_empty_uid_is_answered_like_any_other(cpo: Peer) -> None:
    answer = cpo.push("PUT", LOCATION, location(1, evses=[evse("")]))
    assert answer.both == (200, 1000)
    assert uids(cpo.data(LOCATION)) == ["LOC1-E1", "LOC1-E2", ""]


def test_an_evse_that_is_listed_twice_is_stored_once_and_changes_once(cpo: Peer) -> None:
    twice = location(1, evses=[evse(minute=1), evse("LOC1-E2", 1), evse(minute=1)])
    cpo.put(LOCATION, twice)
    cpo.taken()
    cpo.put(LOCATION, twice | {"last_updated": at(2)})
    assert uids(cpo.data(LOCATION)) == ["LOC1-E1", "LOC1-E2"]
    assert cpo.taken() == []
