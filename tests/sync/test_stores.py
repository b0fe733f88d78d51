"""A sync is the same on every store, in both modes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from client.support import MODES, Mode
from ocpi_emsp.ports import Kind
from ocpi_emsp.storage import SqlStore
from processes import Killed
from sync.support import NOW, OLD, Synced, cdr, location, moved, session, synced, tariff
from sync.test_checkpoint import honest, killed_at


@contextmanager
def opened(url: str) -> Iterator[SqlStore]:
    store = SqlStore(url)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def store(any_store: Any) -> Any:
    return any_store


def content(pair: Synced) -> dict[str, list[Any]]:
    kinds = (Kind.LOCATION, Kind.EVSE, Kind.TARIFF, Kind.SESSION, Kind.CDR)
    return {
        kind: [
            (each.key, each.document, each.last_updated, each.revision, each.missed, each.missing_since)
            for each in pair.records(kind)
        ]
        for kind in kinds
    }


def play(pair: Synced) -> list[tuple[Any, ...]]:
    """A year of syncs; what each reported."""
    pair.cpo.lists = {
        "locations": [location(n) for n in range(24)],
        "tariffs": [tariff(n) for n in range(12)],
        "sessions": [session(n) for n in range(12)],
        "cdrs": [cdr(n) for n in range(12)],
    }
    reports = [pair.sync()]
    pair.clock.advance(hours=4)
    pair.cpo.lists["locations"][3] = moved(location(3), NOW + timedelta(hours=1), name="another")
    pair.cpo.lists["sessions"].append({"id": "BAD", "last_updated": "2024-06-01T13:00:00Z"})
    reports.append(pair.sync())
    pair.clock.advance(days=1)
    del pair.cpo.lists["locations"][20:23]
    for _ in range(3):
        pair.clock.advance(days=7)
        reports.append(pair.sync(full=True))
    reports.append(pair.sync(since=OLD))
    names = ("created", "updated", "unchanged", "stale", "rejected", "missing", "removed", "pages")
    return [(each.module, each.ended, *(getattr(each, name) for name in names)) for r in reports for each in r.modules]


@pytest.mark.parametrize("mode", MODES)
def test_every_store_ends_alike(store: Any, mode: Mode) -> None:
    with synced() as expected, synced(mode, store) as pair:
        assert play(pair) == play(expected)
        assert content(pair) == content(expected)


def test_a_sync_that_is_killed_at_every_request_ends_alike(store: Any) -> None:
    with synced() as expected, synced(store=store) as pair:
        for each in (expected, pair):
            each.cpo.lists["locations"] = [location(n) for n in range(24)]
            each.cpo.lists["cdrs"] = [cdr(n) for n in range(12)]
        expected.sync(full=True)
        for number in (1, 2, 1, 2, 2, 3):
            pair.cpo.answer = killed_at(number)
            with pytest.raises(Killed):
                pair.sync(full=True)
        pair.cpo.answer = honest
        assert pair.sync(full=True).ok
        of_interest = [[(key, document) for key, document, *_ in records] for records in content(pair).values()]
        assert of_interest == [[(key, document) for key, document, *_ in each] for each in content(expected).values()]
