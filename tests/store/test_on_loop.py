"""Brief transactions on PostgreSQL run on the event loop itself, which serves others while the database works."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import psycopg
import pytest
from sqlalchemy import make_url

from ocpi_emsp._pieces import Aside, driven, store_in_pieces
from ocpi_emsp.errors import CannotStore, StoreFailed
from ocpi_emsp.ports import Record, Store
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql.on_loop import CONNECTIONS, LOOPS
from ocpi_emsp.testing.contract import LOCATION, evse, record, session
from postgres import PrivatePostgres

SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
HOLDERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'on_loop'"
WAITING = f"{HOLDERS} AND wait_event_type = 'Lock'"
OPEN = f"{HOLDERS} AND state LIKE 'idle in transaction%'"

Work: TypeAlias = Callable[[SqlStore], Awaitable[Any]]


def named(url: str) -> str:
    """The URL, its connections found by ``HOLDERS``."""
    return make_url(url).update_query_string("application_name=on_loop").render_as_string(hide_password=False)


def run(url: str, work: Work, **settings: Any) -> Any:
    """Do something with a store in an event loop."""

    async def host() -> Any:
        store = SqlStore(named(url), **settings)
        try:
            async with asyncio.timeout(SECONDS):
                return await work(store)
        finally:
            await store.aclose()

    return asyncio.run(host())


async def put(store: SqlStore, *records: Record, briefly: bool = True) -> int:
    """Store records in one transaction; the thread in which that was."""

    async def flow(opened: Store) -> int:
        async with opened.transaction() as tx:
            for each in records:
                await tx.put(each)
            return threading.get_ident()

    return await driven(flow(store_in_pieces(store)), briefly=briefly)


async def got(store: SqlStore, *, read_only: bool = True) -> Record | None:
    async def flow(opened: Store) -> Record | None:
        async with opened.transaction(read_only=read_only) as tx:
            return await tx.get(LOCATION)

    return await driven(flow(store_in_pieces(store)), briefly=True)


@asynccontextmanager
async def other(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of somebody else, who commits each statement."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """All locations are locked by somebody else; the connection is another one."""
    async with other(url) as holder, other(url) as free, holder.transaction():
        await holder.execute("SELECT FROM ocpi_locations FOR UPDATE")
        yield free


async def until(connection: psycopg.AsyncConnection[Any], query: str, number: int = 1) -> None:
    """Wait until a query finds so many rows."""
    while len(await (await connection.execute(query)).fetchall()) != number:
        await asyncio.sleep(0)


# --- where it runs ----------------------------------------------------------------------------------------------------


def test_a_brief_transaction_is_on_the_loop_and_another_in_a_thread(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> tuple[int, int]:
        return await put(store, record()), await put(store, record(), briefly=False)

    brief, long = run(postgres_with_schema, work)
    assert (brief == threading.get_ident(), long == threading.get_ident()) == (True, False)


def test_a_flow_that_has_something_read_aside_is_not_brief_from_then_on(postgres_with_schema: str) -> None:
    async def in_place(function: Callable[[], None]) -> None:
        function()

    async def flow(store: SqlStore) -> list[bool]:
        where = []
        for large in (False, True):
            if large:
                await Aside(in_place)(lambda: None)
            async with store_in_pieces(store).transaction() as tx:
                await tx.put(record())
                where.append(threading.get_ident() == threading.main_thread().ident)
        return where

    assert run(postgres_with_schema, lambda store: driven(flow(store), briefly=True)) == [True, False]


def test_where_nothing_may_be_prepared_threads_do(postgres_with_schema: str) -> None:
    url = make_url(postgres_with_schema).update_query_string("prepare_threshold=none")
    assert run(url.render_as_string(hide_password=False), lambda store: put(store, record())) != threading.get_ident()


def test_where_the_loop_cannot_wait_for_a_socket_threads_do(
    postgres_with_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of Windows; the work beside it waits for none either."""
    watched = []

    async def work(store: SqlStore) -> int:
        loop = type(asyncio.get_running_loop())
        with monkeypatch.context() as patched:
            patched.setattr(loop, "add_reader", asyncio.AbstractEventLoop.add_reader)
            watched.append(loop)
            return await put(store, record())

    assert run(postgres_with_schema, work) != threading.get_ident()
    assert watched


