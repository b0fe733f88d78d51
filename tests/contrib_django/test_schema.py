"""A schema that is missing or old: the message names the command of Django, in a transaction of the project as well."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from django.db import connections, transaction

from contrib_django.test_transactions import rolled_back
from flows.support import offline_emsp
from ocpi_emsp import Emsp
from ocpi_emsp._pieces import PieceTransaction
from ocpi_emsp.contrib.django.store import DjangoStore
from ocpi_emsp.errors import SchemaMismatch
from ocpi_emsp.storage import migrations
from our_emsp import token


@pytest.fixture
def emsp(alias: str) -> Iterator[Emsp]:
    store = DjangoStore(alias)
    yield offline_emsp(store=store)
    store.close()


def command(alias: str) -> str:
    return "`python manage.py migrate" + ("`" if alias == "default" else f" --database {alias}`")


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ("ALTER TABLE ocpi_version RENAME TO ocpi_hidden", "the schema does not exist"),
        ("UPDATE ocpi_version SET version_num = '0001'", "the schema has revision 0001"),
        ("DELETE FROM ocpi_version", "the schema does not exist"),
    ],
    ids=["missing", "old", "unversioned"],
)
def test_a_transaction_of_the_project_looks_at_the_schema(emsp: Emsp, alias: str, change: str, there: str) -> None:
    with rolled_back(alias):
        with connections[alias].cursor() as cursor:
            cursor.execute(change)
        with pytest.raises(SchemaMismatch) as raised:
            emsp.tokens.put(token("A"))
        latest = migrations.latest()
        assert raised.value.message.endswith(f": {there}; expected revision {latest}: run {command(alias)}")
    with transaction.atomic(alias):
        emsp.tokens.put(token("A"))
    assert [each.uid for each in emsp.tokens.list()] == ["A"]


def test_it_is_looked_at_once(emsp: Emsp, alias: str) -> None:
    with transaction.atomic(alias):
        emsp.tokens.put(token("A"))
    with rolled_back(alias):
        with connections[alias].cursor() as cursor:
            cursor.execute("ALTER TABLE ocpi_version RENAME TO ocpi_hidden")
        assert emsp.tokens.get("A") is not None


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_transaction_of_our_own_names_the_same_command(
    emsp: Emsp, alias: str, is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = migrations.latest()
    monkeypatch.setattr(migrations, "latest", lambda: "9999")
    get = partial(anyio.run, emsp.aio.tokens.get, "A") if is_async else partial(emsp.tokens.get, "A")
    with pytest.raises(SchemaMismatch) as raised:
        get()
    said = f": the schema has revision {current}; expected revision 9999: run {command(alias)}"
    assert raised.value.message.endswith(said)


def test_once_it_was_looked_at_a_transaction_of_an_async_host_is_the_stores_own(emsp: Emsp, alias: str) -> None:
    """It runs in one piece, in one worker thread."""
    store = DjangoStore(alias)
    mode: Any = store.for_mode("async")

    async def kinds() -> list[type]:
        found = list[type]()
        for _ in range(2):
            transaction = mode.transaction(read_only=True)
            found.append(type(transaction))
            async with transaction:
                pass
        await store.aclose()
        return found

    first, second = anyio.run(kinds)
    assert (first is PieceTransaction, second is PieceTransaction) == (False, True)
    assert emsp.tokens.get("A") is None
