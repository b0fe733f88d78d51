"""``ocpi-emsp reconcile``: what people, programs and spreadsheets are told of CDRs and sessions that do not fit."""

from __future__ import annotations

import csv
import json
import sys
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from cli import filled
from cli.conftest import Command, Ended
from ocpi_emsp.cli import main
from ocpi_emsp.cli.reconcile import COLUMNS
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document, encode, parse_timestamp

MAY = ("--from", "2024-05-01", "--to", "2024-06-01T00:00:00+00:00")
START = filled.AT.replace(microsecond=0) + timedelta(days=1)
DUPLICATE = Key(Kind.CDR_CONFLICT, *filled.OWNER, "12345", "hash")


def put(url: str, *records: tuple[str, Document], parent: str = "", gone: tuple[Key, ...] = ()) -> None:
    """Put documents into the store, and take records away."""
    store = SqlStore(url)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for key in gone:
            tx.delete(key)
        for kind, document in records:
            key = filled.owned(kind, document["id"], parent)
            tx.put(Record(key, encode(document), parse_timestamp(document["last_updated"]), filled.AT))
    store.close()


def session(session_id: str, hours: int = 0, **changes: Any) -> Document:
    return {**samples.session(session_id, start=START + timedelta(hours=hours)), **changes}


@pytest.fixture
def fitting(database: str) -> str:
    """A database whose only CDR and session fit: nothing is found."""
    gone = (*(filled.owned(kind, each) for kind, each in ((Kind.SESSION, "101"), (Kind.CDR, "12345"))), DUPLICATE)
    put(database, (Kind.SESSION, session("S1")), (Kind.CDR, samples.cdr("C1", of=session("S1"))), gone=gone)
    put(database, (Kind.EVSE, samples.evse() | {"id": "LOC1-E1"}), parent="LOC1")
    return database


def rows(ended: Ended) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(ended.out)))


def test_nothing_is_found_where_everything_fits(fitting: str, command: Command) -> None:
    assert fitting
    ended = command("reconcile", "NL-TNM", *MAY)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "NL-TNM, last updated from 2024-05-01T00:00:00Z to 2024-06-01T00:00:00Z: 1 CDR, 1 session",
        "matched: 0 by id, 1 by score",
        "sessions without a CDR: 0 COMPLETED for 24 hours or more, 0 not due",
        "CDRs without a session: 0",
        "conflicting duplicates: 0",
        "differences: 0",
        "suspicious: 0",
        "documents that cannot be read: 0",
    ]


@pytest.mark.usefixtures("database")
def test_people_get_a_table_of_what_somebody_should_look_at(command: Command) -> None:
    """The specification's own examples are no pair: less than half of their time and energy agree."""
    ended = command("reconcile", "nl-tnm", *MAY)
    assert (ended.status, ended.err) == (1, "")
    header, *found = ended.out.partition("\n\n")[2].splitlines()
    assert header.split()[:3] == ["finding", "CDR", "session"]
    assert [line.rstrip() for line in found] == found
    missing, lonely, unreadable = found
    assert missing.startswith("session without CDR")
    assert "41.00 kWh, 8.50 EUR" in missing
    assert "LOC1/3256  2015-06-29T22:39:09Z" in missing
    assert lonely.startswith("CDR without session  12345")
    assert "15.342 kWh, 4.00 EUR" in lonely
    assert "cdr_conflict: error at /auth_id: auth_id is required" in unreadable


@pytest.mark.usefixtures("fitting")
def test_a_difference_and_a_conflict_name_both_sides(command: Command, database: str) -> None:
    costly = samples.cdr("C1", of=session("S1")) | {"total_cost": Decimal("99.90")}
    put(database, (Kind.CDR_CONFLICT, costly), parent="hash")
    put(database, (Kind.SESSION, session("S1", kwh=Decimal("13.00"))))
    ended = command("reconcile", "NL-TNM", *MAY)
    assert ended.status == 1
    difference, conflict = ended.out.splitlines()[-2:]
    assert difference.split()[:6] == ["difference", "C1", "S1", "kwh", "12.5000", "13.00"]
    assert difference.endswith("score 0.988")
    assert "stands: 12.5000 kWh, 4.25 EUR, from 2024-05-07T07:08:09Z" in conflict
    assert "12.5000 kWh, 99.90 EUR" in conflict
    assert command("reconcile", "NL-TNM", *MAY, "--kwh-tolerance", "0.5").out.count("difference  ") == 0


