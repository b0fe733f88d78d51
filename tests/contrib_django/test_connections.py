"""A listener or hook leaves no connection of Django open, and none of its caller closed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from flows.support import cpo_server, serve
from ocpi_emsp import AuthorizationInfo, AuthorizationRequest, Limits
from ocpi_emsp.contrib.django.connections import closing_connections
from ocpi_emsp.contrib.django.emsp import DjangoEmsp
from ocpi_emsp.events import PartyRegistered
from ocpi_emsp.settings import AuthorizeLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.wire import Request
from our_emsp import URL, register, token


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Django's connection of this thread, closed, and its settings as they were."""
    connection.close()
    before = connection.settings_dict["CONN_MAX_AGE"]
    yield
    connection.settings_dict["CONN_MAX_AGE"] = before
    connection.close()


def query(*_: object) -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connection.connection


def test_what_a_listener_opens_is_closed_after_it() -> None:
    listener = closing_connections(query)
    assert listener(None) is not None
    assert connection.connection is None


def test_it_is_closed_where_the_listener_raises() -> None:
    def failing() -> None:
        query()
        raise KeyError

    with pytest.raises(KeyError):
        closing_connections(failing)()
    assert connection.connection is None


def test_a_connection_of_the_caller_stays_open() -> None:
    before = query()
    assert closing_connections(query)() is before
    assert connection.connection is before


def test_a_connection_that_the_caller_closed_meanwhile_is_not_his() -> None:
    query()

    def other() -> Any:
        connection.close()
        return query()

    closing_connections(other)()
    assert connection.connection is None


def test_a_young_connection_is_used_again_until_it_is_old() -> None:
    connection.settings_dict["CONN_MAX_AGE"] = 600
    listener = closing_connections(query)
    first = listener()
    assert listener() is first
    connection.close_at = 0  # as if ten minutes had passed
    assert listener() is not first
    assert connection.connection is not None


def test_only_the_outermost_call_closes() -> None:
    def outer() -> bool:
        before = query()
        closing_connections(query)()
        return connection.connection is before

    assert closing_connections(outer)()
    assert connection.connection is None


def test_an_async_listener_leaves_none_in_the_thread_of_async_queries() -> None:
    def connected() -> Any:
        return connections["default"].connection

    async def asking() -> Any:
        return await sync_to_async(query)()

    async def cancelled() -> None:
        await sync_to_async(query)()
        await asyncio.sleep(60)

    async def scenario() -> list[Any]:
        opened = await closing_connections(asking)()
        task = asyncio.create_task(closing_connections(cancelled)())
        while await sync_to_async(connected)() is None:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = await sync_to_async(connected)()
        return [opened, left]

    opened, left = asyncio.run(scenario())
    assert opened is not None
    assert left is None


# --- on an eMSP -------------------------------------------------------------------------------------------------------


def test_hooks_and_listeners_of_the_projects_emsp_are_such_functions() -> None:
    left = list[Any]()
    emsp = DjangoEmsp(
        country_code="IT",
        party_id="BEC",
        name="Be Charge",
        url=URL,
        store=MemoryStore(),
        http_client=serve(cpo_server()),
        limits=Limits(authorize=AuthorizeLimits(timeout=None)),  # the hook runs in this thread
    )

    @emsp.authorize
    def hook(request: AuthorizationRequest) -> AuthorizationInfo:
        assert query() is not None
        return request.allow()

    @emsp.on(PartyRegistered)
    def listener(_: PartyRegistered) -> None:
        left.append(query())

    assert (hook.__name__, listener.__name__) == ("hook", "listener")
    authorization = register(emsp)
    assert left != [None]
    assert connection.connection is None
    emsp.tokens.put(token("A"))
    headers = {"authorization": f"Token {authorization}"}
    answer = emsp.handle(Request("POST", "/2.1.1/tokens/A/authorize", headers=headers))
    assert b'"ALLOWED"' in answer.body
    assert connection.connection is None


def test_a_second_hook_is_refused_with_the_place_of_the_first_and_may_replace_it() -> None:
    emsp = DjangoEmsp(country_code="IT", party_id="BEC", name="Be Charge", url=URL, store=MemoryStore())
    emsp.authorize(lambda request: request.allow())
    with pytest.raises(ValueError, match=r"test_connections\.py:[0-9]+\) is registered already"):
        emsp.authorize(lambda request: request.refuse())
    emsp.authorize(lambda request: request.refuse(), replace=True)


@pytest.mark.parametrize("door", ["authorize", "on"])
def test_what_is_no_function_is_refused_as_ever(door: str) -> None:
    emsp = DjangoEmsp(country_code="IT", party_id="BEC", name="Be Charge", url=URL, store=MemoryStore())
    register_one: Any = emsp.authorize if door == "authorize" else emsp.on(PartyRegistered)
    with pytest.raises(TypeError, match="expected a function"):
        register_one(7)
