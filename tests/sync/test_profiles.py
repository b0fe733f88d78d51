"""What a party's profile does to a sync: page size, slash, time zone, and several parties behind one connection."""

from pathlib import Path
from typing import Any

import pytest

from client.support import MODES, Mode
from ocpi_emsp import PartyId
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.events import Event, EvseRemoved
from ocpi_emsp.ports import Key, Kind, Record, Store
from ocpi_emsp.resources import SyncEnded
from our_emsp import register
from scripted_cpo import page
from sync.support import NOW, OLD, OWNER, Synced, cdr, location, moved, on_sqlite, session, synced, tariff

ABC, XYZ = ("DE", "ABC"), ("FR", "XYZ")
HUB = OWNER


def behind(pair: Synced, *parties: str) -> None:
    pair.emsp.partner(PartyId(*OWNER)).set_profile(allowed_parties=parties or ("DE-ABC", "FR-XYZ"))


def push(pair: Synced, owner: tuple[str, str], module: str, document: Any) -> None:
    status = pair.push("PUT", f"{module}/{'/'.join(owner)}/{document['id']}", document)
    assert status in (200, 201)


def record(pair: Synced, owner: tuple[str, str], kind: str, object_id: str, parent: str = "") -> Record | None:
    async def read(store: Store) -> Record | None:
        async with store.transaction(read_only=True) as tx:
            return await tx.get(Key(kind, *owner, object_id, parent))

    return run(read(lift_store(pair.store, in_place)))


def owners(pair: Synced, kind: str, object_id: str) -> list[tuple[str, str]]:
    """Who has an object with this id."""
    return [each for each in (HUB, ABC, XYZ) if record(pair, each, kind, object_id) is not None]


# --- the list itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_sync_asks_for_pages_of_the_page_limit_below_a_slash(mode: Mode) -> None:
    with synced(mode) as pair:
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(5)]
        pair.emsp.partner(PartyId(*OWNER)).set_profile(page_limit=2, trailing_slash=True)
        pair.cpo.answer = lambda request: slashed(pair, request)
        assert pair.pull("tariffs").created == 5
        assert [each.url.path for each in pair.cpo.asked] == ["/cpo/2.1.1/tariffs/"] * 3
        assert [each.url.params["limit"] for each in pair.cpo.asked] == ["2"] * 3


def slashed(pair: Synced, request: Any) -> Any:
    """A CPO that knows its lists with a slash alone."""
    assert request.url.path.endswith("/")
    listed = pair.cpo.lists["tariffs"]
    offset, limit = int(request.url.params.get("offset", 0)), int(request.url.params["limit"])
    more = offset + limit < len(listed)
    following = str(request.url.copy_set_param("offset", offset + limit)) if more else None
    return page(listed[offset : offset + limit], following, total=len(listed))


def test_a_larger_page_limit_counts_as_well() -> None:
    with synced() as pair:
        pair.emsp.partner(PartyId(*OWNER)).set_profile(page_limit=1000)
        pair.pull("tariffs")
        assert pair.cpo.queries("tariffs")[0]["limit"] == "1000"


def test_a_location_that_is_wished_for_is_asked_for_with_a_slash() -> None:
    with synced() as pair:
        pair.emsp.partner(PartyId(*OWNER)).set_profile(trailing_slash=True)
        assert pair.push("PATCH", "locations/*/LOC1", {"name": "new"}) == 404
        pair.pull()
        assert pair.cpo.asked[0].url.path == "/cpo/2.1.1/locations/LOC1/"


@pytest.mark.parametrize("mode", MODES)
def test_pulled_timestamps_without_a_zone_are_in_the_partys(mode: Mode) -> None:
    with synced(mode) as pair:
        local = session(1) | {"start_datetime": "2024-05-01T12:00:00", "last_updated": "2024-05-01T12:00:00"}
        pair.cpo.lists["sessions"] = [local, session(2), session(3) | {"kwh": "nonsense"}]
        pair.emsp.partner(PartyId(*OWNER)).set_profile(time_zone="Europe/Amsterdam")
        report = pair.pull("sessions")
        assert (report.created, report.rejected) == (2, 1)
        assert report.notes == ("timestamps without a zone designator were read in Europe/Amsterdam",)
        kept = pair.record(Kind.SESSION, "SES1")
        assert kept is not None
        assert kept.last_updated.isoformat() == "2024-05-01T10:00:00+00:00"
        assert b'"start_datetime":"2024-05-01T12:00:00+02:00"' in kept.document
        again = pair.pull("sessions", since=OLD)
        assert (again.created, again.updated, again.unchanged) == (0, 0, 2)


