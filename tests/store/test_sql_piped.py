"""Statements that go to PostgreSQL in one round trip: what becomes of a failure, and of a driver that cannot."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest
from psycopg import errors
from sqlalchemy.ext.asyncio import create_async_engine

from ocpi_emsp._bridge import in_thread, lift_store
from ocpi_emsp.errors import InvalidObject, StoreFailed
from ocpi_emsp.ports import Kind, Record, Store, Transaction, prefetch
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import piped, sending
from ocpi_emsp.testing.contract import LOCATION, evse, record, session

_SECOND = 1.0
_LOCATIONS = [LOCATION._replace(id=f"L{number}") for number in range(3)]
Work: TypeAlias = Callable[[Store], Awaitable[Any]]


@pytest.fixture(params=["threads", "an AsyncEngine"])
def work_on(request: pytest.FixtureRequest, postgres_with_schema: str) -> Callable[[Work], Any]:
    """Runs something with a store that is closed afterwards."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Store]:
        if request.param == "threads":
            store = SqlStore(postgres_with_schema, lock_timeout=_SECOND / 5)
            yield lift_store(store, in_thread)
            await store.aclose()
            return
        options = f"-c lock_timeout={int(_SECOND * 200)}"
        engine = create_async_engine(postgres_with_schema, connect_args={"options": options})
        yield lift_store(SqlStore(engine), in_thread)
        await engine.dispose()

    async def run(work: Work) -> Any:
        async with opened() as store:
            return await work(store)

    return lambda work: anyio.run(run, work)


async def written(store: Store, *records: Record) -> None:
    async with store.transaction() as tx:
        await prefetch(tx, [each.key for each in records])
        for each in records:
            await tx.put(each)


async def found(store: Store) -> list[Record | None]:
    async with store.transaction() as tx:
        await prefetch(tx, [*_LOCATIONS, session("S").key], children=True)
        records = [await tx.get(key) for key in (*_LOCATIONS, session("S").key)]
        return [*records, *[each for key in _LOCATIONS for each in await tx.children(key)]]


def test_what_is_refused_with_the_commit_is_refused(work_on: Callable[[Work], Any]) -> None:
    """An EVSE without its location is known by the COMMIT; it may go with what it commits."""

    async def work(store: Store) -> list[Record | None]:
        with pytest.raises(InvalidObject):
            await written(store, session("S"), evse("E", LOCATION))
        return await found(store)

    assert work_on(work) == [None] * 4


def test_a_lock_that_is_not_given_is_the_reason(work_on: Callable[[Work], Any]) -> None:
    """Not that what stood behind it was not executed."""

    async def lock(tx: Transaction) -> None:
        await prefetch(tx, [session("S").key, *_LOCATIONS], children=True)

    async def work(store: Store) -> list[Record | None]:
        await written(store, record(_LOCATIONS[1]), session("S"))
        async with store.transaction() as held:
            await lock(held)
            with pytest.raises(StoreFailed, match="lock timeout"):
                async with store.transaction() as tx:
                    await lock(tx)
        return await found(store)

    assert [each and each.key for each in work_on(work)] == [None, _LOCATIONS[1], None, session("S").key]


def test_what_was_not_executed_behind_it_is_not_the_reason(
    postgres_with_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psycopg raises that where an answer comes in parts."""

    def aborted(*_: object) -> None:
        try:
            raise errors.LockNotAvailable("lock timeout")
        finally:
            raise errors.PipelineAborted("pipeline aborted")

    monkeypatch.setattr(piped, "_piped", aborted)
    store = SqlStore(postgres_with_schema)
    with pytest.raises(StoreFailed, match="lock timeout"), store._blocking_transaction(read_only=False) as tx:
        tx.prefetch(_LOCATIONS)
    store.close()


def test_one_by_one_they_do_the_same(work_on: Callable[[Work], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As a libpq before 14 does."""

    async def work(store: Store) -> list[Any]:
        records = [record(_LOCATIONS[0]), *[evse(f"E{number}", _LOCATIONS[0]) for number in range(2)], session("S")]
        await written(store, *records)
        stands = [each and (each.key, each.document, each.revision) for each in await found(store)]
        async with store.transaction() as tx:
            for each in records:
                if each.key.kind != Kind.EVSE:
                    await tx.delete(each.key)
        return stands

    at_once = work_on(work)
    assert [each is None for each in at_once] == [False, True, True, False, False, False]
    monkeypatch.setattr(sending, "may_pipe", lambda _: False)
    assert work_on(work) == at_once
