"""PATCH of locations, EVSEs and connectors (transport_and_format.md PATCH; PARTNER-QUIRKS.md rows 4, 5, 6, 15)."""

from typing import Any

import pytest

from flows.support import Peer, at, peer, stamp, uids
from ocpi_emsp.testing.cpo import samples
from our_emsp import NOW

LOCATION = "locations/*/LOC1"
EVSE = "locations/*/LOC1/LOC1-E1"
CONNECTOR = "locations/*/LOC1/LOC1-E1/1"
ALL = [LOCATION, EVSE, CONNECTOR]
CHANGE: dict[str, dict[str, Any]] = {
    LOCATION: {"name": "Renamed"},
    EVSE: {"status": "OUTOFORDER"},
    CONNECTOR: {"amperage": 63},
}


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose LOC1, with two EVSEs, is known; nothing has happened since."""
    known = peer()
    known.put(LOCATION, samples.location())
    known.taken()
    return known


@pytest.mark.parametrize("path", ALL)
def test_a_patch_without_last_updated_shows_the_receipt_time(cpo: Peer, path: str) -> None:
    """The record of an EVSE has one, which is its connectors', too: they keep what the CPO said."""
    assert cpo.push("PATCH", path, CHANGE[path]).both == (200, 1000)
    around = [each for each in ALL[: ALL.index(path) + 1] if each != CONNECTOR]
    assert [cpo.data(each)["last_updated"] for each in around] == [stamp(NOW)] * len(around)
    below = ALL[ALL.index(path) + 1 :]
    assert stamp(NOW) not in [cpo.data(each)["last_updated"] for each in below]


@pytest.mark.parametrize("path", ALL)
def test_a_patch_with_last_updated_moves_everything_around_it(cpo: Peer, path: str) -> None:
    cpo.push("PATCH", path, CHANGE[path] | {"last_updated": at(5)})
    around = ALL[: ALL.index(path) + 1]
    assert [cpo.data(each)["last_updated"] for each in around] == [at(5)] * len(around)


def test_a_connector_is_compared_with_itself_and_not_with_its_evse(cpo: Peer) -> None:
    cpo.push("PATCH", EVSE, {"status": "BLOCKED", "last_updated": at(9)})
    for method, document in [("PATCH", {"amperage": 63}), ("PUT", samples.connector() | {"amperage": 64})]:
        answer = cpo.push(method, CONNECTOR, document | {"last_updated": at(5)})
        assert answer.message == "Success"
        assert cpo.data(CONNECTOR)["amperage"] == document["amperage"]
        assert (cpo.data(CONNECTOR)["last_updated"], cpo.data(EVSE)["last_updated"]) == (at(5), at(9))
        assert cpo.data(LOCATION)["last_updated"] == at(9)


# --- null -----------------------------------------------------------------------------------------------------------


def test_objects_merge_and_their_members_are_cleared_one_by_one(cpo: Peer) -> None:
    cpo.push("PATCH", LOCATION, {"operator": {"website": "https://cpo.example.com"}})
    assert cpo.data(LOCATION)["operator"] == {"name": "The New Motion", "website": "https://cpo.example.com"}
    cpo.push("PATCH", LOCATION, {"operator": {"website": None}})
    assert cpo.data(LOCATION)["operator"] == {"name": "The New Motion"}


# --- lists ----------------------------------------------------------------------------------------------------------


def test_evses_merge_by_uid_and_connectors_by_id(cpo: Peer) -> None:
    connectors = [{"id": "1", "amperage": 63}, samples.connector("2")]
    changes = [{"uid": "LOC1-E2", "status": "BLOCKED", "connectors": connectors}, samples.evse("NEW")]
    before = cpo.data(LOCATION)
    assert cpo.push("PATCH", LOCATION, {"evses": changes}).both == (200, 1000)
    first, second, new = cpo.data(LOCATION)["evses"]
    assert first == before["evses"][0]
    assert second["status"] == "BLOCKED"
    assert second["evse_id"] == before["evses"][1]["evse_id"]
    assert [(each["id"], each["amperage"]) for each in second["connectors"]] == [("1", 63), ("2", 32)]
    assert new["uid"] == "NEW"
    assert cpo.taken() == ["LocationReceived"]


