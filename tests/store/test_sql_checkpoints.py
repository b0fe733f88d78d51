"""SQLite's write-ahead log is moved into the file beside the commits: one at a time, bounded, and never a host's."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field
from sqlalchemy import create_engine

from ocpi_emsp._pieces import driven, store_in_pieces
from ocpi_emsp.ports import Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import checkpoints, engine, rotation
from ocpi_emsp.testing.contract import LOCATION, record

_SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
_KIB = 1024


@define
class Moves:
    """Each time that the log was moved: how many pages it had, and whether the writers paused."""

    store: SqlStore
    pages: list[int] = field(factory=list)
    paused: list[bool] = field(factory=list)
    go_on: threading.Event = field(factory=threading.Event)
    entered: threading.Event = field(factory=threading.Event)


@pytest.fixture
def url(sqlite_with_schema: Path) -> str:
    return f"sqlite:///{sqlite_with_schema}"


@pytest.fixture
def store(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlStore]:
    """One that moves the log as often as commits ask for it, and never within a commit."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(engine, "_CHECKPOINT_PAGES", 0)
    opened = SqlStore(url)
    yield opened
    opened.close()


@pytest.fixture
def moves(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Moves:
    found, moved = Moves(store), checkpoints._moved
    found.go_on.set()

    def counting(connection: sqlite3.Connection) -> int:
        found.paused.append(store._writing.locked())
        found.entered.set()
        assert found.go_on.wait(_SECONDS)
        found.pages.append(moved(connection))
        return found.pages[-1]

    monkeypatch.setattr(checkpoints, "_moved", counting)
    return found


def put(store: SqlStore, times: int, size: int = 10) -> None:
    for number in range(times):
        with store._blocking_transaction(read_only=False) as tx:
            tx.put(large(number, size))


def large(number: int, size: int) -> Record:
    return record(LOCATION._replace(id=f"L{number}"), b'"' + b"x" * size + b'"')


def test_the_log_does_not_grow_without_bound(store: SqlStore, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen commits of 100 KiB each time, of which the file gets all before the next ones."""
    monkeypatch.setattr(checkpoints, "PAUSED_PAGES", 100)
    for _ in range(4):
        put(store, checkpoints.COMMITS, 100 * _KIB)
        store._checkpoints.close()
    log = Path(f"{url.removeprefix('sqlite:///')}-wal")
    assert log.stat().st_size < 2 * checkpoints.COMMITS * 130 * _KIB


def test_few_commits_are_left_to_sqlite(store: SqlStore, moves: Moves) -> None:
    put(store, checkpoints.COMMITS - 1)
    store._checkpoints.close()
    assert moves.pages == []
    with store._blocking_transaction(read_only=True) as tx:
        assert tx.get(LOCATION._replace(id="L1"))
    store._checkpoints.close()
    assert moves.pages == []
    put(store, 1)
    store._checkpoints.close()
    assert len(moves.pages) == 1


def test_it_is_not_begun_again_at_once(store: SqlStore, moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS", _SECONDS)
    put(store, checkpoints.COMMITS)
    store._checkpoints.close()
    put(store, 3 * checkpoints.COMMITS)
    store._checkpoints.close()
    assert len(moves.pages) == 1


def test_there_is_one_at_a_time_and_close_waits_for_it(store: SqlStore, moves: Moves) -> None:
    moves.go_on.clear()
    put(store, checkpoints.COMMITS)
    assert moves.entered.wait(_SECONDS)
    put(store, 3 * checkpoints.COMMITS)
    closing = threading.Thread(target=store.close)
    closing.start()
    assert moves.pages == []
    assert closing.is_alive()
    moves.go_on.set()
    closing.join(_SECONDS)
    assert not closing.is_alive()
    assert len(moves.pages) == 1


def test_writers_pause_for_the_rest_of_a_long_log(
    store: SqlStore, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSED_PAGES", 1)
    put(store, checkpoints.COMMITS)
    store._checkpoints.close()
    assert moves.paused[-1]
    assert len(moves.pages) == 2
    assert not store._writing.locked()


def test_a_short_log_pauses_no_one(store: SqlStore, moves: Moves) -> None:
    put(store, checkpoints.COMMITS)
    store._checkpoints.close()
    assert (len(moves.pages), store._writing.locked()) == (1, False)


def test_a_writer_that_stays_is_not_waited_for(store: SqlStore, moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PAUSED_PAGES", 1)
    monkeypatch.setattr(checkpoints, "_PAUSE_SECONDS", 0.01)
    moves.go_on.clear()
    put(store, checkpoints.COMMITS)
    assert moves.entered.wait(_SECONDS)
    with store._blocking_transaction(read_only=False):
        moves.go_on.set()
        store._checkpoints.close()
    assert len(moves.pages) == 1


def test_batches_of_an_async_host_count(store: SqlStore, moves: Moves) -> None:
    async def put_one(number: int) -> None:
        async def flow() -> None:
            async with store_in_pieces(store).transaction() as tx:
                await tx.put(large(number, 10))

        await driven(flow())

    async def put_each() -> None:
        for number in range(checkpoints.COMMITS):
            async with anyio.create_task_group() as group:
                for part in range(2):
                    group.start_soon(put_one, 2 * number + part)

    anyio.run(put_each)
    store._checkpoints.close()
    assert moves.pages


@pytest.mark.parametrize("kind", ["a host's engine", "in memory", "joined"])
def test_what_is_a_hosts_is_left_alone(kind: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[Any]()
    monkeypatch.setattr(checkpoints, "apart", begun.append)
    host = create_engine(url)
    store = {"a host's engine": lambda: SqlStore(host), "in memory": lambda: SqlStore("sqlite://")}.get(
        kind, lambda: SqlStore(url)
    )()
    if kind == "joined":
        with host.connect() as connection, store.joined(connection):
            put(store, 2 * checkpoints.COMMITS)
            connection.commit()
    else:
        put(store, 2 * checkpoints.COMMITS)
    store.close()
    host.dispose()
    assert begun == []


@pytest.mark.parametrize("place", ["apart", "_moved"])
def test_where_it_fails_commits_stand(store: SqlStore, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = list[Any]()

    def fail(*given: Any) -> Any:
        calls.append(given)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(checkpoints, place, fail)
    put(store, 2 * checkpoints.COMMITS)
    store._checkpoints.close()
    assert calls
    with store._blocking_transaction(read_only=True) as tx:
        assert tx.get(LOCATION._replace(id=f"L{2 * checkpoints.COMMITS - 1}"))


def test_where_no_thread_can_be_started_commits_stand(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", fail)
    put(store, checkpoints.COMMITS)
    with store._blocking_transaction(read_only=True) as tx:
        assert tx.get(LOCATION._replace(id=f"L{checkpoints.COMMITS - 1}"))


def test_a_rotated_key_is_out_of_the_log_once_no_one_holds_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last checkpoint of a rotation is tried again where another connection is in the way."""
    path = url.removeprefix("sqlite:///")
    reader = sqlite3.connect(path, isolation_level=None)
    impatient = create_engine(url, connect_args={"timeout": 0})
    waits = list[float]()

    def end_reading(seconds: float) -> None:
        waits.append(seconds)
        reader.execute("ROLLBACK") if reader.in_transaction else None

    monkeypatch.setattr(rotation, "sleep", end_reading)
    with impatient.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ocpi_parties").fetchone()
        connection.exec_driver_sql("CREATE TABLE of_a_host (id)")
        connection.commit()
        rotation.checkpoint(connection)
        connection.rollback()
    assert waits
    assert Path(f"{path}-wal").stat().st_size == 0
    reader.close()
    impatient.dispose()
