"""No operation goes to its database more often than it did: counts, which a busy machine does not change.

``make bench-statements ARGS=--show`` prints what they consist of. Lower a number with what lowers it.
"""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from client.support import Mode
from ocpi_emsp.storage import SqlStore
from store.round_trips import OPERATIONS, Trips, count, recorded

MOST = {
    "PATCH EVSE": (6, 4),
    "PUT location, 10 EVSEs, new": (5, 7),
    "PUT location, 10 EVSEs, one changed": (6, 5),
    "PUT session, new": (6, 8),
    "POST CDR, new": (4, 4),
    "authorize, with a location": (4, 2),
    "GET tokens, a page of 100": (4, 2),
    "sync of 200 locations, first": (22, 11),
    "sync of 200 locations, again": (24, 9),
    "PATCH EVSE, the first of a pulled location": (8, 7),
    "sync of 200 tariffs, first": (25, 14),
    "sync of 200 sessions, first": (27, 16),
    "sync of 200 cdrs, first": (23, 11),
}
"""On SQLite, and on PostgreSQL; there a sync may have one more than usual, in which the driver prepares a statement."""


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
    place = ("sqlite", "postgresql").index(database)
    over = {name: trips for name, trips in found.items() if len(trips) > MOST[name][place]}
    assert over == {}
    assert tuple(found) == OPERATIONS
    assert all(found.values())  # a driver that is not listened to would say nothing
