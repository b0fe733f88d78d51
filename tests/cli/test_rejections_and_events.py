"""``ocpi-emsp rejections``, ``events`` and ``report``: what was refused, what waits, what a partner does wrong."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from cli import filled
from cli.conftest import Command
from ocpi_emsp.cli import listing
from ocpi_emsp.storage import SqlStore

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge")


def listed(command: Command, *argv: str) -> list[dict[str, Any]]:
    ended = command(*argv, "--json")
    assert (ended.status, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


@pytest.fixture
def refused(database: str, command: Command) -> list[str]:
    """The ids of the two rejections: a location that lacks nearly everything, and bytes that are no text."""
    assert database
    return [document["id"] for document in listed(command, "rejections", "list")]


# --- rejections -----------------------------------------------------------------------------------------------------


def test_what_was_refused_is_listed(refused: list[str], command: Command) -> None:
    first, second = listed(command, "rejections", "list", "--party", "nl-tnm")
    assert (first["method"], first["path"]) == ("PUT", "/2.1.1/locations/NL/TNM/LOC2")
    assert (first["message"], len(first["findings"]), first["bytes"]) == ("Location rejected", 7, 14)
    assert second["message"].startswith("invalid UTF-8")
    assert "body" not in first
    assert listed(command, "rejections", "list", "--party", "DE-ABC") == []
    assert listed(command, "rejections", "list", "--limit", "1") == [first]
    table = command("rejections", "list").out.splitlines()
    assert [row.split()[0] for row in table] == ["id", *refused]
    assert "PUT /2.1.1/locations/NL/TNM/LOC2  7         Location rejected" in table[1]
    assert (
        command("rejections", "list", "--party", "DE-ABC").err
        == "ocpi-emsp: there are no rejected requests of DE-ABC\n"
    )


def test_one_is_shown_with_its_findings_and_its_body(refused: list[str], command: Command) -> None:
    ended = command("rejections", "show", "--", refused[0])
    assert ended.status == 0
    assert "error at /address: address is required [field.required; mod_locations.md" in ended.out
    assert ended.out.endswith('\n\n{"id": "LOC2"}\n')
    assert filled.TOKEN not in ended.out
    assert json.loads(command("rejections", "show", "--json", "--", refused[0]).out)["body"] == '{"id": "LOC2"}'
    assert command("rejections", "show", "--", refused[1]).out.endswith("\nno JSON \\xff\n")
    assert json.loads(command("rejections", "show", "--json", "--", refused[1]).out)["body_base64"] == "bm8gSlNPTiD/"
    for other in ("nothing", "dead"):
        ended = command("rejections", "show", other)
        assert (ended.status, ended.out, ended.err) == (1, "", f"ocpi-emsp: there is no rejection {other!r}\n")


def test_a_replay_with_a_corrected_body_is_accepted_and_leaves_the_list(
    refused: list[str], command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = command("rejections", "replay", *WHO, "--", refused[0])
    assert again.status == 1
    assert again.out.startswith(f"{refused[0]}: refused again, HTTP 200, status_code 2001: ")
    body = filled.example("locations/location-LOC1.json").replace(b'"LOC1"', b'"LOC2"', 1)
    (tmp_path / "body.json").write_bytes(body)
    accepted = command("rejections", "replay", *WHO, "--body", "body.json", "--json", "--", refused[0])
    assert (accepted.status, accepted.err) == (0, "")
    assert json.loads(accepted.out) == {
        "id": refused[0],
        "accepted": True,
        "http_status": 201,
        "status_code": 1000,
        "message": json.loads(accepted.out)["message"],
    }
    assert "LOC2" in command("locations", "list").out
    assert [each["id"] for each in listed(command, "rejections", "list")] == refused[1:]
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(body)))
    assert command("rejections", "replay", *WHO, "--body", "-", "--", refused[1]).status == 0
    gone = command("rejections", "replay", *WHO, "--", refused[1])
    assert (gone.status, gone.err) == (1, f"ocpi-emsp: there is no rejection {refused[1]!r}\n")


def test_all_of_a_party_are_replayed(
    refused: list[str], command: Command, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocpi_emsp.listing._PAGE", 1)
    ended = command("rejections", "replay", "--all", "--party", "NL-TNM", *WHO, "--json")
    assert ended.status == 1
    answers = [json.loads(line) for line in ended.out.splitlines()]
    assert [answer["id"] for answer in answers] == refused
    assert [(answer["http_status"], answer["status_code"]) for answer in answers] == [(200, 2001), (400, 2000)]
    none = command("rejections", "replay", "--all", "--party", "DE-ABC", *WHO)
    assert (none.status, none.out) == (0, "")
    store = SqlStore(database)
    with store.for_mode("sync").blocking_transaction() as tx:  # type: ignore[union-attr] # it is one of a URL
        tx.delete(filled.records()[0].key)
    store.close()
    ended = command("rejections", "replay", "--all", *WHO)
    assert ended.status == 1
    assert f"{refused[0]}: refused again: there is no registration with NL-TNM" in ended.out
    assert 'http_status": null' in command("rejections", "replay", "--all", *WHO, "--json").out


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("replay", "x"), 2, "Missing eMSP identity"),
        (("replay", *WHO), 2, "expected one of ID and --all"),
        (("replay", "x", "--all", *WHO), 2, "expected one of ID and --all"),
        (("replay", "--all", "--body", "f", *WHO), 2, "--body corrects one rejection"),
        (("replay", "x", "--body", "nothing", *WHO), 2, "nothing: cannot be read: No such file"),
        (("replay", "x", "--body", "\0", *WHO), 2, "cannot be read: embedded null byte"),
        (("replay", "x", *WHO), 1, "there is no rejection 'x'"),
    ],
)
@pytest.mark.usefixtures("database")
def test_what_cannot_be_replayed_is_said(argv: tuple[str, ...], status: int, said: str, command: Command) -> None:
    ended = command("rejections", *argv)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err


# --- report ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("database")
def test_the_report_of_an_unknown_party_is_refused(command: Command) -> None:
    ended = command("report", "FR-AAA", "--format", "json")
    assert (ended.status, ended.out) == (1, "")
    why, what_next = ended.err.splitlines()
    assert why == "ocpi-emsp: there is no registration with FR-AAA, and nothing of it is stored"
    assert "'ocpi-emsp parties list'" in what_next


@pytest.mark.usefixtures("database")
def test_the_report_of_a_party_that_sent_nothing_is_empty(command: Command) -> None:
    assert command("invite", "DE-ABC", *WHO, "--url", "https://e.example.com/ocpi/emsp").status == 0
    ended = command("report", "DE-ABC")
    assert (ended.status, ended.err) == (0, "")
    assert "0 documents" in ended.out


@pytest.mark.usefixtures("database")
def test_the_report_of_a_party_that_ended_its_registration_shows_what_it_sent(command: Command) -> None:
    assert command("party", "unregister", "NL-TNM", "--no-tell").status == 0
    ended = command("report", "NL-TNM")
    assert (ended.status, ended.err) == (0, "")
    assert "field.required" in ended.out


@pytest.mark.usefixtures("database")
def test_the_report_of_a_party_comes_in_every_form(command: Command, tmp_path: Path) -> None:
    text = command("report", "nl-tnm")
    assert (text.status, text.err) == (0, "")
    assert "OCPI 2.1.1 report" in text.out
    assert "field.required" in text.out
    assert json.loads(command("report", "NL-TNM", "--format", "json").out)
    assert command("report", "NL-TNM", "--format", "markdown").out.startswith("#")
    ended = command("report", "NL-TNM", "--format", "html", "--output", "report.html")
    assert (ended.status, ended.out) == (0, "")
    assert "<html" in (tmp_path / "report.html").read_text("utf-8")
    assert filled.SECRET not in text.out
    assert command("report", "NL-TNM", "--output", "no/such/folder").status == 2


# --- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("database")
def test_events_are_listed_by_topic(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 1)
    ids = {
        ("event", False): ["waiting"],
        ("event", True): ["dead"],
        ("relay", False): ["relayed"],
        ("relay", True): ["dead-relayed"],
    }
    for (topic, is_dead), found in ids.items():
        argv = ("events", "list", "--topic", topic, *(["--dead"] if is_dead else []))
        assert [event["id"] for event in listed(command, *argv)] == found
        assert [row.split()[0] for row in command(*argv).out.splitlines()] == ["id", *found]
        assert listed(command, *argv, "--party", "DE-ABC") == []
    assert command("events", "list", "--party", "DE-ABC").err == "ocpi-emsp: no event of DE-ABC is pending\n"
    assert command("events", "list", "--dead", "--party", "DE-ABC").err == "ocpi-emsp: no event of DE-ABC is dead\n"
    (dead,) = listed(command, "events", "list", "--dead")
    assert dead == {
        "id": "dead",
        "name": "SessionReceived",
        "topic": "event",
        "dead": True,
        "country_code": "NL",
        "party_id": "TNM",
        "correlation_id": filled.CORRELATION,
        "key": {"kind": "session", "id": "101", "parent": ""},
        "at": "2024-05-06T07:08:09Z",
        "attempts": 3,
        "error": "ValueError: no",
        "due": None,
    }


@pytest.mark.usefixtures("database")
def test_an_event_is_shown(command: Command) -> None:
    text = command("events", "show", "dead").out
    assert "object: session/101\nfailures: 3\nnext try: never\nlast error: ValueError: no\n" in text
    assert json.loads(text[text.index("{") :])["id"] == "101"
    document = json.loads(command("events", "show", "relayed", "--json").out)
    assert (document["due"], document["document"]["id"]) == ("2024-05-06T07:08:09Z", "101")
    ended = command("events", "show", "gone")
    assert (ended.status, ended.out, ended.err) == (1, "", "ocpi-emsp: no event 'gone' waits or is dead\n")


@pytest.mark.usefixtures("database")
def test_a_dead_event_is_tried_again(command: Command) -> None:
    assert command("events", "retry", "dead").out == "retrying dead\n"
    assert {event["id"]: event["attempts"] for event in listed(command, "events", "list")} == {"waiting": 0, "dead": 0}
    ended = command("events", "retry", "dead")
    assert (ended.status, ended.out, ended.err) == (1, "", "ocpi-emsp: there is no dead event 'dead'\n")
    assert command("events", "retry", "--all").out == "retrying 0 events\n"
    assert command("events", "retry", "--all", "--topic", "relay").out == "retrying 1 event\n"
    assert command("events", "retry").status == 2
