"""What is particular to the announcements of SqlStore: outages, other processes, hosts with an engine of their own."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from ocpi_emsp.ports import Announcing, BlockingStore, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import AnnouncingContract, Heard, Undo, command
from postgres import PrivatePostgres
from store.sql import created

SECONDS = 60.0
"""What anything here may take before it counts as hanging."""
NAME = "ocpi-emsp-announcements"
LISTENING = "SELECT {} FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
contract = AnnouncingContract()


@pytest.fixture
def store(postgres_with_schema: str) -> Iterator[SqlStore]:
    """A store on PostgreSQL, with its schema."""
    opened = SqlStore(postgres_with_schema)
    yield opened
    opened.close()
    assert threads() == []


@pytest.fixture
def other(postgres_with_schema: str) -> Iterator[SqlStore]:
    """Another store on the same database."""
    opened = SqlStore(postgres_with_schema)
    yield opened
    opened.close()


def put(store: SqlStore, *records: Record, undo: bool = False) -> None:
    """Store records, in one transaction of a sync host."""
    blocking = store.for_mode("sync")
    assert isinstance(blocking, BlockingStore)
    with blocking.blocking_transaction() as tx:
        for each in records:
            tx.put(each)
        if undo:
            raise Undo


def threads() -> list[threading.Thread]:
    """The threads that listen."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def await_listening(url: str, count: int) -> None:
    """Wait until so many connections to the database listen: the server notices later that a client has closed one."""
    engine, moment, found = create_engine(url), threading.Event(), -1
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(int(SECONDS / 0.05)):
            found = connection.execute(text(LISTENING.format("count(*)"))).scalar_one()
            if found == count:
                break
            moment.wait(0.05)
    engine.dispose()
    assert found == count, f"{found} connections listen"


def cut_who_listens(url: str) -> None:
    """End the one connection that listens, as an outage of the network would."""
    await_listening(url, 1)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(text(LISTENING.format("pg_terminate_backend(pid)"))).scalar_one()
    engine.dispose()


class Warnings(logging.Handler):
    """The lines of the log that say that a connection was lost."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.came = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.came.set()


@contextmanager
def warned() -> Iterator[Warnings]:
    """What is logged in the block."""
    log, handler = logging.getLogger("ocpi_emsp"), Warnings()
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)


# --- one thread, one connection -------------------------------------------------------------------------------------


def test_all_listeners_share_a_thread_and_a_connection(
    store: SqlStore, other: SqlStore, postgres_with_schema: str
) -> None:
    heard = [Heard(), Heard(), Heard()]
    ends = [contract.begun(store, each, other) for each in heard]
    await_listening(postgres_with_schema, 1)
    (thread,) = threads()
    for end in ends:
        assert thread.is_alive()
        end()
    thread.join(SECONDS)
    assert not thread.is_alive()
    await_listening(postgres_with_schema, 0)
    again = Heard()
    contract.begun(store, again, other)
    assert len(threads()) == 1


def test_the_end_of_a_store_ends_its_thread_and_it_may_begin_again(store: SqlStore, other: SqlStore) -> None:
    first, second = Heard(), Heard()
    end = contract.begun(store, first, other)
    store.close()
    assert threads() == []
    contract.begun(store, second, other)
    end()
    put(other, command("1"))
    assert second.hears("1")
    assert "1" not in first.said
    anyio.run(store.aclose)
    assert threads() == []


def test_a_listener_may_end_itself_and_its_store(store: SqlStore, other: SqlStore) -> None:
    done = threading.Event()

    def listener(uid: str) -> None:
        if uid == "last":
            end()
            store.close()
            done.set()

    end = store.announce(listener)
    contract.begun(store, Heard(), other)
    put(other, command("last"))
    assert done.wait(SECONDS)
    for each in threads():  # a thread cannot wait for itself, so the store did not
        each.join(SECONDS)


def test_an_id_that_no_message_holds_says_that_something_was_missed(store: SqlStore, other: SqlStore) -> None:
    heard = Heard()
    contract.begun(store, heard, other)
    put(other, command("é" * 4000))
    put(other, command("x" * 7999), command("last"))
    assert heard.hears("last")
    assert heard.said == ["", "x" * 7999, "last"]


def test_stores_with_other_tables_do_not_hear_each_other(postgres_url: str) -> None:
    stores = [created(postgres_url, prefix=prefix) for prefix in ("a_", "b_")]
    stores.append(created(postgres_url, schema="charging", prefix="a_"))
    heard = [Heard() for _ in stores]
    for store, each in zip(stores, heard, strict=True):
        contract.begun(store, each, store)
    for number, store in enumerate(stores):
        put(store, command(str(number)))
    for number, each in enumerate(heard):
        assert each.hears(str(number))
    for store in stores:
        put(store, command("last"))
    for number, each in enumerate(heard):
        assert each.hears("last")
        assert each.said == [str(number), "last"]
    for store in stores:
        store.close()


# --- outages --------------------------------------------------------------------------------------------------------


def test_a_connection_that_is_cut_is_opened_again_and_said(
    store: SqlStore, other: SqlStore, postgres_with_schema: str
) -> None:
    heard, too = Heard(), Heard()
    for each in (heard, too):
        contract.begun(store, each, other)
    for each in (heard, too):
        each.clear()
    with warned() as warnings:
        cut_who_listens(postgres_with_schema)
        for each in (heard, too):
            assert each.hears("")
    assert len(warnings.lines) == 1
    assert warnings.lines[0].startswith("store.announcements_lost error=")
    put(other, command("1"))
    for each in (heard, too):
        assert each.hears("1")
    assert len(threads()) == 1


def test_a_server_that_is_away_for_a_while_is_said_once(private_postgres: PrivatePostgres) -> None:
    with private_postgres.database() as url, warned() as warnings:
        store = created(url)
        heard = Heard()
        contract.begun(store, heard, store)
        private_postgres.stop("immediate")
        assert warnings.came.wait(SECONDS)
        private_postgres.start()
        assert heard.hears("", SECONDS)
        assert len([line for line in warnings.lines if line.startswith("store.")]) == 1
        other = SqlStore(url)  # those that idle in the pool of the first one were cut, too
        put(other, command("1"))
        assert heard.hears("1")
        other.close()
        store.close()
    assert threads() == []


def test_a_database_that_is_not_there_raises_nothing_and_ends_at_once() -> None:
    store = SqlStore("postgresql://emsp:the-password@127.0.0.1:1/emsp")
    heard = Heard()
    with warned() as warnings:
        end = store.announce(heard)
        assert warnings.came.wait(SECONDS)
        store.close()
    end()
    assert threads() == []
    assert heard.said == []
    assert len(warnings.lines) == 1
    assert "the-password" not in warnings.lines[0]


# --- who writes -----------------------------------------------------------------------------------------------------

WRITES = """
import sys
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import command
store = SqlStore(sys.argv[1])
with store.for_mode("sync").blocking_transaction() as tx:
    tx.put(command("of another process"))
