"""``ocpi-emsp sync``, once: what it pulls, what it prints, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from cli.sync_cpo import WHO, Cpos, know, locations, served
from ocpi_emsp import _beside
from ocpi_emsp.cli.declared.partners import SYNCED as ARGUMENTS
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.sync.run import MODULES
from ocpi_emsp.resources import Partner

NOWHERE = "http://127.0.0.1:1"
URL = "sqlite:///emsp.db"
NOT_REGISTERED = (
    "ocpi-emsp: FR-ABC: there is no registration with FR-ABC\n"
    "ocpi-emsp: FR-ABC: 'ocpi-emsp parties list' shows who is registered, and who is only invited; "
    "'ocpi-emsp register' and 'ocpi-emsp invite' begin a registration\n"
)


@pytest.fixture
def cpos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cpos]:
    """CPOs; commands find a database, and nobody waits before a retry."""

    async def no_time(_: float) -> None: ...

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_STORE", URL)
    monkeypatch.setattr(_beside, "sleep_in_place", no_time)
    with served() as running:
        yield running


def ids(command: Command, party: str) -> set[str]:
    listed = command("locations", "list", "--party", party, "--json").out.splitlines()
    return {json.loads(line)["id"] for line in listed}


def test_the_modules_are_those_of_a_sync() -> None:
    assert ARGUMENTS == MODULES


def test_every_registered_party_is_synced_into_one_sqlite_file(cpos: Cpos, command: Command) -> None:
    parties = ("BE-ABC", "DE-ABC", "FR-ABC", "NL-TNM")
    know(URL, cpos.url, *parties)
    for number, party in enumerate(parties):
        cpos.lists[f"{party}/locations"] = locations(20 + number)
    assert command("invite", "IT-XYZ", *WHO, "--url", "https://emsp.example.com").status == 0
    ended = command("sync", *WHO)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) == 4 * 6 + 1
    assert lines[-1] == "4 parties: 4 done"
    for number, party in enumerate(parties):
        assert ids(command, party) == {f"LOC{each}" for each in range(20 + number)}
        of_party = [line for line in lines if line.startswith(f"{party}  ")]
        assert [line.split()[1] for line in of_party[:5]] == list(MODULES)
        counts = f"{20 + number} created, 0 updated, 0 unchanged, 0 stale, 0 rejected"
        assert of_party[0].startswith(f"{party}  locations  done     {counts}; {10 + (number + 1) // 2} pages; ")
        assert of_party[5].startswith(f"{party}  in all     done     {counts}; ")
    again = command("sync", "nl-tnm", "NL-TNM", "--module", "LOCATIONS", *WHO).out.splitlines()
    assert len(again) == 2
    assert again[0].startswith("NL-TNM  locations  done     0 created, 0 updated, 23 unchanged, 0 stale, 0 rejected; ")


def test_the_json_of_it_is_one_document(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "DE-ABC", "NL-TNM")
    cpos.lists["DE-ABC/locations"] = [*locations(3), {"id": "BAD"}]
    ended = command(
        "sync", "DE-ABC", "NL-TNM", "FR-ABC", "--module", "locations", "--module", "tariffs", "--json", *WHO
    )
    assert (ended.status, ended.err) == (1, NOT_REGISTERED)
    parties = {each["country_code"]: each for each in json.loads(ended.out)["parties"]}
    assert parties["FR"] == {
        "country_code": "FR",
        "party_id": "ABC",
        "ok": False,
        "error": "there is no registration with FR-ABC",
    }
    assert (parties["NL"]["ok"], parties["DE"]["ok"]) == (True, False)
    pulled, tariffs = parties["DE"]["modules"]
    assert (pulled["module"], pulled["created"], pulled["rejected"], pulled["pages"]) == ("locations", 3, 1, 2)
    assert pulled["rejections"][0]["id"] == "BAD"
    assert (tariffs["module"], tariffs["ended"]) == ("tariffs", "done")


def test_a_party_that_is_not_registered_stops_no_other(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "NL-TNM")
    cpos.lists["NL-TNM/locations"] = locations(1)
    ended = command("sync", "FR-ABC", "NL-TNM", *WHO)
    assert (ended.status, ended.err) == (1, NOT_REGISTERED)
    assert ended.out.endswith("2 parties: 1 done, 1 with rejections or not done\n")
    assert ids(command, "NL-TNM") == {"LOC0"}


def test_a_party_that_cannot_be_reached_stops_no_other(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "NL-TNM")
    know(URL, NOWHERE, "DE-ABC")
    cpos.lists["NL-TNM/locations"] = locations(1)
    ended = command("sync", *WHO)
    assert (ended.status, ended.err) == (3, "")
    (lost,) = [line for line in ended.out.splitlines() if line.startswith("DE-ABC  locations")]
    assert lost.startswith("DE-ABC  locations  failed   0 created, 0 updated, 0 unchanged, 0 stale, 0 rejected, 4 retr")
    assert "127.0.0.1:1" in lost
    assert "DE-ABC  in all     not done" in ended.out
    assert ended.out.endswith("2 parties: 1 done, 1 failed\n")
    assert ids(command, "NL-TNM") == {"LOC0"}


def test_rejections_and_notes_are_shown_up_to_five(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "NL-TNM")
    cpos.lists["NL-TNM/locations"] = [*({"id": f"BAD\x1b[2J{number}"} for number in range(7)), *locations(1)]
    ended = command("sync", "--module", "locations", *WHO)
    assert (ended.status, ended.err) == (1, "")
    assert "\x1b" not in ended.out
    lines = ended.out.splitlines()
    assert lines[0].startswith("NL-TNM  locations  done     1 created, 0 updated, 0 unchanged, 0 stale, 7 rejected; ")
    shown = [line for line in lines if line.startswith("    rejected ")]
    assert len(shown) == 5
    assert shown[0].startswith("    rejected 'BAD\\x1b[2J0': ")
    assert sum(line.startswith("      error ") for line in lines) == 5 * 3
    assert "      and 7 more findings" in lines or any(line.endswith("more findings") for line in lines)
    assert "    and 2 more rejected, see ocpi-emsp rejections list" in lines
    assert len(command("rejections", "list", "--json").out.splitlines()) == 7


def test_a_module_that_fails_in_the_middle_is_no_outage(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "NL-TNM")
    cpos.lists["NL-TNM/locations"] = locations(5)
    cpos.broken.add(("NL-TNM", "locations", 2))
    ended = command("sync", *WHO)
    assert (ended.status, ended.err) == (1, "")
    first = ended.out.splitlines()[0]
    assert first.startswith(
        "NL-TNM  locations  failed   2 created, 0 updated, 0 unchanged, 0 stale, 0 rejected; 2 pages, 8 r"
    )  # four tries at the link, and four by offset
    assert "500" in first.rpartition("; ")[2]
    assert ids(command, "NL-TNM") == {"LOC0", "LOC1"}
    cpos.broken.clear()
    assert command("sync", *WHO).status == 0
    assert len(ids(command, "NL-TNM")) == 5


def test_a_store_that_fails_is_said(cpos: Cpos, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise StoreFailed("the disk is full")

    know(URL, cpos.url, "DE-ABC", "NL-TNM")
    monkeypatch.setattr(Partner, "sync", fails)
    ended = command("sync", "--json", *WHO)
    assert ended.status == 3
    assert sorted(ended.err.splitlines()) == [
        "ocpi-emsp: DE-ABC: the disk is full",
        "ocpi-emsp: NL-TNM: the disk is full",
    ]
    assert [each["error"] for each in json.loads(ended.out)["parties"]] == ["the disk is full"] * 2


def test_a_store_that_cannot_list_its_parties_is_said(
    cpos: Cpos, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Any) -> None:
        raise StoreFailed("the disk is gone")

    know(URL, cpos.url, "NL-TNM")
    monkeypatch.setattr("ocpi_emsp.cli.stores.reading", fails)
    assert command("sync", *WHO) == (3, "", "ocpi-emsp: the disk is gone\n")


def test_without_a_party_nothing_is_done(cpos: Cpos, command: Command) -> None:
    assert "there is no database emsp.db" in command("sync", *WHO).err
    know(URL, cpos.url)
    ended = command("sync", *WHO)
    assert ended == (0, "", "ocpi-emsp: no party is registered\n")
    assert command("sync", "--json", *WHO).out == '{"parties": []}\n'


def test_since_says_where_it_begins(cpos: Cpos, command: Command) -> None:
    know(URL, cpos.url, "NL-TNM")
    assert command("sync", "--since", "2024-05-01", *WHO).status == 0
    assert {each["date_from"] for each in cpos.filters} == {"2024-05-01T00:00:00Z"}
    later = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    ended = command("sync", "--since", later, *WHO)
    assert (ended.status, ended.out) == (2, "")
    assert "expected a time in the past" in ended.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--every", "0m"), "invalid period '0m': expected at least 1m"),
        (
            ("--every", "1.5h"),
            "--every: invalid duration '1.5h': expected a number with s, m, h or d, for example 90m, 4h or 1d",
        ),
        (("--every", "14400"), "invalid duration '14400': expected a number with s, m, h or d"),
        (("--every", "4H"), "invalid duration '4H'"),
        (("--every", "59s"), "invalid period '59s': expected at least 1m (OCPI advises hours)"),
        (("--every", "9999999d"), "invalid duration '9999999d'"),
        (("--every", "4h", "--since", "2024-05-01"), "--since cannot be combined with --every"),
        (("--every", "4h", "--splay", "10"), "invalid part '10': expected a number up to 100 with %, for example 10%"),
        (("--every", "4h", "--splay", "101%"), "invalid part '101%'"),
        (("--full", "--since", "2024-05-01"), "--since cannot be combined with --full"),
        (("--module", "chargers"), "--module: invalid value 'chargers': expected locations, tariffs"),
        (("--parallel", "0"), "invalid number '0': expected a whole number from 1 to 32"),
        (("--parallel", "33"), "invalid number '33': expected a whole number from 1 to 32"),
        (("--since", "yesterday"), "invalid time 'yesterday'"),
        (("--splay", "10%"), "--splay needs --every"),
        (("NLTNM",), "invalid party 'NLTNM': expected CC-XXX, for example NL-TNM"),
    ],
)
def test_what_is_wrong_is_said(argv: tuple[str, ...], said: str, database: str, command: Command) -> None:
    assert database
    ended = command("sync", *argv, *WHO)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
