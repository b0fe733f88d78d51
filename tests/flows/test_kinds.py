"""What is the same of all that a CPO puts and patches: locations, EVSEs, connectors, sessions and tariffs.

mod_locations.md, mod_sessions.md and mod_tariffs.md, each 2.2; PARTNER-QUIRKS.md rows 2, 4 to 6, 15 and 18. What is
particular to one of them is in a module of its own.
"""

from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen

from flows.support import Peer, at, peer, stamp
from ocpi_emsp import decode
from ocpi_emsp.events import Event, EvseReceived, LocationReceived, ResyncRequested, SessionReceived, TariffReceived
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW

LOCATION, SESSION, TARIFF = "locations/*/LOC1", "sessions/*/SES1", "tariffs/*/TAR1"
EVSE = f"{LOCATION}/LOC1-E1"
CONNECTOR = f"{EVSE}/1"


@frozen(kw_only=True)
class Object:
    """An object that the eMSP knows, and two changes of it."""

    path: str
    document: Document
    change: Document
    again: Document
    event: type[Event]
    model: str
    """The event's name for the object."""
    told: str
    """The path of the object that the event has."""
    key: str = "id"

    @property
    def root(self) -> str:
        """The path of the whole that it is a part of, or of itself."""
        return "/".join(self.path.split("/")[:3])

    def at(self, minute: int, **changes: Any) -> Document:
        """The whole object as of a minute."""
        return self.document | {"last_updated": at(minute)} | changes

    def sent(self, method: str, minute: int, change: Document) -> Document:
        """The change of a minute, as a PUT or a PATCH sends it."""
        return self.at(minute, **change) if method == "PUT" else change | {"last_updated": at(minute)}


OBJECTS = {
    "location": Object(
        path=LOCATION,
        document=samples.location(),
        change={"name": "Renamed"},
        again={"name": "Again"},
        event=LocationReceived,
        model="location",
        told=LOCATION,
    ),
    "evse": Object(
        path=EVSE,
        document=samples.evse("LOC1-E1"),
        change={"status": "OUTOFORDER"},
        again={"status": "BLOCKED"},
        event=EvseReceived,
        model="evse",
        told=EVSE,
        key="uid",
    ),
    "connector": Object(
        path=CONNECTOR,
        document=samples.connector("1"),
        change={"amperage": 63},
        again={"amperage": 1},
        event=EvseReceived,
        model="evse",
        told=EVSE,
    ),
    "session": Object(
        path=SESSION,
        document=samples.session(status="ACTIVE"),
        change={"kwh": Decimal("13.10")},
        again={"meter_id": "M2"},
        event=SessionReceived,
        model="session",
        told=SESSION,
    ),
    "tariff": Object(
        path=TARIFF,
        document=samples.tariff(),
        change={"currency": "DKK"},
        again={"currency": "SEK"},
        event=TariffReceived,
        model="tariff",
        told=TARIFF,
    ),
}
EACH = pytest.mark.parametrize("name", OBJECTS)


@pytest.fixture
def cpo() -> Peer:
    """A CPO whose LOC1 with two EVSEs, ACTIVE SES1 and TAR1 are known; nothing has happened since."""
    known = peer()
    for name in ("location", "session", "tariff"):
        known.put(OBJECTS[name].path, OBJECTS[name].at(0))
    known.taken()
    return known


def stored(cpo: Peer) -> list[Any]:
    """All that is known."""
    return [cpo.data(path) for path in (LOCATION, SESSION, TARIFF)]


def assert_told(cpo: Peer, event: Event, one: Object, *, created: bool) -> None:
    """The event is of the object as it is stored now."""
    assert isinstance(event, one.event)
    view = getattr(event, one.model)
    assert decode(type(view), cpo.push("GET", one.told).raw) == view
    assert (event.country_code, event.party_id, event.at) == ("NL", "TNM", cpo.clock.time)
    assert getattr(event, "created", None) is created