@pytest.mark.usefixtures("database")
def test_programs_get_one_document_with_exact_amounts(command: Command) -> None:
    ended = command("reconcile", "NL-TNM", *MAY, "--json")
    assert (ended.status, ended.err) == (1, "")
    document = json.loads(ended.out, parse_float=Decimal)
    assert document["summary"]["counts"] == {
        "differences": 0,
        "sessions_without_cdr": 1,
        "cdrs_without_session": 1,
        "conflicts": 0,
        "suspicious": 0,
        "unreadable": 1,
        "sessions_not_due": 0,
        "matched": 0,
    }
    assert set(document) == {"summary", *document["summary"]["counts"]}
    (lonely,) = document["cdrs_without_session"]
    assert (str(lonely["total_energy"]), str(lonely["total_cost"])) == ("15.342", "4.00")
    assert command("reconcile", "NL-TNM", *MAY, "--format", "json").out.count("\n") == ended.out.count("\n")


@pytest.mark.usefixtures("fitting")
def test_a_list_of_several_is_still_one_document(command: Command, database: str) -> None:
    put(database, *((Kind.SESSION, session(f"X{number}", 10 + number)) for number in range(3)))
    found = json.loads(command("reconcile", "NL-TNM", *MAY, "--json").out)
    assert [each["id"] for each in found["sessions_without_cdr"]] == ["X0", "X1", "X2"]
    assert [each["how"] for each in found["matched"]] == ["score"]
    limited = json.loads(command("reconcile", "NL-TNM", *MAY, "--json", "--limit", "2").out)
    assert len(limited["sessions_without_cdr"]) == 2
    assert limited["summary"]["not_listed"]["sessions_without_cdr"] == 1


@pytest.mark.usefixtures("fitting")
def test_spreadsheets_get_rows_with_a_header(command: Command, database: str) -> None:
    evil = session("=cmd|' /C calc'!A0", 5, auth_id="@SUM(1)\x1b[31m\n")
    put(database, (Kind.SESSION, evil), (Kind.SESSION, session("S1", total_cost=Decimal("-1.50"))))
    ended = command("reconcile", "NL-TNM", *MAY, "--format", "csv")
    assert (ended.status, ended.err) == (1, "")
    difference, missing, match = rows(ended)
    assert tuple(difference) == COLUMNS
    assert (difference["finding"], difference["what"]) == ("difference", "cost")
    assert (difference["cdr_value"], difference["session_value"]) == ("4.25", "-1.50")
    assert missing["session_id"] == "'=cmd|' /C calc'!A0"
    assert missing["auth_id"] == "'@SUM(1)\\x1b[31m\\n"
    assert match == {
        "finding": "match",
        "cdr_id": "C1",
        "session_id": "S1",
        "how": "score",
        "score": "1.0",
        "what": "",
        "cdr_value": "",
        "session_value": "",
        "auth_id": "DE8ACC12E46L89",
        "location_id": "LOC1",
        "evse_uid": "LOC1-E1",
        "cdr_start": "2024-05-07T07:08:09Z",
        "cdr_stop": "2024-05-07T08:23:09Z",
        "session_start": "2024-05-07T07:08:09Z",
        "session_end": "2024-05-07T08:23:09Z",
        "session_status": "COMPLETED",
        "cdr_kwh": "12.5000",
        "session_kwh": "12.5000",
        "cdr_cost": "4.25",
        "cdr_currency": "EUR",
        "session_cost": "-1.50",
        "session_currency": "EUR",
    }


@pytest.mark.usefixtures("database")
def test_a_csv_row_tells_what_cannot_be_read(command: Command) -> None:
    *_, unreadable = rows(command("reconcile", "NL-TNM", *MAY, "--format", "csv"))
    assert (unreadable["finding"], unreadable["cdr_id"], unreadable["session_id"]) == ("unreadable", "12345", "")


@pytest.mark.usefixtures("fitting")
def test_a_table_is_limited_and_says_so(command: Command, database: str) -> None:
    put(database, *((Kind.SESSION, session(f"X{number}", 10 + number)) for number in range(3)))
    ended = command("reconcile", "NL-TNM", *MAY, "--limit", "1")
    assert ended.out.count("\nsession without CDR") == 1
    assert "sessions without a CDR: 3 COMPLETED" in ended.out
    assert ended.err == ("ocpi-emsp: 2 more rows 'session without CDR' not listed: set --limit, or use json or csv\n")


