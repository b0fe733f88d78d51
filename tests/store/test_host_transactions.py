"""What is called in a host's transaction is part of it: SQLAlchemy's Core and ORM (Django's: tests/contrib_django)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import anyio
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from flows.support import offline_emsp
from ocpi_emsp import Emsp
from ocpi_emsp.storage import MemoryStore, SqlStore
from our_emsp import token

ENDS = pytest.mark.parametrize("is_kept", [True, False], ids=["committed", "rolled back"])


@pytest.fixture
def url(url_with_schema: str) -> str:
    return url_with_schema


@pytest.fixture
def emsp(url: str) -> Iterator[Emsp]:
    store = SqlStore(url)
    yield offline_emsp(store=store)
    store.close()


def stored(emsp: Emsp) -> list[str]:
    return [each.uid for each in emsp.tokens.list()]


def core(engine: Engine) -> Any:
    return engine.connect()


@ENDS
@pytest.mark.parametrize("open_", [core, Session], ids=["core", "orm"])
def test_a_put_ends_as_the_hosts_transaction_does(
    emsp: Emsp, url: str, open_: Callable[[Engine], AbstractContextManager[Any]], is_kept: bool
) -> None:
    engine = create_engine(url)
    with open_(engine) as host:
        with emsp.joined(host):
            emsp.tokens.put(token("A"))
            assert stored(emsp) == ["A"]
        (host.commit if is_kept else host.rollback)()
    engine.dispose()
    assert stored(emsp) == (["A"] if is_kept else [])
    emsp.tokens.put(token("B"))  # outside, transactions are our own again


@ENDS
@pytest.mark.parametrize("open_", [AsyncEngine.connect, AsyncSession], ids=["core", "orm"])
def test_it_does_so_in_an_async_host(url: str, open_: Callable[[AsyncEngine], Any], is_kept: bool) -> None:
    async def scenario() -> list[str]:
        engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
        emsp = offline_emsp(store=SqlStore(engine))
        async with open_(engine) as host:
            async with emsp.aio.joined(host):
                await emsp.aio.tokens.put(token("A"))
            await (host.commit if is_kept else host.rollback)()
        uids = [each.uid async for each in emsp.aio.tokens.list()]
        await engine.dispose()
        return uids

    assert anyio.run(scenario) == (["A"] if is_kept else [])


def test_what_has_no_transaction_is_refused_at_the_call(emsp: Emsp) -> None:
    with pytest.raises(TypeError, match="invalid connection 'str': expected a Connection or Session"), emsp.joined("x"):
        pass
    with pytest.raises(TypeError, match=r"invalid store 'MemoryStore'.*for example SqlStore"):
        offline_emsp(store=MemoryStore()).joined(None)