# --- created and updated --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "unknown"), [("location", 2003), ("session", 2000), ("tariff", 2000)])
def test_a_new_one_is_created_and_a_known_one_updated(name: str, unknown: int) -> None:
    cpo, one = peer(), OBJECTS[name]
    assert cpo.push("GET", one.path).both == (404, unknown)
    assert cpo.push("PUT", one.path, one.at(0)).both == (201, 1000)
    assert cpo.data(one.path) == one.at(0)
    (created,) = cpo.events
    assert_told(cpo, created, one, created=True)
    cpo.taken()
    assert cpo.push("PUT", one.path, one.at(1, **one.change)).both == (200, 1000)
    assert cpo.data(one.path) == one.at(1, **one.change)
    (updated,) = cpo.events
    assert_told(cpo, updated, one, created=False)


@EACH
def test_a_patch_changes_what_it_names_and_nothing_else(cpo: Peer, name: str) -> None:
    one = OBJECTS[name]
    before = cpo.data(one.path)
    assert cpo.push("PATCH", one.path, one.change | {"last_updated": at(5)}).both == (200, 1000)
    assert cpo.data(one.path) == before | one.change | {"last_updated": at(5)}
    (event,) = cpo.events
    assert_told(cpo, event, one, created=False)


@EACH
def test_a_patch_without_last_updated_has_the_receipt_time(cpo: Peer, name: str) -> None:
    """A connector lies in its EVSE, which has one for both."""
    one = OBJECTS[name]
    before = cpo.data(one.path)
    assert cpo.push("PATCH", one.path, one.change).both == (200, 1000)
    updated = {} if name == "connector" else {"last_updated": stamp(NOW)}
    assert cpo.data(one.path) == before | one.change | updated
    (event,) = cpo.events
    assert_told(cpo, event, one, created=False)
    assert getattr(event, one.model).last_updated == NOW


@EACH
def test_what_is_bumped_is_stored_without_an_event(cpo: Peer, name: str) -> None:
    one = OBJECTS[name]
    cpo.put(one.path, cpo.data(one.path) | {"last_updated": at(7)})
    assert cpo.data(one.path)["last_updated"] == at(7)
    assert cpo.taken() == []


# --- order in time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("PUT", "PUT"), ("PUT", "PATCH"), ("PATCH", "PUT"), ("PATCH", "PATCH")])
@EACH
def test_what_is_older_is_kept_as_stored(cpo: Peer, name: str, first: str, second: str) -> None:
    one = OBJECTS[name]
    assert cpo.push(first, one.path, one.sent(first, 9, one.change)).message == "Success"
    before = stored(cpo)
    cpo.taken()
    answer = cpo.push(second, one.path, one.sent(second, 8, one.again))
    assert answer.both == (200, 1000)
    assert answer.message.startswith("Not stored")
    assert at(9) in answer.message
    assert stored(cpo) == before
    assert cpo.taken() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@EACH
def test_an_equal_last_updated_is_not_older(cpo: Peer, name: str, method: str) -> None:
    one = OBJECTS[name]
    cpo.put(one.path, one.at(5))
    assert cpo.push(method, one.path, one.sent(method, 5, one.change)).message == "Success"
    assert cpo.data(one.path) == one.at(5, **one.change)


@EACH
def test_the_receipt_time_never_moves_an_object_back(cpo: Peer, name: str) -> None:
    """A partner's clock may be ahead of ours."""
    one, ahead = OBJECTS[name], "2030-01-01T00:00:00Z"
    cpo.push("PATCH", one.path, one.change | {"last_updated": ahead})
    assert cpo.push("PATCH", one.path, one.again).message == "Success"
    assert cpo.data(one.path) == cpo.data(one.path) | one.again
    assert {cpo.data(path)["last_updated"] for path in (one.path, one.root)} == {ahead}


