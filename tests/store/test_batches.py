"""Waiting writes to SQLite share a commit, but no failure, no cancellation and no wait."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import event

from ocpi_emsp._pieces import driven, store_in_pieces
from ocpi_emsp.errors import CannotStore, SchemaMismatch, StoreFailed
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import LOCATION

SECONDS = 30.0
"""What anything here may take before it counts as hanging."""
AT = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Gate:
    """A store whose first piece waits in its transaction, so that others gather behind it."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.in_pieces = store_in_pieces(store)
        self.entered = threading.Event()
        self.open = threading.Event()
        self.commits = 0
        self.fails: list[Exception] = []
        engine = store._engine
        event.listen(engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.commits += 1
        if self.fails:
            raise self.fails.pop()

    async def hold(self) -> None:
        async def flow() -> None:
            async with self.in_pieces.transaction():
                self.entered.set()
                assert self.open.wait(SECONDS)

        await driven(flow())

    async def put(self, name: str, inside: Callable[[Any], Awaitable[None]] | None = None) -> None:
        async def flow() -> None:
            async with self.in_pieces.transaction() as tx:
                await tx.put(record(name))
                await tx.get(key("nothing"))  # sends what was put
                if inside is not None:
                    await inside(tx)

        await driven(flow())

    async def behind(self, *pieces: Awaitable[None]) -> list[BaseException | None]:
        """Have the pieces wait behind one that is held, let them go on, and return what each raised."""
        first = asyncio.ensure_future(self.hold())
        await asyncio.to_thread(self.entered.wait, SECONDS)
        rest = [asyncio.ensure_future(piece) for piece in pieces]
        await asyncio.sleep(0)  # each is begun, and waits
        self.open.set()
        with anyio.fail_after(SECONDS):
            await first
            return await asyncio.gather(*rest, return_exceptions=True)

    def stored(self) -> list[str]:
        with self.store._blocking_transaction(read_only=True) as tx:
            return [name for name in "abcd" if tx.get(key(name)) is not None]


def key(name: str) -> Key:
    return LOCATION._replace(id=name)


def record(name: str) -> Record:
    return Record(key(name), b"{}", AT, AT)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr("ocpi_emsp._batches._LONG_SECONDS", SECONDS)  # on a busy machine a short batch takes long
    store = SqlStore(f"sqlite:///{tmp_path}/emsp.db", lock_timeout=SECONDS)
    store.upgrade()
    yield Gate(store)
    store.close()


async def refuse(_: Any) -> None:
    raise LookupError("mine")


def test_what_waits_shares_a_commit(gate: Gate) -> None:
    ends = asyncio.run(_behind(gate, *"abc"))
    assert ends == [None] * 3
    assert gate.commits == 2, "of the one that was held, and of the three behind it"
    assert gate.stored() == ["a", "b", "c"]


async def _behind(gate: Gate, *names: str) -> list[BaseException | None]:
    return await gate.behind(*(gate.put(name) for name in names))


def test_a_long_batch_commits_before_its_next_piece(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocpi_emsp._batches._LONG_SECONDS", 0.0)
    assert asyncio.run(_behind(gate, *"abc")) == [None] * 3
    assert gate.commits == 4
    assert gate.stored() == ["a", "b", "c"]


def test_a_piece_that_fails_takes_back_its_own(gate: Gate) -> None:
    async def host() -> list[BaseException | None]:
        return await gate.behind(gate.put("a"), gate.put("b", refuse), gate.put("c", unstorable), gate.put("d"))

    async def unstorable(tx: Any) -> None:
        await tx.put(Record(Key(Kind.EVSE, "NL", "TNM", "E", "\ud800"), b"{}", AT, AT))

    first, second, third, last = asyncio.run(host())
    assert (first, last) == (None, None)
    assert isinstance(second, LookupError)
    assert isinstance(third, CannotStore)
    assert gate.stored() == ["a", "d"]


def test_a_piece_sees_what_those_before_it_wrote(gate: Gate) -> None:
    seen = list[bool]()

    async def look(tx: Any) -> None:
        seen.append(await tx.get(key("a")) is not None)

    asyncio.run(_seen(gate, look))
    assert seen == [True]


async def _seen(gate: Gate, look: Callable[[Any], Awaitable[None]]) -> None:
    assert await gate.behind(gate.put("a"), gate.put("b", look)) == [None, None]


def test_a_commit_that_fails_fails_all_of_them(gate: Gate) -> None:
    async def host() -> list[BaseException | None]:
        async def after_first(_: Any) -> None:
            gate.fails.append(sqlite3.OperationalError("disk I/O error"))

        return await gate.behind(gate.put("a", after_first), gate.put("b"), gate.put("c", refuse))

    for end in asyncio.run(host()):
        assert isinstance(end, StoreFailed)
        assert "shared with other requests failed" in str(end)
        assert "disk I/O error" in str(end)
    assert gate.stored() == []


def test_where_sqlite_takes_back_more_than_a_piece_its_batch_fails_and_the_rest_is_done(gate: Gate) -> None:
    async def lost(tx: Any) -> None:
        connection = tx._tx._connection.connection.driver_connection
        connection.execute("ROLLBACK")  # as SQLite does by itself where the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    async def host() -> list[BaseException | None]:
        return await gate.behind(gate.put("a"), gate.put("b", lost), gate.put("c"), gate.put("d"))

    first, second, third, last = asyncio.run(host())
    assert isinstance(first, StoreFailed)
    assert isinstance(second, StoreFailed)
    assert (third, last) == (None, None)
    assert gate.stored() == ["c", "d"]


def test_one_that_is_cancelled_while_it_waits_does_not_begin(gate: Gate) -> None:
    async def host() -> None:
        first = asyncio.ensure_future(gate.hold())
        await asyncio.to_thread(gate.entered.wait, SECONDS)
        waiting, other = asyncio.ensure_future(gate.put("a")), asyncio.ensure_future(gate.put("b"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open.set()
        await asyncio.gather(first, other)

    asyncio.run(host())
    assert gate.stored() == ["b"]


def test_one_that_is_cancelled_once_it_has_begun_is_done(gate: Gate) -> None:
    async def host() -> None:
        async def wait(_: Any) -> None:
            gate.entered.set()
            assert gate.open.wait(SECONDS)

        begun = asyncio.ensure_future(gate.put("a", wait))
        await asyncio.to_thread(gate.entered.wait, SECONDS)
        begun.cancel()
        await asyncio.sleep(0)
        begun.cancel()  # and again, while it is waited for
        await asyncio.sleep(0)
        assert not begun.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await begun
        assert gate.stored() == ["a"], "the cancellation came after the commit"

    asyncio.run(host())


def test_waiting_has_an_end(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/emsp.db", lock_timeout=0.05)
    store.upgrade()
    gate = Gate(store)

    async def host() -> None:
        first = asyncio.ensure_future(gate.hold())
        await asyncio.to_thread(gate.entered.wait, SECONDS)
        with pytest.raises(StoreFailed, match=r"another transaction has locked the database for 0\.05 s"):
            await gate.put("a")
        gate.open.set()
        await first

    asyncio.run(host())
    assert gate.stored() == []
    store.close()


def test_a_schema_that_does_not_match_is_said_to_each(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/emsp.db")
    store.upgrade()
    with sqlite3.connect(tmp_path / "emsp.db") as connection:
        connection.execute("UPDATE ocpi_version SET version_num = 'of another version'")
    connection.close()
    gate = Gate(store)

    async def host() -> list[BaseException | None]:
        return await asyncio.gather(*(gate.put(name) for name in "abc"), return_exceptions=True)

    assert {type(end) for end in asyncio.run(host())} == {SchemaMismatch}
    store.close()
