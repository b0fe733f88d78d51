"""``ocpi-emsp export`` and ``import``: everything, exactly, from any database into any other."""

from __future__ import annotations

import base64
import io
import json
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cli import filled
from cli.conftest import Command, Ended
from cli.exports import (
    DAY,
    DECIDED,
    ENTRY,
    LOOKOUT,
    OTHER,
    OWNER,
    RESERVATION,
    given,
    line,
    lines_of,
    stored,
    waiting,
)
from ocpi_emsp.cli import export_store, import_store, stores
from ocpi_emsp.codec import encode
from ocpi_emsp.flows.parties.party import issue
from ocpi_emsp.ports import (
    AUTHORIZATION,
    DEADLINE,
    FAN_OUT,
    NAMES,
    RESYNC,
    BlockingTransaction,
    Entry,
    Key,
    Kind,
    Query,
)
from ocpi_emsp.storage import SqlStore


def test_every_kind_is_exported() -> None:
    assert set(NAMES) == {value for name, value in vars(Kind).items() if name.isupper()}
    assert list(NAMES).index(Kind.LOCATION) < list(NAMES).index(Kind.EVSE)


@pytest.mark.usefixtures("database")
def test_the_lines_say_everything_exactly(command: Command) -> None:
    ended = command("export")
    assert ended.status == 0
    assert "the export holds secrets" in ended.err
    assert "evses: 2" in ended.err
    *lines, end = lines_of(ended.out)
    documents = [json.loads(each) for each in lines]
    assert json.loads(end) == {"end": {"lines": len(lines)}}
    records = [document for document in documents if "kind" in document]
    assert [document["kind"] for document in records] == [record.key.kind for record in filled.records()]
    for exported, record in zip(lines, filled.records(), strict=False):
        found = json.loads(exported)
        assert Key(*(found[name] for name in Key._fields)) == record.key
        assert (found["last_updated"], found["received_at"]) == (
            "2024-05-06T07:08:09.123456Z",
            "2024-05-06T07:08:09.000007Z",
        )
        if "document_text" in found:
            assert found["document_text"].encode() == record.document
        else:
            assert f'"document":{record.document.decode()}}}' in exported
    texts = [document["kind"] for document in records if "document_text" in document]
    assert texts == ["evse", "evse", "session", "cdr", "cdr_conflict", "token"]
    entries = [document["entry"] for document in documents if "entry" in document]
    assert Counter(entry["topic"] for entry in entries) == {
        **dict.fromkeys(("event", "relay", "dead_event", "dead_relay"), 1),
        "rejection": 2,
        "authorization": 2,
    }
    assert b"no JSON \xff" in [base64.b64decode(entry["body"]) for entry in entries]


