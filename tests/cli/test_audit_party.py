"""``ocpi-emsp audit NL-TNM``: what is stored of a party, beside files, in every format."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest

from cli import filled
from cli.conftest import Command
from cli.test_audit import FORMATS, OPEN, RIGHT, TARIFF, WRONG, audited, put as put_file
from cli.test_reconcile import put
from ocpi_emsp import Emsp
from ocpi_emsp.ports import Kind, Query
from ocpi_emsp.storage import SqlStore
from report.test_render import Page

MAY = ("--from", "2015-06-01", "--to", "2024-06-01")
"""The specification's CDR was last updated on 2015-06-29, and stored as one of 2024-05-06."""


@pytest.fixture
def billed(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with a CDR that is right (the specification's), a wrong one and one without a tariff."""
    monkeypatch.setenv("COLUMNS", "80")
    put(database, (Kind.CDR, WRONG), (Kind.CDR, OPEN))
    return database


def records(url: str) -> list[object]:
    """Everything that is stored, with every byte."""
    store = SqlStore(url)
    kinds = [kind for name, kind in vars(Kind).items() if name.isupper()]
    try:
        with store.for_mode("sync").blocking_transaction(read_only=True) as tx:  # type: ignore[union-attr] # of a URL
            return [record for kind in kinds for record in tx.page(Query(kind=kind)).records]
    finally:
        store.close()


@pytest.mark.parametrize("form", FORMATS)
def test_the_stored_cdrs_of_a_party_are_audited_and_nothing_is_written(
    form: str, billed: str, command: Command
) -> None:
    before = records(billed)
    ended = command("audit", "nl-tnm", *MAY, "--format", form)
    assert (ended.status, ended.err) == (1, "")
    for said in ("12345", "W", "U", "tariff.missing"):
        assert said in ended.out
    if form == "json":
        assert audited(ended) == {"NL-TNM": [("12345", "right"), ("W", "wrong"), ("U", "undecidable")]}
    elif form == "csv":
        rows = [*csv.DictReader(StringIO(ended.out))]
        assert [(each["file"], each["cdr"], each["difference"]) for each in rows] == [
            ("NL-TNM", "12345", "0"), ("NL-TNM", "W", "3"), ("NL-TNM", "U", ""),
        ]  # fmt: skip
    else:
        title = "CDR audit of NL-TNM, last updated from 2015-06-01T00:00:00Z to 2024-06-01T00:00:00Z"
        assert title in ended.out.replace("\\", "")
    if form == "html":
        Page(ended.out)
    assert records(billed) == before


def test_the_period_the_tariffs_in_the_store_and_the_readings_count(billed: str, command: Command) -> None:
    later = command("audit", "NL-TNM", "--from", "2024-06-01", "--format", "json")
    assert (later.status, audited(later)) == (0, {"NL-TNM": []})
    assert later.err == "ocpi-emsp: no CDR of NL-TNM was last updated in this period\n"
    put(billed, (Kind.TARIFF, {**TARIFF, "id": "11", "last_updated": "2015-01-01T00:00:00Z"}))
    assert ("U", "right") in audited(command("audit", "NL-TNM", "--format", "json"))["NL-TNM"]
    ended = command("audit", "NL-TNM", "--format", "json", "--set", "tolerance=3.1", "--set", "step=none")
    found = json.loads(ended.out)["files"][0]["audits"]  # 7,103 s at 2.00 per hour are 3.95
    assert {each["cdr"]: each["verdict"] for each in found} == {"12345": "right", "W": "right", "U": "right"}
    assert {(each["readings"]["tolerance"], each["readings"]["step"]) for each in found} == {("3.1", "none")}
    assert ended.status == 0


def test_a_profile_says_how_a_party_is_read_and_set_changes_one_of_its_readings(billed: str, command: Command) -> None:
    assert command("party", "profile", "NL-TNM", "--set", "readings=step=none").status == 0
    ended = command("audit", "NL-TNM", "--format", "json", "--set", "tolerance=9")
    readings = json.loads(ended.out)["files"][0]["audits"][0]["readings"]
    assert (readings["step"], readings["tolerance"]) == ("none", "9")
    assert billed


@pytest.mark.usefixtures("billed")
def test_a_file_of_that_name_is_read_and_said(tmp_path: Path, command: Command) -> None:
    put_file(tmp_path, "NL-TNM", RIGHT)
    ended = command("audit", "NL-TNM", "--format", "json")
    assert (ended.status, audited(ended)) == (0, {"NL-TNM": [("R", "right")]})
    assert ended.err == "ocpi-emsp: NL-TNM is read as the file of that name, not as the party\n"
    other = command("audit", "nl-tnm", "--format", "json")
    assert [each for each, _ in audited(other)["NL-TNM"]] == ["12345", "W", "U"], "names of files are exact"


@pytest.mark.usefixtures("billed")
def test_files_and_parties_are_one_audit(tmp_path: Path, command: Command) -> None:
    put_file(tmp_path, "right.json", RIGHT)
    ended = command("audit", "NL-TNM", "right.json", "DE-ABC", "nl-tnm", "--format", "json")
    assert list(audited(ended)) == ["right.json", "NL-TNM", "DE-ABC"]
    nothing = "there is no registration with DE-ABC, and no CDR and no session of it is stored"
    assert (ended.status, ended.err) == (1, f"ocpi-emsp: {nothing}\n")
    table = command("audit", "NL-TNM", "right.json")
    assert table.out.startswith("4 CDRs: 2 right, 1 undecidable, 1 wrong\n")
    assert "(NL-TNM)" in table.out
    assert "(right.json)" in table.out


def test_a_stored_cdr_that_cannot_be_read_is_an_error(billed: str, command: Command) -> None:
    put(billed, (Kind.CDR, {"id": "X\x1b[2J", "last_updated": "2015-06-30T00:00:00Z"}))
    ended = command("audit", "NL-TNM", "--format", "json", "--only", "right")
    assert audited(ended)["NL-TNM"] == [("12345", "right"), ("X\x1b[2J", "error")]
    assert ended.status == 1
    table = command("audit", "NL-TNM")
    assert "NL-TNM: CDR X\\x1b[2J: " in table.out


@pytest.mark.usefixtures("billed")
@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("--tariff", "t.json"), 2, "--tariff is for files: it cannot be combined with a party"),
        (("--time-zone", "UTC"), 2, "--time-zone is for files"),
        (("--set", "step=x"), 2, "--set: invalid reading step 'x'"),
        (("right.json", "--from", "2024-05-01"), 2, "--from and --to select stored CDRs"),
        (("--store", "sqlite:///no.db"), 3, "there is no database no.db"),
    ],
)
def test_what_a_party_cannot_have(
    argv: Sequence[str], status: int, said: str, tmp_path: Path, command: Command
) -> None:
    put_file(tmp_path, "right.json", RIGHT)
    put_file(tmp_path, "t.json", TARIFF)
    ended = command("audit", "NL-TNM", *argv)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err


def test_the_command_and_the_library_say_the_same(billed: str, command: Command) -> None:
    store = SqlStore(billed)
    emsp: Emsp = filled.emsp_on(store)
    try:
        expected = [each.as_json() for each in emsp.partner("NL-TNM").audit()]
    finally:
        store.close()
    assert json.loads(command("audit", "NL-TNM", "--format", "json").out)["files"][0]["audits"] == expected


def test_a_driver_without_a_token_of_ours_is_named_by_every_command(billed: str, command: Command) -> None:
    stranger = {**RIGHT, "id": "S", "auth_id": "FR-XYZ-1", "last_updated": "2015-06-30T00:00:00Z"}
    put(billed, (Kind.CDR, stranger))
    found = json.loads(command("audit", "NL-TNM", "--format", "json").out)["files"][0]["audits"]
    named = {each["cdr"]: [reason["code"] for reason in each["reasons"]] for each in found}
    assert "token.unknown" in named["S"]
    assert "token.unknown" not in named["12345"], "the driver of the specification has a token"
    rows = json.loads(command("reconcile", "NL-TNM", *MAY, "--format", "json").out)["suspicious"]
    assert [each["cdr"]["id"] for each in rows if each["code"] == "token.unknown"] == ["S"]