def test_a_rejection_of_a_pull_has_what_was_received() -> None:
    with synced() as pair:
        bad = b'{"id": "SES1", "last_updated": "2024-05-01T12:00:00"}'
        pair.cpo.answer = lambda _: page([bad])
        pair.emsp.partner(PartyId(*OWNER)).set_profile(time_zone="Europe/Amsterdam")
        assert pair.pull("sessions").rejected == 1
        (rejection,) = pair.emsp.rejections.list()
        assert rejection.body == bad


# --- hubs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["locations", "sessions", "tariffs"])
def test_a_pulled_object_is_the_one_partys_that_has_its_id(module: str) -> None:
    make: Any = {"locations": location, "sessions": session, "tariffs": tariff}[module]
    kind = {"locations": Kind.LOCATION, "sessions": Kind.SESSION, "tariffs": Kind.TARIFF}[module]
    heard: list[Event] = []
    with synced(listen=heard) as pair:
        behind(pair)
        push(pair, ABC, module, make(1))
        for owner in (ABC, XYZ):
            push(pair, owner, module, make(2))
        heard.clear()
        listed = [moved(make(n), NOW, vendor=n) for n in (1, 2, 3)]
        pair.cpo.lists[module] = listed
        pair.clock.advance(seconds=1)
        report = pair.pull(module)
        assert (report.created, report.updated, report.rejected) == (2, 1, 0)
        ids = [each["id"] for each in listed]
        assert [owners(pair, kind, each) for each in ids] == [[ABC], [HUB, ABC, XYZ], [HUB]]
        assert [(event.country_code, event.party_id) for event in heard] == [ABC, HUB, HUB]
        again = pair.pull(module)
        assert (again.created, again.updated, again.unchanged) == (0, 0, 3)


def test_a_pulled_session_and_cdr_go_to_the_one_that_has_their_location() -> None:
    with synced() as pair:
        behind(pair)
        at_abc = session(1)
        push(pair, ABC, "locations", at_abc["location"])
        elsewhere = {**session(2), "location": {**at_abc["location"], "id": "LOC77"}}
        pair.cpo.lists["sessions"] = [at_abc, elsewhere]
        pair.cpo.lists["cdrs"] = [cdr(1)]
        assert pair.sync(modules=["sessions", "cdrs"]).created == 3
        assert owners(pair, Kind.SESSION, "SES1") == [ABC]
        assert owners(pair, Kind.SESSION, "SES2") == [HUB]
        assert owners(pair, Kind.CDR, "CDR1") == [ABC]


def test_a_session_stays_with_the_connection_that_has_it() -> None:
    with synced() as pair:
        behind(pair)
        pair.cpo.lists["sessions"] = [session(1)]
        pair.pull("sessions")
        push(pair, ABC, "locations", session(1)["location"])
        pair.cpo.lists["sessions"] = [moved(session(1), NOW, kwh=99)]
        pair.clock.advance(seconds=1)
        assert pair.pull("sessions").updated == 1
        assert owners(pair, Kind.SESSION, "SES1") == [HUB]


@pytest.mark.parametrize("posted_first", [True, False])
def test_a_pushed_and_a_pulled_cdr_meet(posted_first: bool) -> None:
    with synced() as pair:
        behind(pair)
        pair.cpo.lists["cdrs"] = [cdr(1)]
        if posted_first:
            push(pair, ABC, "locations", cdr(1)["location"])
            assert pair.push("POST", "cdrs", cdr(1)) == 201
            assert pair.pull("cdrs").unchanged == 1
            assert owners(pair, Kind.CDR, "CDR1") == [ABC]
        else:
            assert pair.pull("cdrs").created == 1
            push(pair, ABC, "locations", cdr(1)["location"])
            assert pair.push("POST", "cdrs", cdr(1)) == 201
            assert owners(pair, Kind.CDR, "CDR1") == [HUB]


def test_an_object_that_names_its_owner_is_believed_where_that_one_is_allowed() -> None:
    with synced() as pair:
        behind(pair)
        named = [tariff(n) | {"country_code": c, "party_id": p} for n, (c, p) in enumerate([ABC, HUB, ("BE", "QQQ")])]
        pair.cpo.lists["tariffs"] = named
        report = pair.pull("tariffs")
        assert (report.created, report.rejected) == (2, 1)
        assert [owners(pair, Kind.TARIFF, f"TAR{n}") for n in range(3)] == [[ABC], [HUB], []]
        assert "it belongs to BE-QQQ, but was listed by NL-TNM" in str(report.rejections[0].findings)


