"""A known partner is not read again; after its registration ends, every process refuses its next request."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import frozen
from sqlalchemy import Engine, create_engine, text

from forked import forked
from ocpi_emsp import Emsp
from ocpi_emsp.ports import BlockingStore, Key, Kind
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql import announcements
from ocpi_emsp.testing.contract import Heard, command
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import decode, encode
from ocpi_emsp.wire import Request, Response
from our_emsp import CPO_TOKEN, credentials, make_emsp, register
from postgres import Postgres
from scripted_cpo import ScriptedCpo, clients
from store.round_trips import recorded
from store.support import until_watched
from store.test_announcements import cut_who_listens, put, threads, warned

SECONDS = 60.0
"""What anything here may take before it counts as hanging."""


@frozen
class Served:
    """An eMSP that serves the partner NL-TNM."""

    emsp: Emsp
    store: SqlStore

    def ask(self, token: str, method: str = "GET", path: str = "2.1.1/credentials", body: object = None) -> Response:
        """The answer to a request."""
        sent = b"" if body is None else encode(body)
        return self.emsp.handle(Request(method, f"/{path}", headers={"authorization": f"Token {token}"}, body=sent))

    def status(self, token: str) -> int:
        """That of an answer which only a registered partner gets."""
        return self.ask(token).status


def serving(url: str) -> Served:
    """An eMSP on a database."""
    store = SqlStore(url)
    return Served(make_emsp(store=store, **clients(ScriptedCpo(token=CPO_TOKEN))), store)


@pytest.fixture
def here(url_with_schema: str) -> Iterator[Served]:
    """It knows which changes of parties there are."""
    served = serving(url_with_schema)
    until_watched(served.store)
    yield served
    served.store.close()


@pytest.fixture
def there(url_with_schema: str) -> Iterator[Served]:
    """Another store object on the same database."""
    served = serving(url_with_schema)
    yield served
    served.store.close()


@pytest.fixture
def token(here: Served) -> str:
    """The partner's token, with which it was here twice."""
    token = register(here.emsp)
    assert [here.status(token), here.status(token)] == [200, 200]
    return token


@contextmanager
def arrived(here: Served, there: Served) -> Iterator[None]:
    """What is committed there in the block is known here at its end: notifications come in the order of the commits."""
    heard = Heard()
    end = here.store.announce(heard)
    yield
    put(there.store, command("last"))
    if str(here.store).startswith("postgresql"):
        assert heard.hears("last")
    end()


# --- what it saves --------------------------------------------------------------------------------------------------


def test_a_known_partner_costs_no_statement(url_with_schema: str, tmp_path: Path) -> None:
    with recorded(tmp_path) as recorder:
        here = serving(url_with_schema)
        until_watched(here.store)
        token = register(here.emsp)
        assert [here.ask(token, path="versions").status for _ in range(2)] == [200, 200]  # its use retires token A
        with arrived(here, here):
            pass
        assert here.ask(token, path="versions").status == 200
        recorder.take()
        assert [here.ask(token, path="versions").status for _ in range(5)] == [200] * 5
        assert recorder.take() == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SqlStore, "watch_parties", lambda _: None)
            patch.setattr(SqlStore, "is_unchanged", lambda *_: False)
            assert here.ask(token, path="versions").status == 200
        assert len(recorder.take()) >= 2
        here.store.close()


