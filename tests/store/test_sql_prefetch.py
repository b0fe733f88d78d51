"""What a transaction that prefetches sends to its driver: how many statements, and what happens after a failure."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest

from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.ports import EVENT, DueQuery, Kind, Query
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import piped, prepared, sending
from ocpi_emsp.storage.sql.piped import Asked
from ocpi_emsp.storage.sql.transaction import SqlTransaction
from ocpi_emsp.testing.contract import BASE, LOCATION, entry, evse, record, session

_MANY = 50


@pytest.fixture
def store(postgres_with_schema: str) -> Iterator[SqlStore]:
    opened = SqlStore(postgres_with_schema)
    yield opened
    opened.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the driver was given, those of one round trip in one text."""
    found = list[str]()
    execute: Callable[..., Any] = prepared._execute
    ask: Callable[..., Any] = piped.ask

    def counting(connection: Any, text: str, values: Any, **options: Any) -> Any:
        found.append(text)
        return execute(connection, text, values, **options)

    def counting_all(connection: Any, asked: Sequence[Asked]) -> Any:
        found.append("; ".join(each.text for each in asked))
        return ask(connection, asked)

    monkeypatch.setattr(prepared, "_execute", counting)
    monkeypatch.setattr(sending, "ask", counting_all)
    return found


def test_known_records_and_their_evses_are_read_at_once(store: SqlStore, sent: list[str]) -> None:
    locations = [LOCATION._replace(id=f"L{number}") for number in range(_MANY)]
    with store._blocking_transaction(read_only=False) as tx:
        for location in locations:
            tx.put(record(location))
            tx.put(evse("E1", location))
    sent.clear()
    with store._blocking_transaction(read_only=False) as tx:
        tx.prefetch(locations, children=True)
        for location in locations:
            found = tx.get(location)
            assert found is not None
            (below,) = tx.children(location)
            tx.put(record(below.key, b'"new"'))
            assert [each.document for each in tx.children(location)] == [b'"new"']
        tx.prefetch(locations, children=True)
        (sent_at_once,) = sent
        assert sent_at_once.count("; ") == 3  # BEGIN, which are there, locations, EVSEs


@pytest.mark.parametrize("kind", [Kind.SESSION, Kind.CDR])
def test_new_records_are_locked_at_once(store: SqlStore, sent: list[str], kind: str) -> None:
    keys = [session(f"S{number}").key._replace(kind=kind) for number in range(_MANY)]
    with store._blocking_transaction(read_only=False) as tx:
        tx.prefetch(keys)
        assert [tx.get(key) for key in keys] == [None] * _MANY
        (sent_at_once,) = sent
        assert sent_at_once.count("; ") == 2  # BEGIN, the locks, what is there


CALLS: dict[str, Callable[[SqlTransaction], object]] = {
    "get": lambda tx: tx.get(LOCATION),
    "prefetch": lambda tx: tx.prefetch([LOCATION, LOCATION._replace(id="LOC2")], children=True),
    "children": lambda tx: tx.children(LOCATION),
    "page": lambda tx: tx.page(Query(kind=Kind.LOCATION)),
    "documents": lambda tx: tx.documents(Query(kind=Kind.TOKEN)),
    "put": lambda tx: tx.put(record()),
    "delete": lambda tx: tx.delete(LOCATION),
    "append": lambda tx: tx.append(entry("1")),
    "entry": lambda tx: tx.entry("1"),
    "entries": lambda tx: tx.entries(EVENT),
    "due": lambda tx: tx.due(DueQuery(topic=EVENT, at=BASE)),
    "settle": lambda tx: tx.settle("1"),
    "usage": lambda tx: tx.usage(Kind.CDR),
}


@pytest.mark.parametrize("call", CALLS)
def test_what_the_driver_raises_is_a_store_that_failed(
    sqlite_with_schema: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whatever was asked: a connection that is lost in the middle of it is our outage, and no error of a driver."""
    store = SqlStore(f"sqlite:///{sqlite_with_schema}")

    def lost(*_: object, **__: object) -> None:
        raise OperationalError("the connection is lost")

    def work() -> None:
        with store._blocking_transaction(read_only=False) as tx:
            monkeypatch.setattr(prepared, "_execute", lost)
            CALLS[call](tx)

    with pytest.raises(StoreFailed, match="the connection is lost"):
        work()
    store.close()
