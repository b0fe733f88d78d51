"""``ocpi-emsp authorizations list``."""

from __future__ import annotations

import json

import pytest

from cli import filled
from cli.conftest import Command
from ocpi_emsp.cli import listing, stores
from ocpi_emsp.storage import SqlStore


@pytest.mark.usefixtures("database")
def test_people_see_who_asked_for_which_token_and_what_was_answered(command: Command) -> None:
    ended = command("authorizations", "list")
    assert (ended.status, ended.err) == (0, "")
    header, first, second = (line.split() for line in ended.out.splitlines())
    assert header == ["at", "party", "token", "type", "place", "outcome", "decided", "by", "ms", "reason"]
    assert first == ["2024-05-06T07:08:09Z", "NL-TNM", "012345678", "RFID", "LOC1/3256", "ALLOWED", "hook", "12.3"]
    assert second[1:3] == ["DE-ABC", "x\\x1b[2J"], "what a partner sends does not reach a terminal as it is"
    assert second[4:] == ["404/2000", "request", "12.3", "there", "is", "no", "such", "token"]


@pytest.mark.usefixtures("database")
def test_machines_get_everything(command: Command) -> None:
    first, second = (json.loads(line) for line in command("authorizations", "list", "--json").out.splitlines())
    assert first == {
        **filled.decisions()[0].details,
        "authorization_id": "",  # stored before there was one
        "id": "decided",
        "at": "2024-05-06T07:08:09Z",
        "outcome": "ALLOWED",
    }
    assert second["token_uid"] == "x\x1b[2J"


@pytest.mark.usefixtures("database")
def test_those_of_a_party(command: Command) -> None:
    (line,) = command("authorizations", "list", "--party", "de-abc", "--json").out.splitlines()
    assert json.loads(line)["id"] == "unknown"
    ended = command("authorizations", "list", "--party", "FR-XYZ")
    assert (ended.status, ended.out, ended.err) == (0, "", "ocpi-emsp: there are no authorizations of FR-XYZ\n")
    assert command("authorizations", "list", "--party", "FR-XYZ", "--json") == (0, "", "")


def test_of_several_evses_their_number(database: str, command: Command) -> None:
    several = filled.decision("several", "ALLOWED", filled.OWNER, location_id="LOC1", evse_uids=["1", "2", "3"])
    store = SqlStore(database)
    with stores.writing(store) as tx:
        tx.append(several)
    store.close()
    assert "LOC1 (3 EVSEs)" in command("authorizations", "list").out.splitlines()[-1]


def test_a_list_goes_on_page_after_page(database: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlStore(database)
    with stores.writing(store) as tx:
        for number in range(120):
            tx.append(filled.decision(f"A{number:03}", "BLOCKED", filled.OWNER))
    store.close()
    monkeypatch.setattr(listing, "PAGE", 7)
    lines = command("authorizations", "list", "--json").out.splitlines()
    ids = ["decided", "unknown", *(f"A{number:03}" for number in range(120))]
    assert [json.loads(line)["id"] for line in lines] == ids
    assert len(command("authorizations", "list", "--json", "--limit", "20").out.splitlines()) == 20
    ended = command("authorizations", "list")
    assert len(ended.out.replace("party", "").split("2024-")) == 101
    assert "there are more: --limit says how many to list, --json lists all" in ended.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "ACTION"),
        (("list", "--limit", "0"), "expected a whole number from 1"),
        (("list", "--party", "X"), "invalid party 'X'"),
    ],
)
@pytest.mark.usefixtures("database")
def test_what_is_wrong_is_usage(argv: tuple[str, ...], said: str, command: Command) -> None:
    ended = command("authorizations", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
