"""How many statements a transaction sends for what it prefetched: counts, which do not depend on the machine."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ocpi_emsp.ports import Kind
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import prepared
from ocpi_emsp.testing.contract import LOCATION, evse, record, session

_MANY = 50


@pytest.fixture
def store(postgres_with_schema: str) -> Iterator[SqlStore]:
    opened = SqlStore(postgres_with_schema)
    yield opened
    opened.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the driver was given."""
    found = list[str]()
    execute: Callable[..., Any] = prepared._execute

    def counting(connection: Any, text: str, values: Any, **options: Any) -> Any:
        found.append(text)
        return execute(connection, text, values, **options)

    monkeypatch.setattr(prepared, "_execute", counting)
    return found


def test_known_records_and_their_evses_are_read_by_three_statements(store: SqlStore, sent: list[str]) -> None:
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
        assert len(sent) == 3  # which are there, locations, EVSEs
        tx.prefetch(locations, children=True)
        assert len(sent) == 3


@pytest.mark.parametrize(("kind", "most"), [(Kind.SESSION, 3), (Kind.CDR, 2)])
def test_new_records_are_locked_by_one_statement(store: SqlStore, sent: list[str], kind: str, most: int) -> None:
    keys = [session(f"S{number}").key._replace(kind=kind) for number in range(_MANY)]
    with store._blocking_transaction(read_only=False) as tx:
        tx.prefetch(keys)
        assert [tx.get(key) for key in keys] == [None] * _MANY
        assert len(sent) == most