def test_a_hub_never_writes_an_object_of_a_party_that_is_registered_itself() -> None:
    with synced() as pair:
        behind(pair)
        push(pair, ABC, "tariffs", tariff(1))
        before = record(pair, ABC, Kind.TARIFF, "TAR1")
        register(pair.emsp, *ABC)
        pair.cpo.lists["tariffs"] = [
            moved(tariff(1), NOW, vendor=1) | {"country_code": "DE", "party_id": "ABC"},
            moved(tariff(2), NOW) | {"country_code": "de", "party_id": "abc"},
            moved(tariff(3), NOW),
        ]
        pair.clock.advance(seconds=1)
        report = pair.pull("tariffs")
        assert (report.created, report.rejected) == (1, 2)
        assert record(pair, ABC, Kind.TARIFF, "TAR1") == before
        assert [owners(pair, Kind.TARIFF, f"TAR{n}") for n in (1, 2, 3)] == [[ABC], [], [HUB]]


def test_what_is_wished_for_under_an_allowed_party_becomes_that_partys() -> None:
    with synced() as pair:
        behind(pair)
        pair.cpo.lists["locations"] = [location(1)]
        assert pair.push("PATCH", "locations/DE/ABC/LOC1", {"name": "new"}) == 404
        assert pair.pull().created == 1
        assert owners(pair, Kind.LOCATION, "LOC1") == [ABC]
        pair.pull()
        assert [each.url.path for each in pair.cpo.asked].count("/cpo/2.1.1/locations/LOC1") == 1


def test_what_a_hub_lists_no_more_is_missing_whosever_it_is() -> None:
    with synced() as pair:
        behind(pair)
        for owner, numbers in ((HUB, range(8)), (ABC, range(8, 16))):
            for number in numbers:
                push(pair, owner, "tariffs", tariff(number))
        push(pair, XYZ, "tariffs", tariff(99))
        register(pair.emsp, *XYZ)
        pair.clock.advance(days=1)
        pair.cpo.lists["tariffs"] = [tariff(n) for n in (*range(1, 8), *range(9, 16))]
        report = pair.pull("tariffs", full=True)
        assert (report.missing, report.unchanged, report.ended) == (2, 14, SyncEnded.DONE)
        missing = [(HUB, "TAR0"), (ABC, "TAR8"), (XYZ, "TAR99"), (ABC, "TAR9")]
        found = [record(pair, owner, Kind.TARIFF, object_id) for owner, object_id in missing]
        assert [each is not None and each.missing_since is not None for each in found] == [True, True, False, False]


def test_the_evses_of_an_allowed_partys_location_are_removed_as_its_own() -> None:
    heard: list[Event] = []
    with synced(listen=heard) as pair:
        behind(pair)
        for number in range(6):
            push(pair, ABC, "locations", location(number))
        pair.cpo.lists["locations"] = [location(n) for n in range(1, 6)]
        for _ in range(3):
            pair.clock.advance(days=7)
            pair.pull(full=True)
        removed = [(each.country_code, each.party_id) for each in heard if isinstance(each, EvseRemoved)]
        assert removed == [ABC, ABC]


def test_too_much_of_all_parties_together_is_a_broken_list() -> None:
    with synced() as pair:
        behind(pair)
        for number in range(10):
            push(pair, ABC if number % 2 else HUB, "tariffs", tariff(number))
        pair.clock.advance(days=1)
        pair.cpo.lists["tariffs"] = [tariff(0)]
        report = pair.pull("tariffs", full=True)
        assert (report.ended, report.missing) == (SyncEnded.FAILED, 0)
        assert "9 of 10 tariffs are no longer listed" in report.reason


def test_the_page_of_a_hub_on_a_database(tmp_path: Path) -> None:
    with on_sqlite(tmp_path / "emsp.db") as pair:
        pair.store.upgrade()
        behind(pair)
        push(pair, ABC, "locations", location(1))
        pair.cpo.lists["locations"] = [moved(location(n), NOW, vendor=n) for n in (1, 2)]
        pair.cpo.lists["sessions"] = [session(1, OLD, location=location(1))]
        pair.clock.advance(seconds=1)
        assert pair.sync(modules=["locations", "sessions"]).ok
        assert owners(pair, Kind.LOCATION, "LOC1") == [ABC]
        assert owners(pair, Kind.SESSION, "SES1") == [ABC]
        assert pair.ids(Kind.LOCATION) == ["LOC2"]