def test_an_evse_inside_a_patch_is_stamped_where_it_has_no_time_of_its_own(cpo: Peer) -> None:
    own = {"uid": "LOC1-E1", "status": "BLOCKED", "last_updated": at(5)}
    cpo.push("PATCH", LOCATION, {"evses": [own, {"uid": "LOC1-E2", "connectors": [{"id": "1", "amperage": 1}]}]})
    first, second = cpo.data(LOCATION)["evses"]
    assert first["last_updated"] == at(5)
    said = samples.connector()["last_updated"]
    assert (second["last_updated"], second["connectors"][0]["last_updated"]) == (stamp(NOW), said)
    assert cpo.data(LOCATION)["last_updated"] == stamp(NOW)


def test_an_older_evse_inside_a_patch_is_kept(cpo: Peer) -> None:
    cpo.push("PATCH", EVSE, {"status": "BLOCKED", "last_updated": at(9)})
    stale = {"uid": "LOC1-E1", "status": "CHARGING", "last_updated": at(3)}
    cpo.push("PATCH", LOCATION, {"name": "Renamed", "evses": [stale]})
    assert cpo.data(LOCATION)["name"] == "Renamed"
    assert cpo.data(EVSE)["status"] == "BLOCKED"


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (LOCATION, {"evses": [{"status": "BLOCKED"}]}),
        (LOCATION, {"evses": [{"uid": None}]}),
        (EVSE, {"connectors": [{"amperage": 1}]}),
        (EVSE, {"connectors": ["1"]}),
    ],
)
def test_an_item_that_cannot_be_told_apart_is_refused(cpo: Peer, path: str, changes: dict[str, Any]) -> None:
    before = cpo.data(LOCATION)
    assert cpo.push("PATCH", path, changes).both == (200, 2001)
    assert cpo.data(LOCATION) == before


def test_other_lists_are_replaced(cpo: Peer) -> None:
    cpo.push("PATCH", EVSE, {"capabilities": ["RESERVABLE"], "parking_restrictions": []})
    assert cpo.data(EVSE)["capabilities"] == ["RESERVABLE"]
    assert cpo.data(EVSE)["parking_restrictions"] == []


def test_a_patch_does_not_remove_evses(cpo: Peer) -> None:
    cpo.push("PATCH", LOCATION, {"evses": []})
    assert uids(cpo.data(LOCATION)) == ["LOC1-E1", "LOC1-E2"]
    assert cpo.taken() == []
    assert "null removes no EVSE" in cpo.push("PATCH", LOCATION, {"evses": None}).message
    assert [each["status"] for each in cpo.data(LOCATION)["evses"]] == ["AVAILABLE", "CHARGING"]
    assert cpo.taken() == []


# --- what else a patch may be ---------------------------------------------------------------------------------------


def test_an_unknown_field_in_a_patch_is_kept(cpo: Peer) -> None:
    cpo.push("PATCH", EVSE, {"floor_level": "1", "vendor": {"price": 1}})
    cpo.push("PATCH", EVSE, b'{"vendor": {"price": 0.1000000000000000000001}}')
    assert b'"vendor":{"price":0.1000000000000000000001}' in cpo.push("GET", LOCATION).raw


def test_a_patch_that_changes_nothing_is_no_event(cpo: Peer) -> None:
    cpo.push("PATCH", EVSE, {"status": "AVAILABLE"})
    assert cpo.push("PATCH", LOCATION, {}).code == 2001
    assert cpo.taken() == []
    assert cpo.data(EVSE)["last_updated"] == stamp(NOW)


def test_the_status_patches_of_the_specification_leave_the_other_evse_untouched(cpo: Peer) -> None:
    before = cpo.data(LOCATION)
    cpo.push("PATCH", "locations/*/LOC1/LOC1-E2", {"status": "REMOVED"})
    after = cpo.data(LOCATION)
    assert after["evses"][0] == before["evses"][0]
    assert after["evses"][1]["status"] == "REMOVED"
    assert {name: after[name] for name in before if name not in ("evses", "last_updated")} == {
        name: before[name] for name in before if name not in ("evses", "last_updated")
    }