@pytest.mark.parametrize("spelled", ["2024-05-01T02:05:00+02:00", "2024-05-01T00:05:00", "2024-05-01T00:05:00.000Z"])
@EACH
def test_times_are_compared_as_moments_and_kept_as_received(cpo: Peer, name: str, spelled: str) -> None:
    """Row 2: no zone is UTC, an offset is converted."""
    one = OBJECTS[name]
    cpo.put(one.path, one.at(4))
    assert cpo.push("PUT", one.path, one.at(0, last_updated=spelled, vendor=1)).message == "Success"
    assert cpo.push("PUT", one.path, one.at(4)).message.startswith("Not stored")
    assert cpo.data(one.path)["vendor"] == 1
    assert cpo.data(one.root)["last_updated"] == (at(5) if one.root == LOCATION else spelled)
    assert cpo.push("PUT", one.path, one.at(6)).message == "Success"


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "code", "resynced"),
    [
        ("locations/*/NONE", 2003, "NONE"),
        ("locations/*/NONE/E", 2003, "NONE"),
        ("locations/*/LOC1/E", 2000, "LOC1"),
        ("sessions/*/SES9", 2000, "SES9"),
        ("tariffs/*/TAR9", 2000, "TAR9"),
    ],
)
def test_a_patch_of_what_is_not_known_wants_a_resync(cpo: Peer, path: str, code: int, resynced: str) -> None:
    assert cpo.push("PATCH", path, {"status": "CHARGING"}).both == (404, code)
    (event,) = cpo.events
    assert isinstance(event, ResyncRequested)
    assert (event.module, event.id) == (path.partition("/")[0], resynced)
    assert (event.country_code, event.party_id) == ("NL", "TNM")


@pytest.mark.parametrize(("method", "is_whole"), [("PUT", True), ("PATCH", True), ("PATCH", False)])
@EACH
def test_an_id_that_differs_from_the_url_is_refused(cpo: Peer, name: str, method: str, is_whole: bool) -> None:
    one, before = OBJECTS[name], stored(cpo)
    document = one.at(1, **one.change) if is_whole else one.change
    answer = cpo.push(method, one.path, document | {one.key: "OTHER"})
    assert (answer.both, answer.findings) == ((200, 2001), [(f"/{one.key}", "url.id")])
    assert stored(cpo) == before
    assert cpo.taken() == []
    own_id = {one.key: one.path.rpartition("/")[2]}
    assert cpo.push(method, one.path, document | own_id).both == (200, 1000)


@pytest.mark.parametrize(
    ("body", "both"),
    [
        (b"", (400, 2000)),
        (b"{", (400, 2000)),
        (b"[]", (200, 2001)),
        (b'"CHARGING"', (200, 2001)),
        (b"null", (200, 2001)),
    ],
)
@EACH
def test_a_patch_that_is_no_object_is_refused(cpo: Peer, name: str, body: bytes, both: tuple[int, int]) -> None:
    assert cpo.push("PATCH", OBJECTS[name].path, body).both == both


# --- null -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "member"),
    [
        (LOCATION, "name"),
        (LOCATION, "energy_mix"),
        (EVSE, "floor_level"),
        (CONNECTOR, "tariff_id"),
        (SESSION, "meter_id"),
        (TARIFF, "tariff_alt_text"),
    ],
)
def test_null_clears_and_what_is_absent_stays(cpo: Peer, path: str, member: str) -> None:
    before = cpo.data(path)
    assert member in before
    assert cpo.push("PATCH", path, {member: None, "last_updated": at(5)}).both == (200, 1000)
    del before[member]
    assert cpo.data(path) == before | {"last_updated": at(5)}


@pytest.mark.parametrize(
    ("path", "member"),
    [
        (LOCATION, "city"),
        (LOCATION, "coordinates"),
        (LOCATION, "last_updated"),
        (EVSE, "status"),
        (EVSE, "connectors"),
        (CONNECTOR, "standard"),
        (CONNECTOR, "id"),
        (SESSION, "kwh"),
        (TARIFF, "elements"),
    ],
)
def test_null_on_a_required_field_is_an_error_and_changes_nothing(cpo: Peer, path: str, member: str) -> None:
    before = stored(cpo)
    answer = cpo.push("PATCH", path, {member: None})
    assert (answer.both, answer.findings) == ((200, 2001), [(f"/{member}", "field.required")])
    assert stored(cpo) == before
    assert cpo.taken() == []
