"""No operation makes more round trips to its database than before; a busy machine does not change these counts.

``make bench-statements ARGS=--show`` prints the statements. Lower a number in the commit that saves the round trip.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from client.support import Mode
from ocpi_emsp.storage import SqlStore
from store.round_trips import OPERATIONS, Trips, count, recorded

MOST = {
    "PATCH EVSE": (6, 4, 2),
    "PUT location, 10 EVSEs, new": (5, 7, 3),
    "PUT location, 10 EVSEs, one changed": (6, 5, 2),
    "PUT session, new": (6, 8, 5),
    "POST CDR, new": (4, 4, 2),
    "authorize, with a location": (4, 2, 2),
    "GET tokens, a page of 100": (4, 2, 2),
    "sync of 200 locations, first": (22, 11, 11),
    "sync of 200 locations, again": (24, 9, 9),
    "PATCH EVSE, the first of a pulled location": (8, 7, 6),
    "sync of 200 tariffs, first": (25, 14, 14),
    "sync of 200 sessions, first": (27, 16, 16),
    "sync of 200 cdrs, first": (23, 11, 11),
}
"""On SQLite, on PostgreSQL of a sync host, and of an async one; on PostgreSQL a sync may have one more than usual, in
which the driver prepares a statement."""


@pytest.mark.parametrize(("database", "mode"), [("sqlite", "sync"), ("postgresql", "sync"), ("postgresql", "async")])
def test_round_trips(database: str, mode: Mode, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if database == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}"
    else:
        url = request.getfixturevalue("postgres_with_schema")

    async def counted() -> dict[str, Trips]:
        store = SqlStore(url)
        try:
            return await count(store, mode, recorder)
        finally:
            await store.aclose()

    with recorded(tmp_path) as recorder:
        found = anyio.run(counted)
    place = (("sqlite", "sync"), ("postgresql", "sync"), ("postgresql", "async")).index((database, mode))
    over = {name: trips for name, trips in found.items() if len(trips) > MOST[name][place]}
    assert over == {}
    assert tuple(found) == OPERATIONS
    assert all(found.values())  # a driver that is not listened to would say nothing
