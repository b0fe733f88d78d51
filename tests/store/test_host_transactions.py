"""What is called in a host's transaction is part of it: SQLAlchemy's Core and ORM, and Django's atomic()."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
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


DJANGO = """
import json, sys
import django
from django.conf import settings

engine, name, url, options = json.loads(sys.argv[1])
settings.configure(DATABASES={"default": {"ENGINE": engine, "NAME": name, **options}}, USE_TZ=True)
django.setup()

from django.db import connection, transaction
from flows.support import offline_emsp
from ocpi_emsp.contrib.django import joined
from ocpi_emsp.events import Event
from ocpi_emsp.storage import SqlStore
from our_emsp import token

emsp = offline_emsp(store=SqlStore(url))
uids = lambda: [each.uid for each in emsp.tokens.list()]
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE drivers (name text)")

def rows():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM drivers")
        return [name for name, in cursor.fetchall()]

def put(uid):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO drivers VALUES (%s)", [uid])
    with joined(emsp):
        emsp.tokens.put(token(uid))
        assert uid in uids()

with transaction.atomic():
    put("KEPT")
try:
    with transaction.atomic():
        put("GONE")
        raise KeyError
except KeyError:
    pass
with transaction.atomic():
    put("OUTER")
    try:
        with transaction.atomic():
            put("INNER")
            raise KeyError
    except KeyError:
        pass
try:
    with joined(emsp):
        refused = ""
except RuntimeError as error:
    refused = str(error)
print(json.dumps([uids(), rows(), refused]))
"""


@pytest.mark.timeout(60)
def test_a_put_inside_djangos_atomic_neither_hangs_nor_survives_the_rollback(url: str) -> None:
    parsed = create_engine(url).url
    name = "sqlite3" if parsed.drivername.startswith("sqlite") else "postgresql"
    options = {"HOST": parsed.query.get("host") or parsed.host or "", "PORT": str(parsed.port or "")}
    options |= {"USER": parsed.username or "", "PASSWORD": parsed.password or ""}
    given = [f"django.db.backends.{name}", parsed.database, url, options if name == "postgresql" else {}]
    ran = subprocess.run(
        [sys.executable, "-c", DJANGO, json.dumps(given)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    kept, rows, refused = json.loads(ran.stdout)
    assert kept == rows == ["KEPT", "OUTER"]
    assert refused == "no transaction on the database 'default': call joined inside transaction.atomic()"
