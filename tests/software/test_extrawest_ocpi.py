"""extrawest-ocpi as a CPO: what it serves of 2.1.1, and what it pushes, with our default settings.

What it cannot do, and what that means for us:
- it announces no commands, but takes them: its profile has ``endpoints`` (docs/how-to/partner-profiles.md);
- its next links have ``https``, and names of Python for the version and the module: we continue by offset;
- a token A or C that cannot be decoded as base64 (its length is no multiple of four, say) is answered 3000 at its
  versions: hand out tokens such as UUIDs;
- it has no client for the credentials of a partner, none for authorizations, and pushes whole objects only: how a CPO
  calls us is tried with ocpplab-ocpi-211-sdk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from foreign.partners_page import COMMANDS_URL, TOKEN_A as EXAMPLE, VERSIONS_URL, by_command, by_python, settings_of
from ocpi_emsp import Cdr, Emsp, Location, Session, SupportMatrix, Tariff, decode
from ocpi_emsp.errors import CannotUseApi, MissingEndpoints, NotSupported, PartnerRefused
from ocpi_emsp.events import Event
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.testing.cpo.wire import encode
from our_emsp import NOW, token
from served.support import Host
from software.support import TOKEN_A, TOKEN_C, Connected, Extrawest, extrawest, on_every_store, records

KINDS: dict[str, type[Any]] = {"locations": Location, "sessions": Session, "cdrs": Cdr, "tariffs": Tariff}
RECORDS = records()
MODULES = ("credentials", "locations", "sessions", "cdrs", "tariffs", "tokens")


def expected(module: str, object_id: str) -> Any:
    """The object, as the CPO has it."""
    return decode(KINDS[module], encode(RECORDS[module][object_id]))


def stored(emsp: Emsp, module: str) -> dict[str, Any]:
    """What we have of it, by id."""
    return {each.id: each for each in getattr(emsp, module).list("NL-TNM")}


# --- the handshake --------------------------------------------------------------------------------------------------


def test_we_register_with_it(registered: Connected) -> None:
    party = registered.emsp.parties.get("NL-TNM")
    assert party is not None
    assert party.token == TOKEN_C
    base = f"{registered.cpo.origin}/ocpi/cpo/2.1.1"
    assert {each.identifier.value: each.url for each in party.endpoints} == {
        module: f"{base}/{module}/" for module in MODULES
    }
    theirs = registered.cpo.seen()["partner"]
    assert theirs["credentials"] == {
        "token": theirs["credentials"]["token"],
        "url": f"{registered.url}/versions",
        "business_details": {"name": "Be Charge", "website": None, "logo": None},
        "party_id": "BEC",
        "country_code": "IT",
    }
    assert {each["identifier"] for each in theirs["endpoints"]["endpoints"]} == {*MODULES, "commands"}


@pytest.mark.parametrize("renew", ["rotate", "update"])
def test_we_renew_the_credentials(renew: str, registered: Connected) -> None:
    before = registered.cpo.seen()["partner"]["credentials"]["token"]
    getattr(registered.partner, renew)()
    assert registered.cpo.seen()["partner"]["credentials"]["token"] != before
    registered.push("tariffs", "TAR1")
    with registered.partner.client() as client:
        assert client.credentials().party_id == "TNM"


def test_we_end_the_registration(registered: Connected) -> None:
    with pytest.raises(NotSupported):
        registered.partner.unregister()
    registered.partner.set_matrix(SupportMatrix.full())
    registered.partner.unregister()
    assert registered.cpo.seen()["partner"] == {}


def test_the_diagnosis_finds_nothing_that_would_fail(registered: Connected) -> None:
    found = registered.partner.diagnose()
    assert [each for each in found.checks if each.outcome.value == "failed"] == []
    (lists,) = [each.sentence for each in found.checks if each.name == "locations"]
    assert lists.startswith("2 objects of 5")


# --- pulls ----------------------------------------------------------------------------------------------------------


@on_every_store
def test_every_list_is_pulled_whole(registered: Connected) -> None:
    report = registered.partner.sync(full=True)
    assert report.ok, report
    for module in KINDS:
        assert stored(registered.emsp, module) == {each: expected(module, each) for each in RECORDS[module]}
        notes = report.module(module).notes
        paged = len(RECORDS[module]) > 2
        assert [("the next link leads to another origin" in each, "by offset" in each) for each in notes] == (
            [(True, True)] if paged else []
        )
    assert registered.cpo.seen()["tokens"].keys() == {"T1"}
    again = registered.partner.sync(full=True)
    assert again.ok
    assert (again.created, again.updated, again.rejected) == (0, 0, 0)
    assert again.unchanged == 1 + sum(len(documents) for documents in RECORDS.values())


def test_a_list_goes_by_date(registered: Connected) -> None:
    assert registered.partner.sync(since=NOW).created == 1, "our token, which it got"
    with registered.partner.client() as client:
        assert list(client.locations(date_from=NOW)) == []
        assert len(list(client.locations(date_to=NOW))) == len(RECORDS["locations"])
        assert [each.id for each in client.cdrs(limit=1)] == list(RECORDS["cdrs"])
        assert [each.id for each in client.sessions(date_from=NOW.replace(year=2000))] == list(RECORDS["sessions"])
        assert [each.id for each in client.tariffs()] == list(RECORDS["tariffs"])


def test_single_objects(registered: Connected) -> None:
    with registered.partner.client() as client:
        location = expected("locations", "LOC1")
        assert client.location("LOC1") == location
        assert client.evse("LOC1", "LOC1-E2") == location.evses[1]
        assert client.connector("LOC1", "LOC1-E1", "1") == location.evses[0].connectors[0]
        for call in (lambda: client.location("LOC9"), lambda: client.evse("LOC1", "E9"), lambda: client.token("T9")):
            with pytest.raises(PartnerRefused, match=r"answered HTTP 404: Object not found\.$"):
                call()


# --- pushes ---------------------------------------------------------------------------------------------------------


@on_every_store
@pytest.mark.parametrize("module", KINDS)
def test_what_it_pushes_is_what_it_lists(module: str, registered: Connected) -> None:
    first = next(iter(RECORDS[module]))
    events: list[Event] = []
    registered.emsp.on(Event)(events.append)
    answered = registered.push(module, first)
    assert events
    events.clear()
    assert stored(registered.emsp, module) == {first: expected(module, first)}
    if module == "cdrs":
        assert answered["response"]["location"] == f"{registered.url}/2.1.1/cdrs/{first}"
        assert registered.emsp.cdrs.get("NL-TNM", first) is not None
    else:
        assert answered["response"]["status_code"] == 1000
    registered.push(module, first)
    assert not events, "it says the same again"
    report = registered.partner.sync(modules=[module], full=True).module(module)
    assert (report.ended.value, report.unchanged, report.created) == ("done", 1, len(RECORDS[module]) - 1)
    assert bool(events) == bool(report.created)


@on_every_store
def test_our_tokens_are_pushed_to_it(registered: Connected) -> None:
    registered.emsp.tokens.put(token("T2", visual_number="DF000-2001-8999"))
    sent = registered.partner.push_tokens()
    assert (sent.put, sent.failed) == (2, 0)
    registered.emsp.tokens.invalidate("T2")
    assert registered.partner.push_tokens().patched == 1
    assert registered.partner.push_tokens(verify=True).failed == 0
    with registered.partner.client() as client:
        assert client.token("T2").valid is False
        client.patch_token("T2", valid=True)
        assert client.token("T2").valid is True
        client.put_token(token("T3"))
    seen = registered.cpo.seen()["tokens"]
    assert seen.keys() == {"T1", "T2", "T3"}
    assert seen["T2"]["visual_number"] == "DF000-2001-8999"


# --- commands -------------------------------------------------------------------------------------------------------

COMMANDS: dict[str, dict[str, Any]] = {
    "start_session": {"token": token("T1"), "location_id": "LOC1", "evse_uid": "LOC1-E1"},
    "stop_session": {"session_id": "SES3"},
    "reserve_now": {
        "token": token("T1"),
        "location_id": "LOC1",
        "evse_uid": "LOC1-E1",
        "reservation_id": 7,
        "expiry_date": NOW.replace(year=2099),
    },
    "unlock_connector": {"location_id": "LOC1", "evse_uid": "LOC1-E1", "connector_id": "1"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_gets_its_result(command: str, registered: Connected) -> None:
    registered.partner.sync()
    registered.partner.set_profile(endpoints={"commands": registered.cpo.commands_url})
    if command == "unlock_connector":
        registered.partner.set_matrix(SupportMatrix.full())
    with registered.partner.client() as client:
        pending = getattr(client, command)(**COMMANDS[command])
        assert pending.acknowledgement is CommandResponseType.ACCEPTED
        assert pending.result(timeout=10) is CommandResponseType.ACCEPTED
    (seen,) = registered.cpo.seen()["commands"]
    assert seen["command"] == command.upper()
    assert all(seen[name] == value for name, value in COMMANDS[command].items() if isinstance(value, (str, int)))


def test_a_command_to_an_unknown_location_is_refused_by_name(registered: Connected) -> None:
    registered.partner.set_profile(endpoints={"commands": registered.cpo.commands_url})
    with (
        registered.partner.client() as client,
        pytest.raises(PartnerRefused, match="HTTP 200, 2003: Unknown Location"),
    ):
        client.start_session(token=token("T1"), location_id="LOC9", force=True)


@pytest.mark.parametrize("how", [by_python, by_command])
def test_the_page_about_it_can_be_copied(
    how: Callable[..., None],
    emsp: Emsp,
    host: Host,
    cpo: Extrawest,
    sqlite_with_schema: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    cpo.begin()
    for name, value in settings_of(host, sqlite_with_schema).items():
        monkeypatch.setenv(name, value)
    replaced = {VERSIONS_URL: cpo.versions_url, COMMANDS_URL: cpo.commands_url, EXAMPLE: TOKEN_A}
    how("A CPO on FastAPI", replaced, emsp, command)
    emsp.partner("NL-TNM").sync()
    with emsp.partner("NL-TNM").client() as client:
        pending = client.start_session(**COMMANDS["start_session"])
        assert pending.result(timeout=10) is CommandResponseType.ACCEPTED


def test_without_the_profile_it_has_no_commands(registered: Connected) -> None:
    registered.partner.sync()
    with registered.partner.client() as client, pytest.raises(MissingEndpoints, match="commands"):
        client.start_session(token=token("T1"), location_id="LOC1")


# --- its settings ---------------------------------------------------------------------------------------------------


def test_without_slashes_it_redirects_and_everything_works_too(emsp: Emsp, host: Host) -> None:
    with extrawest(TRAILING_SLASH="false") as cpo:
        party = emsp.parties.register(cpo.versions_url, token_a=TOKEN_A)
        assert all(not each.url.endswith("/") for each in party.endpoints)
        there = Connected(emsp, host.url, cpo)
        assert there.partner.sync(full=True).ok
        there.partner.rotate()
        assert {module: len(stored(emsp, module)) for module in KINDS} == {
            module: len(documents) for module, documents in RECORDS.items()
        }
        assert cpo.seen()["tokens"].keys() == {"T1"}


@pytest.mark.parametrize(
    ("token_a", "why"),
    [
        ("0123456789012345678901234567890123", "answered HTTP 200, 3000: Generic server error"),  # 34 characters
        ("0c9b1a02-5dd7-4a40-a7c0-6a7a4a4a4a4b", None),  # a UUID: it reads 32
    ],
)
def test_which_tokens_it_can_read(token_a: str, why: str | None, emsp: Emsp, cpo: Extrawest) -> None:
    cpo.begin(token_a=token_a)
    try:
        if why is None:
            assert emsp.parties.register(cpo.versions_url, token_a=token_a).token == TOKEN_C
            return
        with pytest.raises(CannotUseApi, match=why):
            emsp.parties.register(cpo.versions_url, token_a=token_a)
    finally:
        cpo.begin(token_a=TOKEN_A)
