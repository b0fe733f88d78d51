"""Hosts with an engine of their own: SqlStore joins their transactions."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from sqlalchemy import (
    Column as SqlColumn,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table as SqlTable,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine

from flows.support import at, offline_emsp
from ocpi_emsp._bridge import in_place, lift_store
from ocpi_emsp._pieces import driven
from ocpi_emsp.errors import InvalidObject, StoreFailed
from ocpi_emsp.events import Event
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import LOCATION, record
from ocpi_emsp.testing.cpo import samples
from our_emsp import register
from store.sql import created
from store.sql_rows import push, read, write

_host = SqlTable("orders", MetaData(), SqlColumn("id", Integer, primary_key=True))


@pytest.fixture(params=["as it comes", "with the recipe"])
def host(request: pytest.FixtureRequest, url_with_schema: str) -> Iterator[Engine]:
    """The host's own engine; on SQLite also one that begins its transactions itself, as SQLAlchemy's recipe has it."""
    engine = create_engine(url_with_schema)
    if request.param == "with the recipe" and engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    _host.create(engine)
    yield engine
    _host.drop(engine)
    engine.dispose()


def test_a_hosts_engine_serves(host: Engine) -> None:
    store = SqlStore(host)
    write(store, record(document=b'{"a":1}'))
    write(store, record(document=b'{"a":2}'))
    assert read(store, LOCATION) == record(document=b'{"a":2}')


def orders(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(_host)).scalar_one()


def test_a_transaction_of_the_host_is_joined(host: Engine) -> None:
    store = SqlStore(host)
    with host.begin() as connection, store.joined(connection):
        connection.execute(_host.insert())
        write(store, record())
        assert read(store, LOCATION) == record()
    assert read(store, LOCATION) == record()
    with host.connect() as connection:
        assert orders(connection) == 1


def test_what_joined_goes_when_the_host_rolls_back(host: Engine) -> None:
    store = SqlStore(host)
    with host.connect() as connection:
        transaction = connection.begin()
        with store.joined(connection):
            write(store, record())
            connection.execute(_host.insert())
        transaction.rollback()
        assert orders(connection) == 0
    assert read(store, LOCATION) is None


def test_a_joined_transaction_that_fails_leaves_the_hosts_own_work(host: Engine) -> None:
    store = SqlStore(host)
    with host.begin() as connection, store.joined(connection):
        connection.execute(_host.insert())
        with pytest.raises(InvalidObject):
            write(store, record(), record(Key(Kind.TARIFF, "NL", "TNM", "T1"), b"\xff"))
    with host.connect() as connection:
        assert orders(connection) == 1
    assert read(store, LOCATION) is None


def test_nothing_is_delivered_before_the_host_commits(host: Engine) -> None:
    """A listener must not hear of what may be rolled back yet."""
    store = SqlStore(host)
    emsp = offline_emsp(store=store)
    token = register(emsp)
    heard: list[str] = []
    emsp.on(Event)(lambda event: heard.append(type(event).__name__))
    with host.connect() as connection:
        for end in (connection.rollback, connection.commit):
            with store.joined(connection):
                answer = push(emsp, token, "POST", "cdrs", {**samples.cdr(), "last_updated": at(1)})
            assert answer.both == (201, 1000)
            assert heard == []
            end()
    assert emsp.redeliver() == 1
    assert heard == ["CdrReceived"]


def test_an_async_host_joins_as_well(url_with_schema: str) -> None:
    url = url_with_schema
    drivers = {"sqlite:": "sqlite+aiosqlite:", "postgresql+psycopg:": "postgresql+psycopg:"}
    name = url.partition(":")[0] + ":"

    async def scenario() -> list[Record | None]:
        engine = create_async_engine(url.replace(name, drivers[name], 1))
        store = SqlStore(engine)
        native = lift_store(store, in_place)
        seen: list[Record | None] = []
        async with engine.connect() as connection:
            for end in (connection.rollback, connection.commit):
                with store.joined(connection):
                    async with native.transaction() as tx:
                        await tx.put(record())
                await end()
                async with native.transaction(read_only=True) as tx:
                    seen.append(await tx.get(LOCATION))
        await engine.dispose()
        return seen

    assert anyio.run(scenario) == [None, record()]


def test_a_cancelled_task_of_an_async_host_commits_what_it_began(url_with_schema: str) -> None:
    """As asyncio.timeout() does, or a server whose client hangs up, in the middle of a transaction."""
    url = url_with_schema

    async def scenario() -> None:
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
        store = SqlStore(engine)

        async def flow() -> None:
            async with store.for_mode("async").transaction() as tx:  # type: ignore[union-attr] # a Store
                cancelled[0].cancel()
                assert await tx.get(LOCATION) is None
                await tx.put(record())

        async def host() -> None:
            await driven(flow())

        cancelled = [asyncio.ensure_future(host())]
        await asyncio.wait(cancelled)
        assert cancelled[0].cancelled()
        assert engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a QueuePool
        await engine.dispose()

    asyncio.run(scenario())
    store = SqlStore(url)
    assert read(store, LOCATION) == record()
    store.close()


def test_an_async_engine_alone_serves_no_sync_host(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'emsp.db'}"
    store = SqlStore(create_async_engine(url))
    with pytest.raises(StoreFailed, match="async hosts only"):
        store.upgrade()


def test_a_schema_and_a_prefix(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA charging"))
    first, second = created(postgres_url, schema="charging", prefix="emsp_"), created(postgres_url)
    write(first, record(document=b"1"))
    write(second, record(document=b"2"))
    found = [read(store, LOCATION) for store in (first, second)]
    assert [each.document for each in found if each] == [b"1", b"2"]
    assert "emsp_locations" in inspect(engine).get_table_names(schema="charging")
    assert "ocpi_locations" in inspect(engine).get_table_names()
    first.close()
    second.close()
    engine.dispose()


def test_stores_of_urls_share_what_is_compiled_and_an_engine_of_a_host_has_its_own(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'emsp.db'}"
    one, two, other = SqlStore(url), SqlStore(url), SqlStore(url, prefix="other_")
    engine = create_engine(url)
    assert one.tables is two.tables
    assert one.tables is not other.tables
    assert SqlStore(engine).tables is not one.tables
    engine.dispose()
