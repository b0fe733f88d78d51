"""A pulled location that is taken apart is stored as a push of it is."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.support import MODES, Mode
from ocpi_emsp.codec.strict import decode_struct
from ocpi_emsp.flows.locations import apart, inbound
from ocpi_emsp.models import Evse, Location
from sync.support import OLD, Synced, location, moved, on_sqlite, synced

EVSES = tuple[Evse, ...]


def variants() -> list[dict[str, Any]]:
    """Locations that the strict lane accepts, refuses, or accepts in part."""
    listed = [location(number) for number in range(12)]
    evses = listed[0]["evses"]
    listed[1]["evses"] = []
    listed[2]["evses"] = None
    listed[3]["evses"] = evses[0]
    del listed[4]["evses"]
    listed[5]["evses"] = [evses[0], evses[0]]
    listed[6]["evses"] = [evses[0] | {"status": "Available"}, evses[1]]
    del listed[7]["coordinates"]
    listed[8]["name"] = "n" * 300
    listed[9]["of_ours"] = {"x": [1.50, "é"]}
    listed[10]["evses"] = [evses[0] | {"connectors": evses[0]["connectors"] * 2}]
    listed[11]["last_updated"] = "2024-01-01T02:00:00+02:00"
    return listed


def said(pair: Synced) -> Any:
    """What a first sync, the same again, and one of changes report, and what is stored then."""
    pair.cpo.lists["locations"] = variants()
    reports = [pair.pull(), pair.pull(since=OLD)]
    pair.clock.advance(days=1)
    for number in (0, 5, 9):
        pair.cpo.lists["locations"][number]["evses"][0]["status"] = "BLOCKED"
    pair.cpo.lists["locations"][1] = moved(location(1), pair.clock.now(), name="another")
    reports.append(pair.pull(since=OLD))
    names = ("created", "updated", "unchanged", "stale", "rejected", "notes", "rejections")
    of = [[getattr(report, name) for name in names] for report in reports]
    return (
        of,
        [*map(as_read, pair.emsp.locations.list()), *map(as_read, pair.emsp.evses.list())],
        [
            (each.document, each.received_at, each.last_updated)
            for number in range(12)
            if (each := pair.emsp.locations.document("NL-TNM", f"LOC{number}")) is not None
        ],
    )


def as_read(view: object) -> Any:
    return msgspec.to_builtins(view)


async def otherwise(*_: object) -> None:
    """What is not stored whole is read otherwise."""


def test_it_is_stored_and_reported_as_what_is_read_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    with synced() as pair:
        found = said(pair)
    monkeypatch.setattr(inbound, "store_whole", otherwise)
    with synced() as apart_at_once:
        assert said(apart_at_once) == found
    monkeypatch.setattr(inbound, "apart_of", lambda _: None)
    with synced() as expected:
        assert said(expected) == found
    assert found[0][0][:1] == [11]


@pytest.mark.parametrize("mode", MODES)
def test_columns_for_queries_are_filled_from_structs(sqlite_with_schema: Path, mode: Mode) -> None:
    with synced() as expected, on_sqlite(sqlite_with_schema) as pair:
        pair.mode = mode
        assert said(pair) == said(expected)
    with closing(sqlite3.connect(sqlite_with_schema)) as connection:
        columns = "select country, city, latitude, longitude from ocpi_locations where id = 'LOC0'"
        place = connection.execute(columns).fetchone()
        statuses = connection.execute("select status, evse_id from ocpi_evses where location_id = 'LOC9'").fetchall()
    document = location(0)
    degrees = [float(each) for each in document["coordinates"].values()]
    assert list(place) == [document["country"], document["city"], *degrees]
    ids = [each["evse_id"] for each in location(9)["evses"]]
    assert sorted(statuses) == sorted([("BLOCKED", ids[0]), ("AVAILABLE", ids[1])])


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is read into structs."""
    found = list[Any]()

    def counted(kind: Any, document: bytes) -> Any:
        found.append(kind)
        return decode_struct(kind, document)

    monkeypatch.setattr(apart, "decode_struct", counted)
    return found


def test_a_new_location_is_read_once(decoded: list[Any]) -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(number) for number in range(25)]
        assert pair.pull().created == 25
    assert decoded == [Location] * 25


def test_nothing_is_read_of_what_did_not_change(sqlite_with_schema: Path, decoded: list[Any]) -> None:
    with on_sqlite(sqlite_with_schema) as pair:
        pair.cpo.lists["locations"] = [location(number) for number in range(25)]
        pair.pull()
        decoded.clear()
        assert pair.pull(since=OLD).unchanged == 25
    assert decoded == []


def test_no_evse_is_read_of_a_location_that_changed_before(sqlite_with_schema: Path, decoded: list[Any]) -> None:
    with on_sqlite(sqlite_with_schema) as pair:
        pair.cpo.lists["locations"] = [location(number) for number in range(25)]
        pair.pull()
        pair.clock.advance(days=1)
        pair.cpo.lists["locations"] = [
            moved(location(number), pair.clock.now(), name="another") for number in range(25)
        ]
        pair.clock.advance(hours=1)
        assert pair.pull(since=OLD).updated == 25
        decoded.clear()
        assert pair.pull(since=OLD).unchanged == 25
    assert decoded == [Location] * 25