def test_while_one_waits_for_a_lock_the_loop_serves_others(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema) as free:
            waiting = asyncio.create_task(put(store, record(document=b'"new"')))
            await until(free, WAITING)
            seen = await got(store)
            assert seen is not None
            assert seen.document == b'"old"'
            assert not waiting.done()
        await waiting
        return await got(store)

    found = run(postgres_with_schema, work)
    assert found.document == b'"new"'


def test_more_than_there_are_connections_wait_for_one(postgres_with_schema: str) -> None:
    many = CONNECTIONS * 3

    async def work(store: SqlStore) -> list[int]:
        await put(store, record())
        async with locked(postgres_with_schema) as free:
            waiting = [asyncio.create_task(put(store, record(), session(f"S{each}"))) for each in range(many)]
            await until(free, WAITING, CONNECTIONS)
        return await asyncio.gather(*waiting)

    assert run(postgres_with_schema, work) == [threading.get_ident()] * many


@pytest.mark.parametrize("keep", [True, False], ids=["referred to", "forgotten"])
def test_a_loop_that_ended_keeps_no_connection(keep: bool, postgres_with_schema: str) -> None:
    store, kept = SqlStore(named(postgres_with_schema), lock_timeout=1), list[asyncio.AbstractEventLoop]()

    async def work(number: int) -> None:
        if keep:
            kept.append(asyncio.get_running_loop())
        await put(store, record())
        if number % 10 == 0:
            await put(store, record(), briefly=False)  # over one that a loop may have left

    for number in range(40):  # the pool has 32
        asyncio.run(work(number))
    store.close()


# --- cancelled, lost, refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["once", "again and again"])
def test_a_cancelled_request_leaves_no_transaction_open(how: str, postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema) as free:
            waiting = asyncio.create_task(put(store, record(document=b'"new"')))
            await until(free, WAITING)
            for _ in range(1 if how == "once" else 5):
                waiting.cancel()
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with other(postgres_with_schema) as free:
            await until(free, OPEN, 0)
        return await got(store)

    found = run(postgres_with_schema, work)
    assert found.document == b'"new"'  # what has begun is done


def test_a_loop_that_ends_in_the_middle_leaves_no_transaction_open(postgres_with_schema: str) -> None:
    store = SqlStore(named(postgres_with_schema))

    async def left() -> None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema) as free:
            task = asyncio.create_task(put(store, record(document=b'"new"')))
            await until(free, WAITING)
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for each in tasks:  # as asyncio.run does at its end
                each.cancel()
            await asyncio.wait(tasks)
            assert task.cancelled()

    async def after() -> Record | None:
        async with other(postgres_with_schema) as free:
            await until(free, OPEN, 0)
        return await got(store, read_only=False)

    asyncio.run(left())
    found = asyncio.run(after())
    store.close()
    assert found is not None
    assert found.document in (b'"old"', b'"new"')


def test_connections_that_the_server_closed_are_not_used_again(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> list[int]:
        async def several() -> list[int]:
            return await asyncio.gather(*(put(store, session(f"S{each}")) for each in range(CONNECTIONS)))

        await several()
        async with other(postgres_with_schema) as free:
            await free.execute(f"SELECT pg_terminate_backend(pid) FROM ({HOLDERS}) AS others")
            await until(free, HOLDERS, 0)
        return await several()

    assert run(postgres_with_schema, work) == [threading.get_ident()] * CONNECTIONS


def test_a_connection_that_is_lost_in_the_middle_is_said_and_replaced(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema) as free:
            waiting = asyncio.create_task(put(store, record(document=b'"new"')))
            await until(free, WAITING)
            await free.execute(f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) AS others")
            with pytest.raises(StoreFailed, match=r"terminat"):
                await waiting
        return await got(store, read_only=False)

    found = run(postgres_with_schema, work)
    assert found.document == b'"old"'


def test_a_server_that_restarts_is_found_again(private_postgres: PrivatePostgres) -> None:
    with private_postgres.database() as url:

        async def work(store: SqlStore) -> Record | None:
            await asyncio.to_thread(store.upgrade)
            await put(store, record(document=b'"old"'))
            await asyncio.to_thread(private_postgres.stop)
            with pytest.raises(StoreFailed):
                await got(store)
            await asyncio.to_thread(private_postgres.start)
            return await got(store)

        found = run(url, work)
    assert found.document == b'"old"'


def test_a_lock_is_waited_for_as_long_as_is_set(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema):
            with pytest.raises(StoreFailed, match="lock timeout"):
                await put(store, record(document=b'"new"'))
        return await got(store)

    found = run(postgres_with_schema, work, lock_timeout=0.2)
    assert found.document == b'"old"'


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        ([record(document=b'"\\u0000"')], "unsupported Unicode escape sequence"),
        ([record(document=b'"\x00"')], "NUL"),
        ([session("S\ud800")], "surrogates not allowed"),
        ([evse("E")], "foreign key constraint"),
    ],
    ids=["a document", "NUL", "a surrogate", "at the commit"],
)
def test_what_the_database_refuses_is_said_and_leaves_nothing(
    refused: list[Record], why: str, postgres_with_schema: str
) -> None:
    async def work(store: SqlStore) -> Record | None:
        with pytest.raises(Exception, match=why) as raised:
            await put(store, session("before"), *refused)
        assert isinstance(raised.value, CannotStore)
        return await got(store)

    assert run(postgres_with_schema, work) is None


