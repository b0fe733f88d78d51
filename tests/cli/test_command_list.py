"""``ocpi-emsp command list``: what was sent, of any age; nothing is sent, and nobody has to say who we are."""

from __future__ import annotations

import json

import pytest

from cli import filled
from cli.conftest import Command
from cli.test_objects import add
from ocpi_emsp.cli import listing
from ocpi_emsp.ports import Kind


@pytest.mark.usefixtures("database")
def test_people_see_how_far_each_one_is(command: Command) -> None:
    ended = command("command", "list")
    assert (ended.status, ended.err) == (0, "")
    header, old, started = (line.split() for line in ended.out.splitlines())
    assert header == ["party", "uid", "command", "sent", "state", "CPO", "said", "result", "token", "place", "session"]
    assert old == ["NL-TNM", "U1", "STOP_SESSION", "2024-01-01T00:00:00Z"], "one of a version that kept less of it"
    assert started == [
        "NL-TNM", "U2", "START_SESSION", "2024-05-06T07:08:09Z", "ANSWERED", "ACCEPTED", "REJECTED", "012345678",
        "LOC1/3256",
    ]  # fmt: skip


@pytest.mark.usefixtures("database")
def test_machines_get_what_is_stored(command: Command) -> None:
    stored = [record.document.decode() for record in filled.records() if record.key.kind == Kind.COMMAND]
    assert command("command", "list", "--json").out.splitlines() == stored
    assert command("command", "list", "--json", "--limit", "1").out.splitlines() == stored[:1]


def test_those_of_a_party_page_after_page(database: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    add(database, Kind.COMMAND, [f"C{number:03}" for number in range(120)], owner=("DE", "ABC"))
    monkeypatch.setattr(listing, "PAGE", 7)
    lines = command("command", "list", "--party", "de-abc", "--json").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"C{number:03}" for number in range(120)]
    assert "there are more: --limit" in command("command", "list").err
    assert command("command", "list", "--party", "FR-XYZ").err == "ocpi-emsp: there are no commands of FR-XYZ\n"
