"""``ocpi-emsp parties|locations|evses|sessions|cdrs|tariffs|tokens|reservations list|show``."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from cli import filled
from cli.conftest import Command
from ocpi_emsp.cli import listing, objects
from ocpi_emsp.flows.inbound.stored import received_key
from ocpi_emsp.flows.parties.party import issue
from ocpi_emsp.ports import Key, Kind
from ocpi_emsp.storage import SqlStore
from processes import limited

PLURALS = tuple(plural for plural in objects.KINDS if plural != "commands")


def add(url: str, kind: str, ids: list[str], *, owner: tuple[str, str] = filled.OWNER, parent: str = "") -> None:
    """Put records with these ids into the store."""
    store = SqlStore(url)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for each in ids:
            tx.put(filled.record(received_key(kind, owner, each, parent), json.dumps({"id": each}).encode()))
    store.close()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("plural", "cells"),
    [
        ("parties", ["NL-TNM", "REGISTERED", "The New Motion", "credentials", "https://cpo.example.com/versions"]),
        ("locations", ["NL-TNM", "LOC1", "Gent Zuid", "Gent", "BEL", "1 AVAILABLE, 1 RESERVED"]),
        ("evses", ["NL-TNM", "LOC1", "3257", "BE-BEC-E041503002", "RESERVED", "1"]),
        ("sessions", ["NL-TNM", "101", "COMPLETED", "DE8ACC12E46L89", "2015-06-29T22:39:09Z", "41.00", "8.50 EUR"]),
        ("cdrs", ["NL-TNM", "12345", "DE8ACC12E46L89", "2015-06-29T21:39:09Z", "15.342", "4.00 EUR"]),
        ("tariffs", ["NL-TNM", "12", "EUR", "0", "2024-05-06T07:08:09Z"]),
        ("tokens", ["012345678", "RFID", "DE8ACC12E46L89", "yes", "ALLOWED", "TheNewMotion"]),
        ("reservations", ["NL-TNM", "LOC1", "7", "3256", "USED", "2024-05-06T07:08:09Z", "012345678", "U3", "101"]),
    ],
)
def test_people_get_a_table_of_what_tells_most(plural: str, cells: list[str], command: Command) -> None:
    ended = command(plural, "list")
    assert (ended.status, ended.err) == (0, "")
    header, *rows = ended.out.splitlines()
    assert len(header.split()) >= 5
    assert all(cell in rows[-1] for cell in cells), rows


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("plural", [*PLURALS, "rejections", "events", "authorizations"])
def test_the_party_of_a_list_is_an_argument_or_an_option(plural: str, command: Command) -> None:
    whole = command(plural, "list", "--json")
    assert command(plural, "list", "nl-tnm", "--json") == command(plural, "list", "--party", "NL-TNM", "--json")
    assert command(plural, "list", "NL-TNM", "--party", "NL-TNM").status == 0
    assert whole.out != ""
    assert command(plural, "list", "FR-ABC", "--json").out == ""
    both = command(plural, "list", "NL-TNM", "--party", "FR-ABC")
    assert (both.status, both.err) == (2, "ocpi-emsp: expected one party: PARTY is NL-TNM, --party is FR-ABC\n")


def test_a_session_without_a_cost_shows_no_currency(database: str, command: Command) -> None:
    add(database, Kind.SESSION, ["S2"])
    assert command("sessions", "list").out.count("EUR") == 1


@pytest.mark.usefixtures("database")
def test_machines_get_the_documents_as_they_are_stored_one_a_line(command: Command) -> None:
    (cdr,) = command("cdrs", "list", "--json").out.splitlines()
    assert filled.BIG.decode() in cdr
    assert json.loads(cdr, parse_float=Decimal)["x_big"] == Decimal(filled.BIG.decode())
    assert command("tariffs", "list", "--json").out == filled.records()[6].document.decode() + "\n"
    evses = [json.loads(line) for line in command("evses", "list", "--json").out.splitlines()]
    assert [evse["uid"] for evse in evses] == ["3256", "3257"]
    (location,) = [json.loads(line) for line in command("locations", "list", "--json").out.splitlines()]
    assert location["evses"] == evses
    assert location["name"] == "Gent Zuid"


def test_a_tariff_is_listed_and_shown_as_it_was(database: str, command: Command) -> None:
    """The stored one is of 2024-05-06; T1 held before, and was deleted on 2024-02-01."""
    store = SqlStore(database)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        version = filled.record(filled.owned(Kind.TARIFF_VERSION, "T1", "1"), b'{"id":"T1","currency":"CHF"}')
        began, ended = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
        tx.put(evolve(version, valid_from=began, first_received_at=began, valid_until=ended))
    store.close()
    assert [json.loads(line)["id"] for line in command("tariffs", "list", "--json").out.split("\n") if line] == ["12"]
    ids = {
        at: [
            json.loads(line)["id"] for line in command("tariffs", "list", "--json", "--at", at).out.split("\n") if line
        ]
        for at in ("2023-12-31", "2024-01-01", "2024-01-31T23:59:59Z", "2024-02-01", "2024-05-07")
    }
    assert list(ids.values()) == [[], ["T1"], ["T1"], [], ["12"]]
    (_, row) = command("tariffs", "list", "--at", "2024-01-15", "--party", "NL-TNM").out.splitlines()
    assert all(cell in row for cell in ("NL-TNM", "T1", "CHF"))
    nothing = command("tariffs", "list", "--at", "2024-03-01")
    assert (nothing.status, nothing.out, nothing.err) == (0, "", "ocpi-emsp: no tariffs held at 2024-03-01T00:00:00Z\n")
    shown = command("tariffs", "show", "T1", "--at", "2024-01-15T12:00:00+01:00")
    assert shown.out.startswith("received 2024-01-01T00:00:00Z, last updated 2024-01-01T00:00:00Z\n{")
    assert '"currency":"CHF"' in command("tariffs", "show", "T1", "--json", "--at", "2024-01-15").out
    gone = command("tariffs", "show", "T1", "--at", "2024-03-01", "--party", "NL-TNM")
    assert (gone.status, gone.out) == (1, "")
    assert "there is no tariff 'T1' of NL-TNM that held at 2024-03-01T00:00:00Z" in gone.err
    bad = command("tariffs", "list", "--at", "soon")
    assert bad.status == 2
    assert "invalid time 'soon': expected ISO 8601, for example 2024-05-01" in bad.err
    assert command("sessions", "list", "--at", "2024-01-01").status == 2, "of tariffs alone"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("argv", [("list",), ("list", "--json"), ("show", "NL-TNM"), ("show", "nl-tnm", "--json")])
def test_no_token_of_a_party_is_printed(argv: tuple[str, ...], command: Command) -> None:
    ended = command("parties", *argv)
    assert ended.status == 0
    assert "The New Motion" in ended.out
    for secret in (filled.SECRET, filled.TOKEN, issue(filled.TOKEN, filled.AT).sha256, "sha256"):
        assert secret not in ended.out + ended.err
    if "--json" in argv:
        document: dict[str, Any] = json.loads(ended.out)
        assert document["issued"] == [{"issued_at": "2024-05-06T07:08:09Z"}]
        assert "token" not in document


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("locations", "show", "LOC1"), '"name": "Gent Zuid"'),
        (("locations", "show", "LOC1", "--party", "nl-tnm"), '"uid": "3257"'),
        (("evses", "show", "LOC1/3256"), '"uid": "3256"'),
        (("evses", "show", "3256", "--location", "LOC1"), '"uid": "3256"'),
        (("sessions", "show", "101"), '"COMPLETED"'),
        (("cdrs", "show", "12345"), filled.BIG.decode()),
        (("tariffs", "show", "12"), '"currency": "EUR"'),
        (("tokens", "show", "012345678"), '"uid": "012345678"'),
        (("reservations", "show", "LOC1/7"), '"reservation_id": 7'),
        (("reservations", "show", "7", "--location", "LOC1", "--party", "NL-TNM"), '"session_id": "101"'),
        (("tokens", "show", "012345678", "--type", "RFID", "--party", "IT-BEC"), '"uid": "012345678"'),
    ],
)
def test_one_is_shown(argv: tuple[str, ...], said: str, command: Command) -> None:
    ended = command(*argv)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("received 2024-05-06T07:08:09Z, last updated 2024-05-06T07:08:09Z\n{\n")
    assert said in ended.out
    json.loads(ended.out.partition("\n")[2])


@pytest.mark.usefixtures("database")
def test_json_shows_the_stored_bytes(command: Command) -> None:
    for plural, object_id, index in (("tariffs", "12", 6), ("cdrs", "12345", 7)):
        assert command(plural, "show", object_id, "--json").out == filled.records()[index].document.decode() + "\n"


@pytest.mark.parametrize("object_id", ["CDR-1", "cdr-1"])
def test_the_id_of_a_cdr_compares_without_case(object_id: str, database: str, command: Command) -> None:
    add(database, Kind.CDR, ["CDR-1"])
    assert command("cdrs", "show", object_id, "--json").out == '{"id": "CDR-1"}\n'


def test_the_id_of_a_cdr_is_listed_as_the_cpo_wrote_it(database: str, command: Command) -> None:
    add(database, Kind.CDR, ["cdr-1"])
    assert command("cdrs", "list").out.splitlines()[-1].split()[1] == "cdr-1"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("parties", "show", "DE-ABC"), 1, "there is no party DE-ABC"),
        (("locations", "show", "loc1"), 1, "there is no location 'loc1'"),
        (("locations", "show", "LOC1", "--party", "DE-ABC"), 1, "there is no location 'LOC1' of DE-ABC"),
        (("evses", "show", "LOC1/1"), 1, "there is no EVSE 'LOC1/1'"),
        (("evses", "show", "3256"), 2, "invalid id '3256': expected LOCATION/3256, or --location LOCATION"),
        (("reservations", "show", "LOC1/8"), 1, "there is no reservation 'LOC1/8'"),
        (("reservations", "show", "7"), 2, "invalid id '7': expected LOCATION/7, or --location LOCATION"),
        (("tokens", "show", "012345678", "--type", "OTHER"), 1, "there is no token '012345678'"),
        (("sessions", "show", "\x1b[2J"), 1, "there is no session '\\x1b[2J'"),
        (("parties", "show", "NLTNM"), 2, "invalid party"),
        (("locations",), 2, "ACTION"),
    ],
)
def test_what_is_not_there_is_said(argv: tuple[str, ...], status: int, said: str, command: Command) -> None:
    ended = command(*argv)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err


def test_an_id_that_two_parties_have_needs_the_party(database: str, command: Command) -> None:
    add(database, Kind.SESSION, ["101", "7"], owner=("DE", "ABC"))
    add(database, Kind.PARTY, [""], owner=("DE", "ABC"))
    ended = command("sessions", "show", "101")
    assert (ended.status, ended.out) == (2, "")
    assert "there are several: --party NL-TNM; --party DE-ABC: say which" in ended.err
    assert command("sessions", "show", "101", "--party", "DE-ABC", "--json").out == '{"id": "101"}\n'
    assert command("sessions", "list", "--party", "de-abc", "--json").out == '{"id": "101"}\n{"id": "7"}\n'
    assert command("sessions", "list", "--party", "XX-XXX", "--json").out == ""
    assert command("sessions", "list", "--party", "XX-XXX").err == "ocpi-emsp: there are no sessions of XX-XXX\n"
    add(database, Kind.TOKEN, ["012345678"], owner=filled.OURS, parent="OTHER")
    assert "--party IT-BEC --type RFID; --party IT-BEC --type OTHER" in command(
        "tokens", "show", "012345678"
    ).err.replace(
        "--party IT-BEC --type OTHER; --party IT-BEC --type RFID",
        "--party IT-BEC --type RFID; --party IT-BEC --type OTHER",
    )


def test_the_party_of_an_evse_is_found_where_none_is_registered(tmp_path: Path, command: Command) -> None:
    url = f"sqlite:///{tmp_path / 'ocpi.db'}"
    store = SqlStore(url)
    store.upgrade()
    evse = {"uid": "E1", "status": "AVAILABLE", "last_updated": "2024-05-06T07:08:09Z"}
    location = json.dumps({"id": "LOC1", "evses": [evse]}).encode()
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        tx.put(filled.record(received_key(Kind.LOCATION, ("DE", "ABC"), "LOC1"), location))
    store.close()
    ended = command("evses", "show", "LOC1/E1", "--json", "--store", url)
    assert (ended.status, json.loads(ended.out)) == (0, evse)


def test_a_list_goes_on_page_after_page(database: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    add(database, Kind.SESSION, [f"S{number:03}" for number in range(250)])
    monkeypatch.setattr(listing, "PAGE", 7)
    lines = command("sessions", "list", "--json").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["101", *(f"S{number:03}" for number in range(250))]
    assert len(command("sessions", "list", "--json", "--limit", "20").out.splitlines()) == 20
    for argv, rows, said in (((), 100, "there are more: --limit says how many"), (("--limit", "101"), 101, "")):
        ended = command("sessions", "list", *argv)
        assert sum(line.startswith("NL-TNM") for line in ended.out.splitlines()) == rows
        assert said in ended.err
        assert bool(said) is bool(ended.err)
    assert command("sessions", "list", "--limit", "0").status == 2


def test_a_list_has_what_has_a_status(database: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PAGE", 3)
    _, *rows = command("evses", "list", "--status", "reserved").out.splitlines()
    assert [row.split()[2] for row in rows] == ["3257"]
    assert json.loads(command("evses", "list", "NL-TNM", "--status", "AVAILABLE", "--json").out)["uid"] == "3256"
    none = command("evses", "list", "--status", "FREE")
    assert (none.status, none.out, none.err) == (0, "", "ocpi-emsp: there are no EVSEs with the status FREE\n")
    store = SqlStore(database)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for number in range(20):
            document = {"id": f"S{number:02}", "status": "ACTIVE" if number % 5 == 0 else "PENDING"}
            key = received_key(Kind.SESSION, filled.OWNER, f"S{number:02}")
            tx.put(filled.record(key, json.dumps(document).encode()))
    store.close()

    def listed(*argv: str) -> list[str]:
        lines = command("sessions", "list", "--status", "ACTIVE", "--json", *argv).out.splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert listed() == ["S00", "S05", "S10", "S15"]
    assert listed("--limit", "3") == ["S00", "S05", "S10"]


@pytest.mark.parametrize(
    "document", [b'{"name": 5, "total_cost": [], "location": "x", "endpoints": {}}', b"[1]", b"[" * 5000 + b"]" * 5000]
)
@pytest.mark.parametrize("plural", [plural for plural in PLURALS if plural != "parties"])
def test_a_document_that_deviates_leaves_cells_empty(
    plural: str, document: bytes, database: str, command: Command
) -> None:
    kind = objects.KINDS[plural]
    parent = {"evses": "LOC1", "reservations": "LOC1", "tokens": "RFID"}.get(plural, "")
    store = SqlStore(database)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        tx.put(filled.record(Key(kind, *filled.OWNER, "ODD", parent), document))
    store.close()
    ended = command(plural, "list")
    assert (ended.status, ended.err) == (0, "")
    assert "ODD" in ended.out.splitlines()[-1]


def test_a_reader_that_has_seen_enough_ends_a_list_quietly(database: str) -> None:
    add(database, Kind.SESSION, [f"S{number}" for number in range(5000)])
    line = [sys.executable, "-m", "ocpi_emsp", "sessions", "list", "--json"]
    with (
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing_process,
        limited(listing_process),
    ):
        assert listing_process.stdout is not None
        assert listing_process.stderr is not None
        listing_process.stdout.readline()
        listing_process.stdout.close()
        assert listing_process.stderr.read() == ""
        assert listing_process.wait(60) == 0
