"""What our side of bench/load.py has in its store before the clock starts: a party, locations and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import create_engine

from load_requests import TOKEN, TOKENS, compact, driver_token, stored_locations
from ocpi_emsp import Evse, Location, Token, decode
from ocpi_emsp._bridge import in_place, lift_store, run
from ocpi_emsp.flows.parties.party import Profile
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import MemoryStore, SqlStore
from partners import register

_UNBOUNDED = Profile(inbound_requests_per_second=10**6, inbound_bytes_per_minute=10**12)
"""What a party gets is bounded by default; without that, it is the server that is measured."""
_RECEIVED = datetime(2020, 1, 1, tzinfo=UTC)


def fill_ours(store: MemoryStore | SqlStore) -> None:
    """Put everything into a store of this library."""
    register(store, {"TNM": TOKEN}, _UNBOUNDED)

    async def put() -> None:
        lifted = lift_store(store, in_place)
        records = _records()
        while batch := list(islice(records, 2_000)):
            async with lifted.transaction() as tx:
                for record in batch:
                    await tx.put(record)

    run(put())


def _records() -> Iterator[Record]:
    for whole in stored_locations():
        evses = whole.pop("evses")
        yield _record(Key(Kind.LOCATION, "NL", "TNM", whole["id"]), whole, Location)
        for evse in evses:
            yield _record(Key(Kind.EVSE, "NL", "TNM", evse["uid"], whole["id"]), evse, Evse)
    for number in range(TOKENS):
        yield _record(Key(Kind.TOKEN, "IT", "BEC", f"T{number}", "RFID"), driver_token(number), Token)


def _record(key: Key, document: dict[str, Any], model: type[Any]) -> Record:
    text = compact(document)
    view = decode(model, text)
    return Record(key, text, view.last_updated, _RECEIVED, view)


def fill_database(url: str) -> None:
    """Create the schema, put everything, and have the database gather its statistics."""
    store = SqlStore(url)
    store.upgrade()
    fill_ours(store)
    store.close()
    engine = create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if url.startswith("sqlite") else "VACUUM ANALYZE")
    engine.dispose()