@pytest.mark.usefixtures("fitting")
def test_a_session_is_not_due_before_its_hours_are_over(command: Command, database: str) -> None:
    put(database, (Kind.SESSION, session("X1", 10)))
    assert command("reconcile", "NL-TNM", *MAY, "--hours", "0").status == 1
    ended = command("reconcile", "NL-TNM", *MAY, "--hours", "999999999")
    assert (ended.status, "0 COMPLETED for 999999999 hours or more, 1 not due" in ended.out) == (0, True)


@pytest.mark.usefixtures("fitting")
def test_a_party_of_which_nothing_is_there_is_named(command: Command) -> None:
    """Most likely it is a slip: 0 alone would say that all is well."""
    for argv in (("DE-ABC", *MAY), ("NL-TNM", "--from", "2024-07-01"), ("NL-TNM",)):
        ended = command("reconcile", *argv)
        assert ended.status == 0
        if argv[0] == "DE-ABC":
            nothing = "there is no registration with DE-ABC, and no CDR and no session of it is stored"
        else:
            nothing = "no CDR and no session of NL-TNM was last updated in this period"
        assert ended.err == f"ocpi-emsp: {nothing}\n"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "Missing argument 'PARTY'"),
        (("NL_TNM",), "invalid party 'NL_TNM': expected CC-XXX"),
        (("NL-TNM", "--from", "yesterday"), "--from: invalid time 'yesterday': expected ISO 8601"),
        (("NL-TNM", "--to", "0001-01-01T00:00:00+14:00"), "--to: invalid time '0001-01-01T00:00:00+14:00'"),
        (("NL-TNM", "--from", "2024-05-02", "--to", "2024-05-01"), "expected a time after date_from"),
        (("NL-TNM", "--hours", "-1"), "--hours: invalid number '-1': expected a whole number from 0"),
        (("NL-TNM", "--kwh-tolerance", "NaN"), "invalid number 'NaN': expected a number from 0"),
        (("NL-TNM", "--cost-tolerance=-0.1"), "invalid number '-0.1': expected a number from 0"),
        (("NL-TNM", "--cost-tolerance", "much"), "invalid number 'much': expected a number from 0"),
        (("NL-TNM", "--limit", "0"), "expected a whole number from 1"),
        (("NL-TNM", "--format", "xml"), "--format: invalid value 'xml': expected table, json or csv"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(argv: tuple[str, ...], said: str, command: Command) -> None:
    ended = command("reconcile", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.usefixtures("database")
def test_a_database_that_is_not_there_is_an_outside_failure(command: Command) -> None:
    ended = command("reconcile", "NL-TNM", "--store", "sqlite:///nothing.db")
    assert (ended.status, ended.out) == (3, "")
    assert "there is no database nothing.db" in ended.err


@pytest.mark.usefixtures("database")
def test_the_table_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["reconcile", "NL-TNM", *MAY]) == 1
    assert "┏━" in terminal.getvalue()


@pytest.mark.usefixtures("fitting")
def test_a_cdr_that_is_billed_twice_is_suspicious_for_people_programs_and_spreadsheets(
    command: Command, database: str
) -> None:
    put(database, (Kind.CDR, samples.cdr("=C2", of=session("S1"))))
    ended = command("reconcile", "NL-TNM", *MAY)
    assert (ended.status, ended.err) == (1, "")
    assert "matched: 0 by id, 1 by score, 1 as copies" in ended.out
    assert "CDRs without a session: 0" in ended.out
    first, second = ended.out.splitlines()[-2:]
    assert first.split()[:3] == ["suspicious", "=C2", "duplicate"]
    assert "the driver, EVSE, start and energy are those of '=C2'" in second
    document = json.loads(command("reconcile", "NL-TNM", *MAY, "--json").out)
    assert [(each["code"], each["pointer"], each["cdr"]["id"]) for each in document["suspicious"]] == [
        ("duplicate", "/id", "=C2"),
        ("duplicate", "/id", "C1"),
    ]
    assert document["summary"]["counts"]["suspicious"] == document["summary"]["matched_as_copies"] + 1 == 2
    first_row, *_ = rows(command("reconcile", "NL-TNM", *MAY, "--format", "csv"))
    assert (first_row["finding"], first_row["what"], first_row["cdr_id"]) == ("suspicious", "duplicate", "'=C2")
    assert first_row["cdr_value"] == "the driver, EVSE, start and energy are those of 'C1'"
