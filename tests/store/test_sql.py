"""What is particular to SqlStore: columns for queries, sealed tokens, pages, databases that cannot be used."""

import json
import sqlite3
import weakref
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from attrs import evolve
from sqlalchemy import Integer, cast, create_engine, select
from sqlalchemy.exc import OperationalError

from flows.support import at, offline_emsp
from ocpi_emsp import Policy, SupportMatrix
from ocpi_emsp._bridge import in_place, in_thread, lift_store, run
from ocpi_emsp.codec import decode, encode as encode_document
from ocpi_emsp.contrib.procrastinate.apps import conninfo
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.commands.states import CommandState, SentCommand
from ocpi_emsp.flows.parties.party import Party, PartyState, find_party, issue, put_party
from ocpi_emsp.models import CommandResponseType, CommandType, Evse, WhitelistType
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction
from ocpi_emsp.storage import FernetBox, SqlStore
from ocpi_emsp.storage.secrets import VARIABLE
from ocpi_emsp.storage.sql.engine import blocking_engine, usable_url
from ocpi_emsp.testing.contract import LOCATION, record
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import register, token
from store.sql_rows import push, read, write

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(url_with_schema: str) -> str:
    return url_with_schema


def row(store: SqlStore, url: str, kind: str) -> Any:
    """The only row of a kind, through an engine of the test's own."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(select(store.tables.objects[kind])).one()
    engine.dispose()
    return found


# --- columns --------------------------------------------------------------------------------------------------------


def test_the_columns_for_queries_hold_what_was_pushed(store: SqlStore, url: str) -> None:
    emsp = offline_emsp(store=store)
    token = register(emsp)
    base = "NL/TNM"
    location = {**samples.location(), "last_updated": at(1)}
    location["evses"] = location["evses"][:1]
    session = {**samples.session(), "last_updated": at(1)}
    tariff, cdr = {**samples.tariff(), "last_updated": at(1)}, {**samples.cdr(), "last_updated": at(1)}
    cdr["total_cost"] = Decimal("123456789012345678901234567890.123456789")
    for method, path, body in (
        ("PUT", f"locations/{base}/{location['id']}", location),
        ("PUT", f"sessions/{base}/{session['id']}", session),
        ("PUT", f"tariffs/{base}/{tariff['id']}", tariff),
        ("POST", "cdrs", cdr),
    ):
        assert push(emsp, token, method, path, body).code == 1000
    found = row(store, url, Kind.LOCATION)
    assert (found.country_code, found.party_id, found.id, found.revision) == ("NL", "TNM", location["id"], 1)
    assert (found.country, found.city) == (location["country"], location["city"])
    assert str(found.latitude) in location["coordinates"]["latitude"]
    assert found.document["name"] == location["name"]
    evse = row(store, url, Kind.EVSE)
    assert (evse.location_id, evse.status, evse.evse_id) == (
        location["id"],
        "AVAILABLE",
        location["evses"][0]["evse_id"],
    )
    charging = row(store, url, Kind.SESSION)
    assert (charging.status, charging.auth_id) == (session["status"], session["auth_id"])
    assert charging.start_datetime == datetime.fromisoformat(session["start_datetime"])
    assert row(store, url, Kind.TARIFF).currency == tariff["currency"]
    kinds = (Kind.TARIFF, Kind.LOCATION, Kind.EVSE, Kind.SESSION, Kind.CDR)
    assert [len(row(store, url, kind).content_hash) for kind in kinds] == [32, 0, 0, 0, 0], (
        "it is what a CDR costs most"
    )
    invoice = row(store, url, Kind.CDR)
    assert invoice.total_cost == cdr["total_cost"]
    assert (invoice.auth_id, invoice.currency) == (cdr["auth_id"], cdr["currency"])
    assert invoice.start_date_time == datetime.fromisoformat(cdr["start_date_time"])
    assert invoice.stop_date_time == datetime.fromisoformat(cdr["stop_date_time"])
    assert b"123456789012345678901234567890.123456789" in invoice.received.encode()


def test_no_view_is_held_until_the_flush() -> None:
    """A page of a sync has thousands of objects in its views, which the garbage collector would go through."""
    document = encode(samples.evse("E1"))
    view = decode(Evse, document)
    held, key = weakref.ref(view), Key(Kind.EVSE, "NL", "TNM", "E1", LOCATION.id)
    store = SqlStore("sqlite://")
    with store._blocking_transaction(read_only=False) as tx:
        tx.put(record(LOCATION))
        tx.put(Record(key, document, NOW, NOW, view))
        del view
        assert held() is None
    with store._connected() as connection:
        evses = store.tables.objects[Kind.EVSE]
        assert connection.execute(select(evses.c.status, evses.c.id)).all() == [("AVAILABLE", "E1")]
    store.close()


def test_a_put_writes_every_column() -> None:
    """But those that the database makes, and the revision and the place, which the statement works out."""
    store = SqlStore("sqlite://")
    made = {"sequence", "document", "revision", "place"}
    for kind, statements in store._shared.objects.items():
        names = statements.put.names
        assert sorted(names) == sorted({column.name for column in store.tables.objects[kind].c} - made)
        assert set(statements.rewrite.names) == {"k_sequence", *names[statements.key_end - 1 :]}


def test_a_token_has_its_columns(store: SqlStore, url: str) -> None:
    emsp = offline_emsp(store=store)
    emsp.tokens.put(
        token(
            "012345678",
            auth_id="DE8ACC12E46L89",
            valid=False,
            whitelist=WhitelistType.ALLOWED_OFFLINE,
            last_updated=NOW,
        )
    )
    found = row(store, url, Kind.TOKEN)
    assert (found.country_code, found.party_id, found.uid, found.type) == ("IT", "BEC", "012345678", "RFID")
    assert (found.auth_id, found.valid, found.whitelist) == ("DE8ACC12E46L89", False, "ALLOWED_OFFLINE")
    assert (found.last_updated, found.place) == (NOW, 0)


def test_a_command_has_its_columns(store: SqlStore, url: str) -> None:
    sent = SentCommand(
        uid="c-1",
        command=CommandType.START_SESSION,
        country_code="NL",
        party_id="TNM",
        state=CommandState.LATE,
        deadline=NOW,
        acknowledgement=CommandResponseType.ACCEPTED,
        result=CommandResponseType.REJECTED,
        session_id="S1",
        correlation_id="c",
    )
    for seen in (None, sent):  # by its document, and by the flow's view
        write(store, Record(sent.key, encode_document(sent), NOW, NOW, seen, correlation_id="c"))
        found = row(store, url, Kind.COMMAND)
        assert (found.command, found.acknowledgement, found.result) == ("START_SESSION", "ACCEPTED", "REJECTED")
        assert (found.state, found.deadline, found.session_id) == ("LATE", NOW, "S1")
        assert found.correlation_id == "c"


def test_a_document_without_a_usable_view_leaves_the_columns_empty(store: SqlStore, url: str) -> None:
    write(store, record(Key(Kind.CDR, "NL", "TNM", "C1"), b'{"total_cost":"a lot"}'))
    found = row(store, url, Kind.CDR)
    assert (found.total_cost, found.currency, found.document) == (None, None, {"total_cost": "a lot"})


# --- tokens of parties ----------------------------------------------------------------------------------------------


def party(**changes: Any) -> Party:
    """A registered party to which we present a token."""
    values: dict[str, Any] = {
        "country_code": "NL",
        "party_id": "TNM",
        "state": PartyState.REGISTERED,
        "token": "the-token-that-we-present",
        "issued": (issue("the-token-that-we-gave", NOW),),
    }
    return Party(**(values | changes))


def put(store: SqlStore, wanted: Party) -> None:
    async def work() -> None:
        async with lift_store(store, in_place).transaction() as tx:
            await put_party(tx, wanted, NOW)

    run(work())


def got(store: SqlStore) -> Party | None:
    async def work() -> Party | None:
        async with lift_store(store, in_place).transaction(read_only=True) as tx:
            return await find_party(tx, "NL", "TNM")

    return run(work())


def test_a_url_may_switch_prepared_statements_off(monkeypatch: pytest.MonkeyPatch) -> None:
    base = "postgresql+psycopg://emsp@db/emsp"
    for query, wanted in (("", {}), ("?prepare_threshold=none", {"prepare_threshold": None})):
        engine = blocking_engine(usable_url(base + query), 30.0)
        given: dict[str, Any] = {}

        def note(*_: object, given: dict[str, Any] = given, **arguments: Any) -> None:
            given.update(arguments)
            raise psycopg.OperationalError("not called")

        monkeypatch.setattr(psycopg.Connection, "connect", note)
        monkeypatch.setattr(psycopg, "connect", note)
        with pytest.raises(OperationalError, match="not called"):
            engine.connect()
        assert {name: value for name, value in given.items() if name == "prepare_threshold"} == wanted
    assert "prepare_threshold" not in conninfo(base + "?prepare_threshold=none")
    with pytest.raises(ValueError, match="invalid prepare_threshold 'off': expected none or a number"):
        usable_url(base + "?prepare_threshold=off")


def test_a_party_has_its_columns(store: SqlStore, url: str) -> None:
    emsp = offline_emsp(store=store)
    register(emsp)
    assert row(store, url, Kind.PARTY).matrix is None
    matrix = SupportMatrix.full()
    emsp.partner("NL-TNM").set_matrix(matrix)
    emsp.partner("NL-TNM").set_policy(Policy.strict())
    found = row(store, url, Kind.PARTY)
    assert found.matrix == json.loads(matrix.to_json())
    assert found.policy == {"refuses": "warning", "actions": {}}
    assert (found.state, found.versions_url) == ("REGISTERED", "https://tnm.test/cpo/versions")
    assert "credentials" in [each["identifier"] for each in found.endpoints]


def test_no_token_stands_in_the_database(store: SqlStore, url: str, tmp_path: Path) -> None:
    put(store, party())
    assert got(store) == party()
    found = row(store, url, Kind.PARTY)
    assert "token" not in found.document
    assert found.state == "REGISTERED"
    assert found.token_hashes == [each.sha256 for each in party().issued]
    if url.startswith("sqlite"):
        store.close()
        everything = b"".join(path.read_bytes() for path in tmp_path.glob("emsp.db*") if path.suffix != ".key")
        assert b"the-token-that-we-present" not in everything
        assert b"the-token-that-we-gave" not in everything


def test_the_key_file_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    put(store, party())
    key = tmp_path / "emsp.db.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("emsp.db.key")] == ["emsp.db.key"]
    store.close()
    again = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    assert got(again) == party()
    again.close()


def test_another_key_is_a_clear_error(url: str) -> None:
    store = SqlStore(url, secrets=FernetBox(FernetBox.new_key()))
    put(store, party())
    store.close()
    other = SqlStore(url, secrets=FernetBox(FernetBox.new_key()))
    with pytest.raises(StoreFailed, match=f"another key: provide the key it was encrypted with in {VARIABLE}"):
        got(other)
    other.close()


def test_the_key_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'emsp.db'}"
    key = FernetBox.new_key()
    monkeypatch.setenv(VARIABLE, key)
    store = SqlStore(url)
    put(store, party())
    store.close()
    assert not (tmp_path / "emsp.db.key").exists()
    monkeypatch.delenv(VARIABLE)
    again = SqlStore(url, secrets=FernetBox(key))
    assert got(again) == party()
    again.close()


@pytest.mark.parametrize("key", ["short", "ü" * 44, "!" * 44])
def test_a_key_that_is_none_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(VARIABLE, key)
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    with pytest.raises(StoreFailed, match=f"invalid key in {VARIABLE}"):
        put(store, party())
    store.close()


# --- pages ----------------------------------------------------------------------------------------------------------


def test_places_of_tokens_have_no_gaps(store: SqlStore) -> None:
    def key(number: int, owner: str = "IT") -> Key:
        return Key(Kind.TOKEN, owner, "BEC", f"T{number}", "RFID")

    async def pages(tx: Transaction, owner: str) -> list[str]:
        found = await tx.page(Query(kind=Kind.TOKEN, country_code=owner, party_id="BEC", offset=1, limit=2))
        return [*(each.key.id for each in found.records), str(found.total)]

    async def work() -> list[list[str]]:
        seen = []
        async with lift_store(store, in_place).transaction() as tx:
            for number in range(5):
                await tx.put(record(key(number)))
                await tx.put(record(key(number, "DE")))
            seen.append(await pages(tx, "IT"))
            await tx.delete(key(1))
            seen.append(await pages(tx, "IT"))
            seen.append(await pages(tx, "DE"))
            await tx.put(record(key(1)))
            await tx.put(record(key(0), b'{"again":1}'))
            seen.append(await pages(tx, "IT"))
            await tx.delete(key(0))
            seen.append(await pages(tx, "IT"))
        return seen

    assert run(work()) == [
        ["T1", "T2", "5"],
        ["T2", "T3", "4"],
        ["T1", "T2", "5"],
        ["T2", "T3", "5"],
        ["T3", "T4", "4"],
    ]


# --- what a database refuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [b'"a\\u0000b"', b"1e200000", b'"' + b"x" * 10 + b'"'], ids=["a NUL", "a number too large", "nothing"]
)
def test_a_document_that_the_database_refuses_becomes_a_rejection(store: SqlStore, url: str, value: bytes) -> None:
    emsp = offline_emsp(store=store)
    token = register(emsp)
    body = encode({**samples.tariff(), "last_updated": at(1)})
    body = body[:-1] + b',"vendor":' + value + b"}"
    answer = push(emsp, token, "PUT", f"tariffs/NL/TNM/{samples.tariff()['id']}", body)
    refused = url.startswith("postgresql") and not value.startswith(b'"x')
    assert answer.both == ((200, 2001) if refused else (201, 1000))
    rejections = list(emsp.rejections.list())
    assert [each.body for each in rejections] == ([body] if refused else [])
    if refused:
        assert answer.findings == [("", "store.refused")]
    else:
        assert push(emsp, token, "GET", f"tariffs/NL/TNM/{samples.tariff()['id']}").raw == body


def test_an_id_that_the_database_refuses_is_no_fault_of_ours(store: SqlStore) -> None:
    emsp = offline_emsp(store=store)
    token = register(emsp)
    for method, body in (("GET", None), ("PUT", {**samples.tariff("a\0b"), "last_updated": at(1)})):
        answer = push(emsp, token, method, "tariffs/NL/TNM/a%00b", body)
        assert answer.status != 500, answer
        assert answer.code != 3000


# --- databases that cannot be used ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "invalid store: expected a database URL"),
        ("mysql://localhost/x", "invalid store 'mysql'"),
        ("postgresql+asyncpg://localhost/x", "invalid store 'postgresql.asyncpg'"),
    ],
)
def test_a_url_of_another_database_is_an_error(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SqlStore(url)


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://someone:secret@127.0.0.1:1/x", "sqlite:////nowhere/at/all/emsp.db", "sqlite:////"],
)
def test_a_database_that_is_not_there_is_a_clear_error(url: str) -> None:
    store = SqlStore(url, lock_timeout=1)
    with pytest.raises(StoreFailed) as caught:
        read(store, LOCATION)
    assert str(store) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "emsp.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreFailed, match="file is not a database"):
        read(SqlStore(f"sqlite:///{path}"), LOCATION)


def test_a_file_that_somebody_holds_locked_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "emsp.db"
    store = SqlStore(f"sqlite:///{path}", lock_timeout=0.1)
    write(store, record())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="database is locked"):
        write(store, record(document=b"1"))
    holder.execute("ROLLBACK")
    holder.close()
    write(store, record(document=b"2"))
    assert read(store, LOCATION) == record(document=b"2")
    store.close()


def test_a_wal_file_and_full_durability(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    write(store, record())
    assert (tmp_path / "emsp.db-wal").exists()
    with store._connected() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("synchronous", "foreign_keys")]
    assert found == [2, 1]  # FULL, on
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite+aiosqlite://", "sqlite:///file::memory:?uri=true"])
def test_a_database_in_memory(url: str) -> None:
    store = SqlStore(url)
    write(store, record())

    async def concurrently() -> list[Record | None]:
        found: list[Record | None] = []

        async def work(number: int) -> None:
            async with lift_store(store, in_thread).transaction() as tx:
                await tx.put(record(document=b"%d" % number))
                found.append(await tx.get(LOCATION))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(work, number)
        return found

    assert {each.document for each in anyio.run(concurrently) if each} == {b"%d" % number for number in range(20)}
    assert read(store, LOCATION) is not None
    store.close()


def test_sorting_by_cost_on_sqlite(tmp_path: Path) -> None:
    """Decimals are texts there; docs/how-to/query.md says how they are compared."""
    store = SqlStore(f"sqlite:///{tmp_path / 'emsp.db'}")
    costs = ("10.5", "9", "100")
    write(store, *(cost_record(number, cost) for number, cost in enumerate(costs)))
    table = store.tables.objects[Kind.CDR]
    engine = create_engine(f"sqlite:///{tmp_path / 'emsp.db'}")
    with engine.connect() as connection:
        ordered = connection.execute(select(table.c.total_cost).order_by(cast(table.c.total_cost, Integer))).scalars()
        assert [str(each) for each in ordered] == ["9", "10.5", "100"]
    engine.dispose()
    store.close()


def test_the_queries_of_the_documentation_run(store: SqlStore, url: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "query.md").read_text("utf-8")
    block = page.partition("```python\n")[2].partition("```")[0]
    sent = SentCommand(
        uid="c-1",
        command=CommandType.STOP_SESSION,
        country_code="NL",
        party_id="TNM",
        state=CommandState.ACKNOWLEDGED,
        deadline=NOW,
        session_id="101",
    )
    over = evolve(sent, uid="c-2", state=CommandState.ANSWERED, session_id="102")
    write(store, *(Record(each.key, encode_document(each), NOW, NOW) for each in (sent, over)))
    names: dict[str, Any] = {"store": store}
    exec(compile(block, "docs/how-to/query.md", "exec"), names)
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {name: connection.execute(names[name]).all() for name in ("by_driver", "cities", "vanished")}
        assert found == {"by_driver": [], "cities": [], "vanished": []}
        assert connection.execute(names["late"]).all() == [("c-1", "TNM", NOW)]
        assert connection.execute(names["of_a_session"]).all() == [("c-1", "STOP_SESSION", None)]
    engine.dispose()


def cost_record(number: int, cost: str) -> Record:
    cdr = {**samples.cdr(), "id": f"C{number}", "total_cost": Decimal(cost), "last_updated": at(1)}
    return record(Key(Kind.CDR, "NL", "TNM", f"C{number}"), encode(cdr))
