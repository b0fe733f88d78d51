"""``received_at``: the last change, or the last full sync that listed the object (docs/how-to/query.md)."""

from collections.abc import Iterator
from typing import Any

import pytest

from ocpi_emsp.wire import Request
from sync.support import OLD, Synced, location, synced


@pytest.fixture
def store(any_store: Any) -> Any:
    return any_store


@pytest.fixture
def pair(store: Any) -> Iterator[Synced]:
    """A CPO with one location of two EVSEs, which was pulled."""
    with synced(store=store) as pair:
        pair.cpo.lists["locations"] = [location(1)]
        assert pair.pull(since=OLD).created == 1
        yield pair


def received(pair: Synced) -> list[Any]:
    """When the location, and its first and its second EVSE were received."""
    emsp, names = pair.emsp, ("LOC1-E1", "LOC1-E2")
    found = [emsp.locations.document("NL-TNM", "LOC1")]
    found += [emsp.evses.document("NL-TNM", "LOC1", name) for name in names]
    return [each and each.received_at for each in found]


def test_an_evse_of_a_location_that_is_one_record_has_the_time_of_the_location(pair: Synced) -> None:
    first = pair.clock.now()
    pair.clock.advance(days=1)
    assert pair.pull(since=OLD).unchanged == 1
    assert received(pair) == [first] * 3, "no full sync"
    assert pair.pull(full=True).unchanged == 1
    assert received(pair) == [pair.clock.now()] * 3


def test_an_evse_with_a_record_of_its_own_has_the_time_of_its_last_change(pair: Synced) -> None:
    first = pair.clock.now()
    pair.clock.advance(days=1)
    changed = pair.clock.now()
    headers = {"authorization": f"Token {pair.token}"}
    body = b'{"status": "BLOCKED", "last_updated": "2024-06-01T12:30:00Z"}'
    answer = pair.emsp.handle(Request("PATCH", "/2.1.1/locations/NL/TNM/LOC1/LOC1-E1", headers=headers, body=body))
    assert answer.status == 200
    assert received(pair) == [changed, changed, first], "a location is as new as the newest of its EVSEs"
    pair.clock.advance(days=1)
    pair.pull(full=True)
    assert received(pair) == [pair.clock.now(), changed, first]