def test_what_needs_more_than_the_socket_takes_is_sent(postgres_with_schema: str) -> None:
    large = b'"%s"' % (b"x" * 20_000_000)

    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=large))
        return await got(store)

    found = run(postgres_with_schema, work)
    assert found.document == large


def test_a_store_that_is_closed_meanwhile_ends_what_has_begun(postgres_with_schema: str) -> None:
    async def work(store: SqlStore) -> Record | None:
        await put(store, record(document=b'"old"'))
        async with locked(postgres_with_schema) as free:
            waiting = asyncio.create_task(put(store, record(document=b'"new"')))
            await until(free, WAITING)
            await store.aclose()
        await waiting
        return await got(store)

    found = run(postgres_with_schema, work)
    assert found.document == b'"new"'


def test_where_the_database_gives_no_more_connections_those_in_use_are_waited_for(
    private_postgres: PrivatePostgres,
) -> None:
    async def work(store: SqlStore, url: str) -> list[int]:
        await put(store, record())
        async with locked(url) as free:
            waiting = [asyncio.create_task(put(store, record(), session(f"S{each}"))) for each in range(5)]
            await until(free, WAITING, 2)
        return await asyncio.gather(*waiting)

    with private_postgres.database() as url:
        store = SqlStore(url)
        store.upgrade()
        store.close()
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
            connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO few")
            connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO few")
        few = make_url(url).set(username="few").render_as_string(hide_password=False)
        assert run(few, lambda store: work(store, url)) == [threading.get_ident()] * 5


def test_loops_that_have_ended_keep_no_connections(postgres_with_schema: str) -> None:
    """Also where garbage refers to them: an error that a flow answered, and with it the transaction."""
    store = SqlStore(named(postgres_with_schema))

    async def unknown(opened: Store) -> None:
        async with opened.transaction() as tx:
            await tx.put(record())
            error = KeyError("unknown")
        raise error

    async def answered(opened: Store) -> None:
        with contextlib.suppress(KeyError):
            await unknown(opened)

    async def connections() -> int:
        await driven(answered(store_in_pieces(store)), briefly=True)
        async with other(postgres_with_schema) as free:
            return len(await (await free.execute(HOLDERS)).fetchall())

    gc.disable()
    try:
        found = [asyncio.run(connections()) for _ in range(4)]
    finally:
        gc.enable()
        store.close()
    assert found == [1, 1, 1, 1]


def test_loops_beyond_those_that_keep_connections_use_threads(postgres_with_schema: str) -> None:
    """Until one of the others has ended."""
    store, own, loops = SqlStore(postgres_with_schema), threading.get_ident(), list[asyncio.AbstractEventLoop]()

    def is_on_a_new_loop() -> bool:
        loops.append(asyncio.new_event_loop())
        return loops[-1].run_until_complete(put(store, record())) == own

    try:
        found = [is_on_a_new_loop() for _ in range(LOOPS + 1)]
        loops[0].close()
        found.append(is_on_a_new_loop())
    finally:
        for each in loops:
            each.close()
        store.close()
    assert found == [*[True] * LOOPS, False, True]
