"""``ocpi-emsp push-tokens``, to simulated CPOs over real HTTP."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cli import filled
from cli.conftest import SECONDS, Command, Start, registering, tokens_of
from ocpi_emsp.cli import main
from ocpi_emsp.storage import SqlStore
from our_emsp import token
from pages.blocks import ROOT, Page

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
POSTGRESQL = Page(ROOT / "docs" / "how-to" / "postgresql.md")
Cpo: TypeAlias = Callable[..., Any]


@pytest.fixture
def cpo(start: Start, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cpo:
    """Starts a simulated CPO and registers with it; gives its control URL and its process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_STORE", raising=False)
    server = start("serve", *WHO, "--port", "0", "--no-push", "--json")
    monkeypatch.setenv("OCPI_EMSP_URL", json.loads(server.stdout.readline())["url"])

    return registering(start, command, WHO)


def store_tokens(*tokens: Any) -> None:
    store = SqlStore("sqlite:///ocpi-emsp.db")
    for each in tokens:
        filled.emsp_on(store).tokens.put(each)
    store.close()


def test_tokens_are_pushed_to_every_registered_party(cpo: Cpo, command: Command) -> None:
    one, _ = cpo("--party", "NL-TNM")
    other, _ = cpo("--party", "DE-ABC")
    assert command("invite", "BE-XYZ", *WHO).status == 0, "who is only invited gets nothing"
    store_tokens(token("A"), token("B"))
    ended = command("push-tokens", *WHO)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "NL-TNM  2 put, 0 patched, 0 unchanged, 0 failed",
        "DE-ABC  2 put, 0 patched, 0 unchanged, 0 failed",
    ]
    store_tokens(token("B", valid=False))
    ended = command("push-tokens", "nl-tnm", "NL-TNM", "--verify", "--json", *WHO)
    assert (ended.status, ended.err) == (0, "")
    (report,) = json.loads(ended.out)["parties"]
    assert report.pop("duration") >= 0
    assert report == {
        "country_code": "NL",
        "party_id": "TNM",
        "put": 0,
        "patched": 1,
        "unchanged": 1,
        "failed": 0,
        "verified": 1,
        "failures": [],
        "ended": "done",
        "why": "",
        "reason": "",
    }
    assert tokens_of(one) == {"A": True, "B": False}
    assert tokens_of(other) == {"A": True, "B": True}
    assert command("push-tokens", "DE-ABC", "--full", "--verify", *WHO).out == (
        "DE-ABC  0 put, 1 patched, 1 unchanged, 0 failed, 1 verified\n"
    )


def test_after_a_restore_cpos_get_the_tokens_that_they_know_a_newer_state_of(cpo: Cpo, command: Command) -> None:
    """Without the statement of the page the push sends nothing: the backup says that the CPO has what it has."""
    (statement,) = (each.source for each in POSTGRESQL.blocks() if "DELETE FROM" in each.source)
    control, _ = cpo("--party", "NL-TNM")
    store_tokens(token("A"))
    assert command("push-tokens", *WHO).status == 0
    with closing(sqlite3.connect("ocpi-emsp.db")) as database, closing(sqlite3.connect("backup.db")) as backup:
        database.backup(backup)
    store_tokens(token("A", valid=False))
    assert command("push-tokens", *WHO).status == 0
    assert tokens_of(control) == {"A": False}
    with closing(sqlite3.connect("ocpi-emsp.db")) as database, closing(sqlite3.connect("backup.db")) as backup:
        backup.backup(database)
    with closing(sqlite3.connect("ocpi-emsp.db")) as database:
        database.executescript(statement)
    assert command("sync", "--full", "--module", "tokens", *WHO).status == 0
    assert tokens_of(control) == {"A": True}


def test_a_party_that_is_gone_fails_and_stops_no_other(cpo: Cpo, command: Command) -> None:
    _, gone = cpo("--party", "NL-TNM")
    there, _ = cpo("--party", "DE-ABC")
    gone.kill()
    gone.communicate(timeout=SECONDS)
    store_tokens(*(token(f"T{number}") for number in range(5)))
    ended = command("push-tokens", *WHO)
    assert ended.status == 3
    lost, done = ended.out.splitlines()
    assert lost.startswith("NL-TNM  0 put, 0 patched, 0 unchanged, 3 failed; failed: 3 times in a row: PUT http://127")
    assert done == "DE-ABC  5 put, 0 patched, 0 unchanged, 0 failed"
    assert ended.err.count("NL-TNM: token 'T") == 3
    assert "Traceback" not in ended.err
    assert len(tokens_of(there)) == 5


def test_a_party_that_is_not_registered_is_said(cpo: Cpo, command: Command) -> None:
    there, _ = cpo()
    store_tokens(token("A"))
    ended = command("push-tokens", "DE-ABC", "NL-TNM", *WHO)
    assert (ended.status, ended.out) == (1, "NL-TNM  1 put, 0 patched, 0 unchanged, 0 failed\n")
    first, second = ended.err.splitlines()
    assert first == "ocpi-emsp: DE-ABC: there is no registration with DE-ABC"
    assert second.startswith("ocpi-emsp: DE-ABC: 'ocpi-emsp parties list' shows who is registered")
    assert tokens_of(there) == {"A": True}
    ended = command("push-tokens", "--url-policy", "https", *WHO[:-2])
    assert (ended.status, ended.out) == (1, "")
    assert "ocpi-emsp: NL-TNM: invalid URL 'http://127.0.0.1" in ended.err


def test_tokens_that_fail_are_named_up_to_ten(cpo: Cpo, command: Command) -> None:
    from ocpi_emsp.ports import Key, Kind

    there, _ = cpo()
    store_tokens(token("A"))
    store = SqlStore("sqlite:///ocpi-emsp.db")
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        for number in range(12):
            key = Key(Kind.TOKEN, *filled.OURS, f"BAD{number}", "RFID")
            tx.put(filled.record(key, b'{"uid": "BAD"}'))
    store.close()
    ended = command("push-tokens", *WHO)
    assert (ended.status, ended.out) == (1, "NL-TNM  1 put, 0 patched, 0 unchanged, 12 failed\n")
    said = ended.err.splitlines()
    assert len(said) == 11
    assert said[0].startswith("ocpi-emsp: NL-TNM: token 'BAD0' (RFID): ")
    assert said[10] == "ocpi-emsp: NL-TNM: 2 more tokens failed"
    ended = command("push-tokens", "--json", *WHO)
    (report,) = json.loads(ended.out)["parties"]
    assert (ended.status, ended.err, len(report["failures"])) == (1, "", 12)
    assert set(report["failures"][0]) == {"uid", "type", "error"}
    assert tokens_of(there) == {"A": True}
    assert command("push-tokens", "XX", *WHO).status == 2


def test_a_party_that_takes_no_tokens_is_said(database: str, command: Command) -> None:
    who = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge")
    assert database
    ended = command("push-tokens", *who)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == (
        "NL-TNM  0 put, 0 patched, 0 unchanged, 0 failed: nothing was pushed: NL-TNM offers no tokens endpoint\n"
    )


def test_without_a_party_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_STORE", raising=False)
    assert main(["push-tokens", *WHO]) == 3
    assert "there is no database ocpi-emsp.db" in capsys.readouterr().err
    assert main(["db", "upgrade"]) == 0
    capsys.readouterr()
    assert main(["push-tokens", *WHO]) == 0
    assert capsys.readouterr() == ("", "ocpi-emsp: no party is registered\n")
    assert main(["push-tokens", "--json", *WHO]) == 0
    assert capsys.readouterr() == ('{"parties": []}\n', "")