def test_a_file_is_its_owners_alone(database: str, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    file.write_text("x")
    file.chmod(0o644)
    for name in ("all.jsonl", "new.jsonl"):
        ended = command("export", "--output", name, "--store", database)
        assert (ended.status, ended.out) == (0, "")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert filled.SECRET in (tmp_path / name).read_text("utf-8")
    assert command("export", "--output", "no/such/folder").status == 2
    if Path("/dev/full").exists():
        ended = command("export", "--output", "/dev/full")
        assert (ended.status, ended.out) == (3, "")
        assert "the output cannot be written: No space left on device" in ended.err


@pytest.mark.usefixtures("database")
def test_sqlite_to_postgresql_and_back_gives_the_same_lines(
    command: Command, postgres_url: str, tmp_path: Path
) -> None:
    assert command("db", "upgrade", "--store", postgres_url).status == 0
    assert command("export", "--output", "1").status == 0
    first = lines_of((tmp_path / "1").read_text("utf-8"))
    for source, target in (("1", postgres_url), ("2", OTHER), ("1", postgres_url), ("1", OTHER)):
        imported = command("import", source, "--store", target)
        assert (imported.status, imported.out) == (0, ""), imported.err
        assert imported.err.startswith("ocpi-emsp: imported parties: 1, credentials: 1, locations: 1, evses: 2, ")
        assert command("export", "--output", "2", "--store", target).status == 0
        assert lines_of((tmp_path / "2").read_text("utf-8")) == first
    for plural in ("locations", "cdrs", "tokens", "sessions"):
        assert command(plural, "list", "--json", "--store", postgres_url) == command(plural, "list", "--json")


@pytest.mark.parametrize("is_whole", [False, True], ids=["one export after the other", "the other way round"])
def test_an_evse_is_replaced_wherever_it_is_stored(is_whole: bool, command: Command, tmp_path: Path) -> None:
    """One export has a location as one record, the other one its EVSEs as records of their own."""
    url = f"sqlite:///{tmp_path / 'other.db'}"
    place = line(kind="location", id="LOC1", document={"id": "LOC1", "evses": [evse("E1", "BLOCKED"), evse("E2")]})
    parts = [line(kind="location", id="LOC1", document={"id": "LOC1", "name": "n"})]
    parts += [line(kind="evse", id=each["uid"], parent="LOC1", document=each) for each in (evse("E1"), evse("E3"))]
    first, second = ([place], parts) if is_whole else (parts, [place])
    for number, lines in enumerate((first, second, second)):
        imported = command("import", given(tmp_path / f"{number}.jsonl", *lines), "--store", url)
        assert imported.status == 0, imported.err
    shown = json.loads(command("locations", "show", "LOC1", "--party", "NL-TNM", "--json", "--store", url).out)
    listed = command("evses", "list", "--json", "--store", url).out.splitlines()
    evses = {each["uid"]: each for each in map(json.loads, listed)}
    assert evses == {each["uid"]: each for each in shown["evses"]}
    assert {uid: each["status"] for uid, each in evses.items()} == {
        "E1": "AVAILABLE" if is_whole else "BLOCKED",
        "E2": "AVAILABLE",
        "E3": "AVAILABLE",
    }
    for uid, each in evses.items():
        one = command("evses", "show", f"LOC1/{uid}", "--party", "NL-TNM", "--json", "--store", url)
        assert json.loads(one.out) == each


def evse(uid: str, status: str = "AVAILABLE") -> dict[str, Any]:
    return {"uid": uid, "status": status, "last_updated": "2024-01-01T00:00:00Z"}


def test_what_is_missing_what_was_pushed_and_what_is_to_be_pulled_survive(
    database: str, command: Command, postgres_url: str
) -> None:
    pushed = [filled.record(filled.owned(Kind.PUSHED, "U1", type_), b'{"valid":true}') for type_ in ("RFID", "OTHER")]
    evse = evolve(stored(database, Kind.EVSE)[0], missing_since=filled.AT, missed=2)
    session = evolve(stored(database, Kind.SESSION)[0], missed=1)
    tariff = evolve(stored(database, Kind.TARIFF)[0], valid_from=filled.AT - DAY, first_received_at=filled.AT)
    version = filled.record(filled.owned(Kind.TARIFF_VERSION, "12", "v"), b'{"id":"12"}')
    version = evolve(version, valid_from=filled.AT - 2 * DAY, valid_until=filled.AT - DAY)
    wish = Entry(id="w", topic=RESYNC, name="X", key=evse.key, at=filled.AT, details=ENTRY["details"], attempts=1)
    store = SqlStore(database)
    with stores.writing(store) as tx:
        for each in (*pushed, evse, session, tariff, version):
            tx.put(each)
        tx.append(wish)
    store.close()
    assert command("db", "upgrade", "--store", postgres_url).status == 0
    for source, target in ((database, postgres_url), (postgres_url, OTHER)):
        exported = command("export", "--output", "all", "--store", source)
        assert "pushed_tokens: 2" in exported.err
        assert "resync entries: 1" in exported.err
        assert command("import", "all", "--store", target).status == 0
        assert stored(target, Kind.PUSHED) == pushed
        evses, sessions = stored(target, Kind.EVSE), stored(target, Kind.SESSION)
        assert [(each.missing_since, each.missed) for each in evses] == [(filled.AT, 2), (None, 0)]
        assert [(each.missing_since, each.missed) for each in sessions] == [(None, 1)]
        assert waiting(target, RESYNC) == [wish]
        assert (stored(target, Kind.TARIFF), stored(target, Kind.TARIFF_VERSION)) == ([tariff], [version])


def test_what_issue_6_added_survives(database: str, command: Command, postgres_url: str) -> None:
    reservation = filled.record(filled.owned(Kind.RESERVATION, "7", "LOC1"), encode(RESERVATION))
    session = evolve(stored(database, Kind.SESSION)[0], correlation_id="Ü-1")
    details: dict[str, dict[str, Any]] = {DEADLINE: {}, FAN_OUT: {}, RESYNC: {"id": "101"}, AUTHORIZATION: DECIDED}
    entries = [
        Entry(id=topic, topic=topic, name="x", key=session.key, at=filled.AT, details={**OWNER, **more}, due=filled.AT)
        for topic, more in details.items()
    ]
    entries += LOOKOUT.entries(filled.AT, "c")
    store = SqlStore(database)
    with stores.writing(store) as tx:
        for record in (reservation, session):
            tx.put(record)
        for each in entries:
            tx.append(each)
    store.close()
    assert command("db", "upgrade", "--store", postgres_url).status == 0
    for source, target in ((database, postgres_url), (postgres_url, OTHER)):
        exported = command("export", "--output", "all", "--store", source)
        assert "reservations: 1" in exported.err
        assert "authorization entries: 3" in exported.err
        imported = command("import", "all", "--store", target)
        assert imported.status == 0, imported.err
        assert stored(target, Kind.RESERVATION) == [reservation]
        assert [each.correlation_id for each in stored(target, Kind.SESSION)] == ["Ü-1"]
        assert [each.correlation_id for each in stored(target, Kind.TARIFF)] == [""]
        for entry in entries:
            assert entry in waiting(target, entry.topic)


def test_an_object_that_an_older_export_has_is_not_missing(database: str, command: Command, tmp_path: Path) -> None:
    lost = evolve(stored(database, Kind.TARIFF)[0], missing_since=filled.AT, missed=3)
    store = SqlStore(database)
    with stores.writing(store) as tx:
        tx.put(lost)
    store.close()
    assert stored(database, Kind.TARIFF)[0].missed == 3
    assert command("import", given(tmp_path / "given", line(document={"id": "12"}, id="12"))).status == 0
    (found,) = stored(database, Kind.TARIFF)
    assert (found.missing_since, found.missed) == (None, 0)


def test_the_postgresql_export_shows_one_moment(
    command: Command, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.fill(postgres_url)
    export = export_store._export

    def while_somebody_writes(tx: BlockingTransaction) -> Counter[str]:
        tx.page(Query(kind=Kind.LOCATION))
        store = SqlStore(postgres_url)
        with stores.writing(store) as other:
            other.put(filled.record(filled.owned(Kind.LOCATION, "LATER"), b"{}"))
            other.delete(filled.owned(Kind.SESSION, "101"))
        store.close()
        return export(tx)

    monkeypatch.setattr(export_store, "_export", while_somebody_writes)
    ended = command("export", "--store", postgres_url)
    assert ended.status == 0
    assert "LATER" not in ended.out
    assert '"kind":"session"' in ended.out


@pytest.mark.usefixtures("database")
def test_import_reads_standard_input_and_page_after_page(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((stores, "PAGE"), (export_store, "PAGE"), (import_store, "BATCH")):
        monkeypatch.setattr(module, name, 1)
    exported = command("export").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(exported.encode())))
    assert command("import", "--store", OTHER).status == 0
    assert lines_of(command("export", "--store", OTHER).out) == lines_of(exported)


def test_what_is_imported_works(database: str, command: Command, tmp_path: Path) -> None:
    command("export", "--output", "all")
    command("import", "all", "--store", OTHER)
    store = SqlStore(OTHER)
    emsp = filled.emsp_on(store)
    location = filled.example("locations/location-LOC1.json")
    assert emsp.handle(filled.put_location(location, "LOC1")).status in (200, 201)
    assert len(list(emsp.rejections.list())) == 2
    assert [event.id for event in emsp.events.list(dead=True)] == ["dead"]
    store.close()
    assert issue(filled.TOKEN, filled.AT).sha256 in (tmp_path / "all").read_text("utf-8")
    assert filled.SECRET.encode() not in (tmp_path / "other.db").read_bytes()
    assert database


def test_an_entry_without_an_object_and_without_a_due_time_survives(database: str, command: Command) -> None:
    store = SqlStore(database)
    with stores.writing(store) as tx:
        tx.append(Entry(id="plain", topic="event", name="X", key=None, at=filled.AT, details=ENTRY["details"]))
    store.close()
    exported = command("export", "--output", "all")
    assert exported.status == 0
    assert command("import", "all", "--store", OTHER).status == 0
    other = SqlStore(OTHER)
    with stores.reading(other) as tx:
        found = tx.entry("plain")
    other.close()
    assert found is not None
    assert (found.key, found.due, found.at) == (None, None, filled.AT)


def test_the_help_names_both(command: Command) -> None:
    for name in ("export", "import"):
        ended: Ended = command(name, "--help")
        assert ended.status == 0
