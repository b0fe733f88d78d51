"""A commit that does not wait for the disk, since what it wrote is written again if it is lost.

Nothing here cuts the power: the tests read which commits the databases were asked not to wait for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from ocpi_emsp._bridge import in_place, in_thread, lift_store, run
from ocpi_emsp._pieces import driven, store_in_pieces
from ocpi_emsp.ports import Key, Kind, Store, prefetch, repeatable
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import piped
from ocpi_emsp.testing.contract import LOCATION, entry, evse, record

PLACE = Key(Kind.CHECKPOINT, "NL", "TNM", "locations")
NO_WAIT = "SET LOCAL synchronous_commit TO OFF"


async def stored(store: Store, *, waits: bool = False, appends: bool = False) -> None:
    """A page, and its place."""
    async with store.transaction() if waits else repeatable(store) as tx:
        await prefetch(tx, [PLACE, LOCATION], children=True)
        for each in (record(PLACE, b"{}"), record(), evse("E1")):
            await tx.put(each)
        if appends:
            await tx.append(entry("1"))


def is_stored(store: SqlStore) -> bool:
    with store._blocking_transaction(read_only=True) as tx:
        return tx.get(PLACE) is not None and len(tx.children(LOCATION)) == 1


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent with other statements."""
    found = list[str]()
    ask, ask_async = piped._piped, piped._piped_async

    def piping(driver: Any, asked: Sequence[piped.Asked]) -> Any:
        found.extend(each.text for each in asked)
        return ask(driver, asked)

    async def piping_async(driver: Any, asked: Sequence[piped.Asked]) -> Any:
        found.extend(each.text for each in asked)
        return await ask_async(driver, asked)

    monkeypatch.setattr(piped, "_piped", piping)
    monkeypatch.setattr(piped, "_piped_async", piping_async)
    return found


@pytest.mark.parametrize(("waits", "appends"), [(True, False), (False, False), (False, True)])
def test_postgresql_commits_without_the_disk(
    waits: bool, appends: bool, postgres_with_schema: str, asked: list[str]
) -> None:
    store = SqlStore(postgres_with_schema)
    run(stored(lift_store(store, in_place), waits=waits, appends=appends))
    assert asked[-1] == "COMMIT"
    assert asked.count(NO_WAIT) == (not waits and not appends)
    assert NO_WAIT not in asked or asked[-2] == NO_WAIT
    assert is_stored(store)
    with store._connected() as connection:  # the same as before, as it goes back into the pool
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    store.close()


def test_an_async_host_does_not_wait_either(postgres_with_schema: str, asked: list[str]) -> None:
    store = SqlStore(postgres_with_schema)
    anyio.run(lambda: driven(stored(store_in_pieces(store))))
    assert asked[-2:] == [NO_WAIT, "COMMIT"]
    assert is_stored(store)
    store.close()


def test_an_engine_of_a_host_commits_as_ever(postgres_with_schema: str, asked: list[str]) -> None:
    async def work() -> None:
        engine = create_async_engine(postgres_with_schema)
        await stored(lift_store(SqlStore(engine), in_thread))
        await engine.dispose()

    anyio.run(work)
    assert asked
    assert NO_WAIT not in asked
    store = SqlStore(postgres_with_schema)
    assert is_stored(store)
    store.close()


# --- SQLite ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def engine(sqlite_with_schema: Path, said: list[str]) -> Iterator[Engine]:
    """Of a host: what is said over it, and its connections wait for the disk as SQLite has it, which is FULL."""
    made = create_engine(f"sqlite:///{sqlite_with_schema}")
    event.listen(made, "connect", lambda connection, _: connection.set_trace_callback(said.append))
    yield made
    made.dispose()


def synchronous(engine: Engine) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()


@pytest.mark.parametrize(("waits", "appends"), [(True, False), (False, False), (False, True)])
def test_sqlite_commits_without_the_disk(waits: bool, appends: bool, engine: Engine, said: list[str]) -> None:
    store = SqlStore(engine)
    assert synchronous(engine) == 2
    run(stored(lift_store(store, in_place), waits=waits, appends=appends))
    sizes = [each for each in said if each.startswith(("PRAGMA synchronous =", "BEGIN", "COMMIT", "PRAGMA user"))]
    usual = ["BEGIN IMMEDIATE", "COMMIT"]
    unsynced = ["PRAGMA synchronous = 1", *usual, "PRAGMA synchronous = 2"]
    durable = ["BEGIN IMMEDIATE", "PRAGMA user_version", "PRAGMA user_version = 0", "COMMIT"]
    assert sizes == (usual if waits else [*unsynced, *(durable if appends else [])])
    assert synchronous(engine) == 2
    assert is_stored(store)


def test_a_rollback_restores_how_it_waits(engine: Engine) -> None:
    async def failing(store: Store) -> None:
        async with repeatable(store) as tx:
            await tx.put(record(PLACE, b"{}"))
            await tx.append(entry("1"))
            raise ZeroDivisionError

    store = SqlStore(engine)
    with pytest.raises(ZeroDivisionError):
        run(failing(lift_store(store, in_place)))
    assert synchronous(engine) == 2
    assert not is_stored(store)


def test_a_host_that_never_waits_is_left_alone(engine: Engine, said: list[str]) -> None:
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = 0"))
    store = SqlStore(engine)
    run(stored(lift_store(store, in_place)))
    assert "PRAGMA synchronous = 1" not in said
    assert synchronous(engine) == 0
    assert is_stored(store)


def test_a_transaction_of_the_host_stays_its_own(engine: Engine, said: list[str]) -> None:
    store = SqlStore(engine)
    with engine.connect() as connection, connection.begin(), store.joined(connection):
        run(stored(lift_store(store, in_place), appends=True))
    assert not any(each.startswith("PRAGMA synchronous =") for each in said)
    assert is_stored(store)


def test_what_shares_a_commit_waits(engine: Engine, said: list[str]) -> None:
    """Pushes of one event loop may be in it."""
    store = SqlStore(engine)
    anyio.run(lambda: driven(stored(store_in_pieces(store))))
    assert not any(each.startswith("PRAGMA synchronous =") for each in said)
    assert is_stored(store)