def test_an_async_host_knows_it_too(url_with_schema: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        here = serving(url_with_schema)
        until_watched(here.store)
        asked = Request("GET", "/versions", headers={"authorization": f"Token {register(here.emsp)}"})
        assert (await here.emsp.aio.handle(asked)).status == 200
        with arrived(here, here):
            pass
        assert (await here.emsp.aio.handle(asked)).status == 200
        recorder.take()
        assert [(await here.emsp.aio.handle(asked)).status for _ in range(5)] == [200] * 5
        assert recorder.take() == []
        await here.store.aclose()

    with recorded(tmp_path) as recorder:
        anyio.run(scenario)


# --- what ends it ---------------------------------------------------------------------------------------------------


def test_a_partner_that_is_unregistered_is_refused_at_once(here: Served, token: str) -> None:
    here.emsp.partner("NL-TNM").unregister(tell=False)
    assert here.status(token) == 401


def test_a_partner_that_is_unregistered_elsewhere_is_refused(here: Served, there: Served, token: str) -> None:
    with arrived(here, there):
        there.emsp.partner("NL-TNM").unregister(tell=False)
    assert here.status(token) == 401


def test_a_partner_that_ends_its_registration_elsewhere_is_refused(here: Served, there: Served, token: str) -> None:
    with arrived(here, there):
        assert there.ask(token, "DELETE").status == 200
    assert here.status(token) == 401


def test_a_token_that_is_renewed_elsewhere_works_until_the_new_one_is_used(
    here: Served, there: Served, token: str
) -> None:
    with arrived(here, there):
        newer = decode(there.ask(token, "PUT", body=credentials()).body)["data"]["token"]
    assert here.status(token) == 200
    with arrived(here, there):
        assert there.status(newer) == 200
    assert [here.status(token), here.status(newer), here.status(newer)] == [401, 200, 200]


def test_a_profile_that_is_changed_elsewhere_counts(here: Served, there: Served, token: str) -> None:
    path, session = "2.1.1/sessions/DE/ABC/1", samples.session("1")
    assert here.ask(token, "PUT", path, session).status == 404
    with arrived(here, there):
        there.emsp.partner("NL-TNM").set_profile(allowed_parties=["DE-ABC"])
    assert [here.ask(token, "PUT", path, session).status for _ in range(2)] == [201, 200]
    assert here.ask(token, "GET", path).status == 200
    with arrived(here, there):  # its own connection alone writes for it from now on
        register(there.emsp, "DE", "ABC")
    assert here.ask(token, "GET", path).status == 404
    with arrived(here, there):
        there.emsp.partner("DE-ABC").unregister(tell=False)
    assert here.ask(token, "GET", path).status == 200


ENDS_IT = """
import sys
from ocpi_emsp import Emsp
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.contract import command
store = SqlStore(sys.argv[1])
Emsp(country_code="IT", party_id="BEC", name="Be Charge", url="https://emsp.test", store=store).partner(
    "NL-TNM"
).unregister(tell=False)
with store.for_mode("sync").blocking_transaction() as tx:
    tx.put(command("last"))
store.close()
"""


def test_a_partner_that_another_process_unregisters_is_refused(
    here: Served, token: str, url_with_schema: str, tmp_path: Path
) -> None:
    program, heard = tmp_path / "ends_it.py", Heard()
    program.write_text(ENDS_IT)
    end = here.store.announce(heard)
    with forked(program, url_with_schema, folder=tmp_path) as process:
        assert process.wait(SECONDS) == 0
    if str(here.store).startswith("postgresql"):
        assert heard.hears("last")
    end()
    assert here.status(token) == 401


# --- the host's own transactions ------------------------------------------------------------------------------------


def test_what_a_host_has_not_committed_counts_for_itself_alone(here: Served, token: str, url_with_schema: str) -> None:
    engine = create_engine(url_with_schema)
    with engine.connect() as connection, connection.begin() as undone:
        with here.emsp.joined(connection):
            here.emsp.partner("NL-TNM").unregister(tell=False)
            assert here.status(token) == 401
        assert here.status(token) == 200
        undone.rollback()
    assert here.status(token) == 200
    with engine.begin() as connection, here.emsp.joined(connection):
        here.emsp.partner("NL-TNM").unregister(tell=False)
    with arrived(here, here):
        pass
    assert here.status(token) == 401
    engine.dispose()


def test_what_a_host_rolls_back_is_not_remembered(here: Served, token: str, url_with_schema: str) -> None:
    path, session = "2.1.1/sessions/DE/ABC/1", samples.session("1")
    engine = create_engine(url_with_schema)
    with engine.connect() as connection, connection.begin() as undone:
        with here.emsp.joined(connection):
            here.emsp.partner("NL-TNM").set_profile(allowed_parties=["DE-ABC"])
            assert [here.ask(token, "PUT", path, session).status for _ in range(2)] == [201, 200]
        undone.rollback()
    assert here.ask(token, "PUT", path, session).status == 404
    engine.dispose()


# --- PostgreSQL: while nothing would be noticed ---------------------------------------------------------------------


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_where_the_connection_is_lost_nothing_is_known(
    here: Served, there: Served, token: str, url_with_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_FIRST_PAUSE", SECONDS)
    monkeypatch.setattr(announcements, "_LONGEST_PAUSE", SECONDS)
    with warned() as warnings:
        cut_who_listens(url_with_schema)
        assert warnings.came.wait(SECONDS)
    assert here.store.watch_parties() is None
    there.emsp.partner("NL-TNM").unregister(tell=False)
    assert here.status(token) == 401


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_what_was_missed_meanwhile_is_read_again(here: Served, there: Served, token: str, url_with_schema: str) -> None:
    heard = Heard()
    end = here.store.announce(heard)
    with warned():
        cut_who_listens(url_with_schema)
        there.emsp.partner("NL-TNM").unregister(tell=False)
        assert heard.hears("")
    end()
    assert here.store.watch_parties() is not None
    assert here.status(token) == 401


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_what_is_written_without_a_notification_is_read_within_a_time(
    here: Served, token: str, url_with_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_PROOF", 0.01)
    monkeypatch.setattr(announcements, "_OLDEST", 0.0)
    engine = create_engine(url_with_schema)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM ocpi_credentials"))
    engine.dispose()
    before, heard = here.store.watch_parties(), Heard()
    end = here.store.announce(heard)
    put(here.store, command("wakes"))  # the time until the next look was set before
    assert heard.hears("wakes")
    while here.store.watch_parties() is before:  # the test's timeout ends it
        heard.hears("never", 0.01)
    end()
    assert here.status(token) == 401


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_a_proof_that_is_old_proves_nothing(
    here: Served, there: Served, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcements, "_PROVED", -1.0)
    assert here.store.watch_parties() is None
    there.emsp.partner("NL-TNM").unregister(tell=False)
    assert here.status(token) == 401


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_behind_a_pool_that_passes_no_notifications_on_nothing_is_known(
    url_with_schema: str, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, connections = announcements._connected, list[Any]()

    def connected(engine: Engine) -> Any:
        """The second one is of another database, whose notifications do not come here."""
        connections.append(connect(create_engine(postgres_server.url) if connections else engine))
        return connections[-1]

    monkeypatch.setattr(announcements, "_connected", connected)
    monkeypatch.setattr(announcements, "_RECEIVED", 0.05)
    monkeypatch.setattr(announcements, "_FIRST_PAUSE", SECONDS)
    monkeypatch.setattr(announcements, "_LONGEST_PAUSE", SECONDS)
    store, heard = SqlStore(url_with_schema), Heard()
    with warned() as warnings:
        end = store.announce(heard)
        assert store.watch_parties() is None
        assert warnings.came.wait(SECONDS)
    assert "a pool in between has to be in session mode" in warnings.lines[0]
    assert (store.watch_parties(), heard.said) == (None, [])
    end()
    store.close()
    assert all(each.closed for each in connections)


@pytest.mark.parametrize("url_with_schema", ["postgresql"], indirect=True)
def test_the_thread_of_a_store_that_is_forgotten_ends(url_with_schema: str) -> None:
    store = SqlStore(url_with_schema)
    until_watched(store)
    (thread,) = threads()
    del store
    gc.collect()
    thread.join(SECONDS)
    assert not thread.is_alive()


# --- SQLite ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url_with_schema", ["sqlite"], indirect=True)
def test_a_file_that_is_locked_is_waited_for_by_the_transaction_alone(
    here: Served, token: str, url_with_schema: str
) -> None:
    watched, party = here.store.watch_parties(), Key(Kind.PARTY, "NL", "TNM", "")
    blocking = here.store.for_mode("sync")
    assert isinstance(blocking, BlockingStore)
    with blocking.blocking_transaction(read_only=True) as tx:
        read = [(party, tx.get(party))]
    assert here.store.is_unchanged(watched, read)
    here.store.close()
    with closing(sqlite3.connect(url_with_schema.removeprefix("sqlite:///"), isolation_level=None)) as owner:
        owner.execute("PRAGMA journal_mode = DELETE")
        owner.execute("BEGIN EXCLUSIVE")
        assert not here.store.is_unchanged(watched, read)
    assert here.store.is_unchanged(watched, read)
    assert here.status(token) == 200


def test_a_file_is_not_made_by_looking(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'none.db'}")
    assert not store.is_unchanged(store.watch_parties(), [(Key(Kind.PARTY, "NL", "TNM", ""), None)])
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///file:x?mode=memory&uri=true"])
def test_of_a_database_in_memory_nothing_is_known(url: str) -> None:
    store = SqlStore(url)
    assert store.watch_parties() is None
    assert not store.is_unchanged(None, [])


def test_a_host_with_an_engine_of_its_own_knows_it_too(url_with_schema: str) -> None:
    engine = create_engine(url_with_schema)
    store = SqlStore(engine)
    until_watched(store)
    emsp = make_emsp(store=store, **clients(ScriptedCpo(token=CPO_TOKEN)))
    served = Served(emsp, store)
    token = register(emsp)
    assert [served.status(token) for _ in range(3)] == [200] * 3
    emsp.partner("NL-TNM").unregister(tell=False)
    assert served.status(token) == 401
    store.close()
    engine.dispose()
