"""What all tests share: examples that can be repeated, and a PostgreSQL.

Every run of the suite draws the same examples, so that a red run can be repeated; `make fuzz` looks for new ones.
"""

from __future__ import annotations

import base64
import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import find, settings
from hypothesis.strategies import none
from sqlalchemy import Engine, create_engine, text

from ocpi_emsp.storage import MemoryStore, SqlStore, metadata
from postgres import Postgres, PrivatePostgres, server

# A key of the run: stores in a database without a file would leave theirs in the working directory.
os.environ.setdefault("OCPI_EMSP_SECRET_KEY", base64.urlsafe_b64encode(os.urandom(32)).decode())

# Hundreds of processes here import the library. It is compiled once, not by each of them, in containers too, whose
# environment often says that Python keeps nothing; what it keeps lies in __pycache__ as anywhere else.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def _files_in_memory() -> bool:
    """Whether temporary files can be in memory: not in a small one (Docker's has 64 MiB), nor where nothing may run."""
    if os.name != "posix" or not os.access(_MEMORY, os.W_OK):
        return False
    found = os.statvfs(_MEMORY)
    return found.f_bavail * found.f_frsize > 4 * 1024**3 and not found.f_flag & os.ST_NOEXEC


# SQLite waits for the disk at each commit. The machine does not fail during the tests, only processes do, and what a
# commit wrote outlives those here, too. pytest deletes the files of a test that passed.
_MEMORY = "/dev/shm"  # pytest makes a folder of its own there
if "PYTEST_DEBUG_TEMPROOT" not in os.environ and _files_in_memory():
    os.environ["PYTEST_DEBUG_TEMPROOT"] = _MEMORY

# Before anybody imports them: other packages of the suite use them too.
pytest.register_assert_rewrite("served.support", "served.partner", "served.cases", "served.calls", "served.writes")

# No deadline: how long an example takes says how busy the machine is, and what hangs is ended by the test's timeout.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


def pytest_collection() -> None:
    """Collect without looking for garbage: what is collected stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Keep the tests themselves, and what they import, out of each search for garbage.

    There are 850,000 such objects in the whole suite; a look at all of them takes 0.8 s, every 30 tests or so.
    """
    gc.enable()
    # Hypothesis makes its generator at its first example; the lowest version warns where none can find what holds it.
    find(none(), lambda _: True)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The PostgreSQL of this run, one for each process that runs tests."""
    with server() as running:
        yield running


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database that no other test has."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_with_schema(postgres_server: Postgres) -> Iterator[Engine]:
    with postgres_server.database() as url:
        _create_schema(url)
        engine = create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def _store_on_postgres(_postgres_with_schema: Engine) -> Iterator[SqlStore]:
    store = SqlStore(_postgres_with_schema.url)
    yield store
    store.close()


@pytest.fixture
def postgres_with_schema(_postgres_with_schema: Engine, _store_on_postgres: SqlStore) -> str:
    """The URL of a database with our schema, which is emptied for each test, and to which nobody is connected."""
    _store_on_postgres.close()
    _empty(_postgres_with_schema)
    return _postgres_with_schema.url.render_as_string(hide_password=False)


@pytest.fixture
def postgres_store(_postgres_with_schema: Engine, _store_on_postgres: SqlStore) -> SqlStore:
    """An empty store on that database. It is left open: two connections for each test would take 20 ms."""
    _empty(_postgres_with_schema)
    return _store_on_postgres


def _empty(engine: Engine) -> None:
    """Without TRUNCATE and RESTART, which make new files: that takes a hundred times as long."""
    with engine.begin() as connection:
        connection.execute(text(_EMPTY))


_EMPTY = "; ".join(
    [
        *(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)),
        "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)"
        " FROM pg_sequences WHERE last_value IS NOT NULL",
    ]
)


@pytest.fixture(scope="session")
def _sqlite_with_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "emsp.db"
    _create_schema(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_with_schema(tmp_path: Path, _sqlite_with_schema: Path) -> Path:
    """A SQLite file with our schema that no other test has."""
    return Path(shutil.copy(_sqlite_with_schema, tmp_path / "emsp.db"))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest) -> Iterator[MemoryStore | SqlStore]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "postgresql":
        yield request.getfixturevalue("postgres_store")
    else:
        opened = SqlStore(f"sqlite:///{request.getfixturevalue('sqlite_with_schema')}")
        yield opened
        opened.close()


def _create_schema(url: str) -> None:
    store = SqlStore(url)
    store.upgrade()
    store.close()


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A PostgreSQL of this test alone, to be stopped and started."""
    with PrivatePostgres() as running:
        yield running