"""


def test_another_process_is_heard(store: SqlStore, other: SqlStore, postgres_with_schema: str) -> None:
    heard = Heard()
    contract.begun(store, heard, other)
    line = [sys.executable, "-c", WRITES, postgres_with_schema]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    assert heard.hears("of another process")
    assert heard.said == ["of another process"]


FORKS = """
import os, sys, threading
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import AnnouncingContract, Heard, command
store, other, heard = SqlStore(sys.argv[1]), SqlStore(sys.argv[1]), Heard()
end = AnnouncingContract().begun(store, heard, other)
with store.for_mode("sync").blocking_transaction() as tx:
    tx.get(command("x").key)  # a connection of the parent's idles in the pool
listens, listening = os.pipe()
child = os.fork()
if not child:
    mine = Heard()
    store.announce(mine)
    ready = mine.hears("")
    os.write(listening, b"1")
    os._exit(0 if ready and mine.hears("after the fork") else 1)
os.read(listens, 1)
with other.for_mode("sync").blocking_transaction() as tx:
    tx.put(command("after the fork"))
assert os.waitpid(child, 0)[1] == 0, "the child heard nothing"
assert heard.hears("after the fork"), "the parent heard nothing"
heard.clear()
with store.for_mode("sync").blocking_transaction() as tx:
    tx.put(command("after the child"))
assert heard.hears("after the child")
assert heard.said == ["after the child"], "the parent's connection was lost"
assert sum(thread.name == "ocpi-emsp-announcements" for thread in threading.enumerate()) == 1
store.close()
"""


def test_a_forked_child_listens_for_itself(postgres_with_schema: str) -> None:
    line = [sys.executable, "-c", FORKS, postgres_with_schema]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr


def test_what_a_host_writes_with_us_is_heard_at_its_commit(
    store: SqlStore, other: SqlStore, postgres_with_schema: str
) -> None:
    heard = Heard()
    contract.begun(store, heard, other)
    engine = create_engine(postgres_with_schema)
    with engine.connect() as connection:
        with connection.begin(), other.joined(connection):
            put(other, command("1"))
            with pytest.raises(Undo):
                put(other, command("of a savepoint"), undo=True)
            put(store, command("before"))
            assert heard.hears("before")
        assert heard.hears("1")
        with connection.begin() as host, other.joined(connection):
            put(other, command("of the host's rollback"))
            host.rollback()
    engine.dispose()
    put(other, command("last"))
    assert heard.hears("last")
    assert heard.said == ["before", "1", "last"]


def test_a_host_with_an_async_engine_hears(other: SqlStore, postgres_with_schema: str) -> None:
    engine = create_async_engine(postgres_with_schema)
    store, heard = SqlStore(engine), Heard()
    contract.begun(store, heard, other)
    put(other, command("1"))
    assert heard.hears("1")
    store.close()
    assert threads() == []


def test_a_host_with_an_engine_hears_and_keeps_its_connections(other: SqlStore, postgres_with_schema: str) -> None:
    engine = create_engine(postgres_with_schema, pool_size=1, max_overflow=0, pool_timeout=SECONDS)
    store, heard = SqlStore(engine), Heard()
    with engine.connect():  # all that its pool gives
        contract.begun(store, heard, other)
        put(other, command("1"))
        assert heard.hears("1")
    store.close()
    assert threads() == []


def test_nothing_is_said_on_sqlite(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    assert isinstance(store, Announcing)
    heard = Heard()
    end = store.announce(heard)
    put(store, command("1"))
    assert threads() == []
    end()
    end()
    store.close()
    assert heard.said == []
