"""The profiles of docs/how-to/partner-profiles.md, each copied from there: as Python, and as commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from cli.conftest import Command, command
from cli.sync_presets import Server
from foreign.partners_page import COMMANDS_URL, PAGE, TOKEN_A, VERSIONS_URL, by_command, by_python, settings_of
from ocpi_emsp import Emsp, SupportMatrix
from ocpi_emsp.flows.parties.party import Profile
from ocpi_emsp.flows.parties.profile import read_value
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import PRESETS, SimulatedCpo
from our_emsp import LONG_AGO, token
from served.support import Host, uvicorn_host, uvicorn_server


@frozen
class Tried:
    """An eMSP that is set up as the page says, and its partner."""

    emsp: Emsp
    cpo: SimulatedCpo
    listens: bool
    """Whether the listeners of the page are there."""
    printed: Callable[[], str]
    """What was printed since the last call."""


def has_a_command(tried: Tried) -> None:
    tried.emsp.tokens.put(token())
    with tried.emsp.partner("NL-TNM").client() as client:
        pending = client.start_session(token=token(), location_id="LOC1", evse_uid="LOC1-E1", force=True)
        assert pending.acknowledgement is CommandResponseType.ACCEPTED
        assert pending.result(timeout=60) is CommandResponseType.ACCEPTED


def has_notes_alone(tried: Tried) -> None:
    received = tried.emsp.cdrs.document("NL-TNM", "CDR1")
    assert received is not None
    assert "version.newer" in {each.rule for each in received.findings.findings}
    assert tried.emsp.partner("NL-TNM").report().refused == 0
    assert {each.token_format for each in tried.cpo.received} == {"base64"}


OWNERS = ("ES-AAA", "FR-BBB", "PT-CCC")


def names_the_conflict(tried: Tried) -> None:
    partner = tried.emsp.partner("NL-TNM")
    tried.cpo.misbehave("null-members")
    again = partner.sync(modules=["cdrs"], full=True)
    assert again.ok, "the same again, in another spelling"
    assert (again.created, again.updated) == (0, 0)
    tried.cpo.behave()
    first = tried.emsp.cdrs.get("NL-TNM", "CDR1")
    assert first is not None
    tried.cpo.change("cdrs", "CDR1", {"total_cost": 99.5, "last_updated": "2024-06-01T00:00:00Z"})
    report = partner.sync(modules=["cdrs"], full=True)
    assert (report.ok, report.rejected) == (False, 1)
    assert tried.printed() == (f"CDR1: {first.total_cost} EUR became 99.5 EUR\n" if tried.listens else "")
    (conflict,) = partner.reconcile(date_from=LONG_AGO).conflicts
    assert conflict.other.id == "CDR1"


def has_owners(tried: Tried) -> None:
    assert not list(tried.emsp.locations.list("FR-HUB"))
    owned = [location.id for name in OWNERS for location in tried.emsp.locations.list(name)]
    assert len(owned) == tried.cpo.locations


@frozen
class Section:
    """What a section is tried with."""

    deviations: Mapping[str, Any]
    profile: Mapping[str, Any]
    """What differs from the default."""
    check: Callable[[Tried], None]
    party: str = "NL-TNM"


__all__ = ["command"]  # a fixture

NEWER = ("ocpi-2.2-names", "base64", "endpoint-roles", "unusable-endpoint")
SECTIONS: Mapping[str, Section] = {
    "A CPO on FastAPI": Section(
        PRESETS["slash-endpoints"],
        {"endpoints": {"commands": COMMANDS_URL}},
        has_a_command,
    ),
    "A CPO that requires every member": Section(PRESETS["required-members"], {"absent_as_null": True}, has_a_command),
    "A partner with habits of OCPI 2.2": Section(
        {name: value for each in NEWER for name, value in PRESETS[each].items()},
        {"base64_token": True, "refuses": "error", "actions": {"version.newer": "note"}},
        has_notes_alone,
    ),
    "A hub": Section(
        {**PRESETS["hub-operator-name"], "country_code": "FR", "party_id": "HUB"},
        {
            "allowed_parties": ["ES-*", "FR-*", "PT-*"],
            "owner_from": "operator.name",
            "headers": {"x-api-key": "secret"},
            "authorization_ids": True,
            "matrix": SupportMatrix.full(),
        },
        has_owners,
        party="FR-HUB",
    ),
    "A CPO that rewrites CDRs": Section({}, {}, names_the_conflict),
}


def test_every_section_is_tried() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(SECTIONS)


# --- both ways ------------------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[Host]:
    """The server of our eMSP."""
    with uvicorn_host() as running:
        yield running


@pytest.fixture
def cpos() -> Iterator[Server]:
    """The server of the CPO."""
    running = Server()
    with uvicorn_server(running) as running.origin:
        yield running


@pytest.fixture
def store(sqlite_with_schema: Path) -> Iterator[SqlStore]:
    """An empty database in a file; it is closed after the server, which may still answer the CPO."""
    opened = SqlStore(f"sqlite:///{sqlite_with_schema}")
    yield opened
    opened.close()


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("how", [by_python, by_command])
def test_a_section_is_copied_and_works(
    how: Callable[..., None],
    section: str,
    store: SqlStore,
    host: Host,
    cpos: Server,
    sqlite_with_schema: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried = SECTIONS[section]
    cpo = SimulatedCpo(url=cpos.origin, sessions_follow_commands=True, **tried.deviations)
    cpos.application = cpo.app
    emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge", url=host.url, url_policy="loopback", store=store)
    host.mount(emsp)
    monkeypatch.chdir(tmp_path)
    for name, value in settings_of(host, sqlite_with_schema).items():
        monkeypatch.setenv(name, value)
    invitation = cpo.invite()
    replaced = {VERSIONS_URL: invitation.versions_url, TOKEN_A: invitation.token_a}
    replaced[COMMANDS_URL] = f"{cpos.origin}/ocpi/cpo/2.1.1/commands/"
    try:
        how(section, replaced, emsp, command)
        partner = emsp.partner(tried.party)
        expected = {name: read_value(name, _replaced(replaced, value)) for name, value in tried.profile.items()}
        assert partner.profile() == evolve(Profile(), **expected)
        assert partner.sync(full=True).ok
        capsys.readouterr()
        tried.check(Tried(emsp, cpo, how is by_python, lambda: capsys.readouterr().out))
    finally:
        cpos.close(cpo)


def _replaced(replaced: Mapping[str, str], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: replaced.get(each, each) for name, each in value.items()}
    return value
