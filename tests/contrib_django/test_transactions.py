"""What is called inside atomic() is part of it; outside, and in Django's TestCase, it is as anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import pytest
from django.db import ProgrammingError, connections, transaction

from flows.support import offline_emsp
from ocpi_emsp import Emsp
from ocpi_emsp.contrib.django import joined
from ocpi_emsp.contrib.django.store import DjangoStore, database_url
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.events import LocationReceived
from ocpi_emsp.ports import EVENT, Entry, Key, Kind
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import SimulatedCpo
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from our_emsp import NOW, register, token

LOCATION = SimulatedCpo().catalogue.locations.get("LOC1")


@pytest.fixture
def store(alias: str) -> Iterator[DjangoStore]:
    made = DjangoStore(alias)
    yield made
    made.close()


@pytest.fixture
def emsp(store: DjangoStore) -> Emsp:
    return offline_emsp(store=store)


def uids(emsp: Emsp) -> list[str]:
    return [each.uid for each in emsp.tokens.list()]


def names(alias: str) -> list[str]:
    from charging.models import Driver

    return list(Driver.objects.using(alias).order_by("id").values_list("name", flat=True))


def put(emsp: Emsp, alias: str, name: str, around: AbstractContextManager[Any] | None = None) -> None:
    from charging.models import Driver

    Driver.objects.using(alias).create(name=name, token_uid=name)
    with around or nullcontext():
        emsp.tokens.put(token(name))
        assert name in uids(emsp)


class _Undone(Exception):
    """Ends a transaction."""


@contextmanager
def rolled_back(alias: str) -> Iterator[None]:
    with suppress(_Undone), transaction.atomic(alias):
        yield
        raise _Undone


@pytest.mark.parametrize("is_own", [False, True], ids=["the project's eMSP", "an eMSP of its own"])
def test_a_put_ends_as_the_transaction_does(alias: str, store: DjangoStore, is_own: bool) -> None:
    own = SqlStore(database_url(connections.settings[alias])) if is_own else None
    emsp = offline_emsp(store=own or store)

    def around() -> AbstractContextManager[None]:
        return joined(emsp, using=alias) if is_own else nullcontext()

    with transaction.atomic(alias):
        put(emsp, alias, "KEPT", around())
    with rolled_back(alias):
        put(emsp, alias, "GONE", around())
    with transaction.atomic(alias):
        put(emsp, alias, "OUTER", around())
        with rolled_back(alias):
            put(emsp, alias, "INNER", around())
    put(emsp, alias, "ALONE")
    assert uids(emsp) == names(alias) == ["KEPT", "OUTER", "ALONE"]
    if own:
        own.close()


def test_joined_needs_a_transaction(emsp: Emsp) -> None:
    expected = "no transaction on the database 'default': call joined inside"
    with pytest.raises(RuntimeError, match=expected), joined(emsp):
        pass


# --- events -----------------------------------------------------------------------------------------------------------


def push_location(emsp: Emsp, authorization: str) -> int:
    path, headers = "/2.1.1/locations/NL/TNM/LOC1", {"authorization": f"Token {authorization}"}
    return emsp.handle(Request("PUT", path, headers=headers, body=encode(LOCATION))).status


def listened(emsp: Emsp) -> list[str]:
    found = list[str]()
    emsp.on(LocationReceived)(lambda event: found.append(event.location.id))
    return found


def test_an_event_waits_for_the_commit(alias: str, emsp: Emsp) -> None:
    delivered, authorization = listened(emsp), register(emsp)
    with rolled_back(alias):
        push_location(emsp, authorization)
    emsp.redeliver()
    assert (delivered, emsp.locations.get("NL-TNM", "LOC1")) == ([], None)
    with transaction.atomic(alias):
        push_location(emsp, authorization)
        emsp.redeliver()
        assert delivered == []
        transaction.on_commit(emsp.redeliver, using=alias)
    assert delivered == ["LOC1"]


def test_a_party_of_a_transaction_that_is_undone_is_unknown(alias: str, emsp: Emsp) -> None:
    with rolled_back(alias):
        authorization = register(emsp)
        assert [push_location(emsp, authorization) for _ in range(2)] == [201, 200]
    assert push_location(emsp, authorization) == 401


def test_a_party_that_a_transaction_unregisters_is_unknown_in_it(alias: str, emsp: Emsp) -> None:
    authorization = register(emsp)
    assert push_location(emsp, authorization) == 201
    with rolled_back(alias):
        emsp.partner("NL-TNM").unregister(tell=False)
        assert push_location(emsp, authorization) == 401
    assert push_location(emsp, authorization) == 200


def test_in_a_test_case_of_django_it_does_not(alias: str, emsp: Emsp) -> None:
    """Its transaction never commits: code under test would wait for ever."""
    delivered, authorization = listened(emsp), register(emsp)
    around = transaction.atomic(alias)
    around._from_testcase = True  # as django.test.TestCase does
    with suppress(_Undone), around:
        push_location(emsp, authorization)
        assert delivered == ["LOC1"]
        with transaction.atomic(alias):  # that of code under test
            emsp.tokens.put(token("A"))
        raise _Undone
    assert emsp.locations.get("NL-TNM", "LOC1") is None
    assert uids(emsp) == []


# --- what fails -------------------------------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_that_of_the_project_usable(alias: str, store: DjangoStore, emsp: Emsp) -> None:
    blocking: Any = store.for_mode("sync")
    key = Key(Kind.LOCATION, "NL", "TNM", "L")
    with transaction.atomic(alias):
        with suppress(_Undone), blocking.blocking_transaction() as tx:
            tx.append(Entry(id="E1", topic=EVENT, name="x", key=key, at=NOW, body=b"{}"))
            raise _Undone
        put(emsp, alias, "KEPT")
    assert uids(emsp) == names(alias) == ["KEPT"]
    assert list(emsp.events.list()) == []


def test_a_transaction_of_django_that_is_lost_is_said(alias: str, emsp: Emsp) -> None:
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with rolled_back(alias):
            with pytest.raises(ProgrammingError), connection.cursor() as cursor:
                cursor.execute("SELECT nothing")
            with pytest.raises(StoreFailed, match="current transaction is aborted"):
                emsp.tokens.put(token("A"))
    with rolled_back(alias):
        connection.close()
        with pytest.raises(StoreFailed, match="closed"):
            emsp.tokens.put(token("A"))
    put(emsp, alias, "A")
