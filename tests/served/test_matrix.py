"""Every row of the support matrix from the CPO, over HTTP, on both servers; and that no row at all is missing."""

from __future__ import annotations

import pytest

from ocpi_emsp.events import CommandResultReceived
from ocpi_emsp.flows.commands.states import SentCommand
from ocpi_emsp.models import CommandResponseType
from ocpi_emsp.support import FROM_CPO, TO_CPO, SupportMatrix
from served.calls import TO_CPO_CASES
from served.cases import FROM_CPO_CASES, FromCpo, RowKey, put_location, rows, supported, without
from served.partner import Connect, Partner
from served.writes import store_command

PUBLISHED = SupportMatrix.default()


def by_row(wanted: bool | None = None) -> list[object]:
    """The cases of every row from the CPO, in the order of the CSV; a row without a case is a test that fails."""
    found: list[object] = []
    for key in rows():
        if key[1] == FROM_CPO and wanted in (None, supported(key)):
            cases = [case for case in FROM_CPO_CASES if case.key == key]
            found += [pytest.param(case, id=f"{key[0]}-{key[2]}-{case.name}") for case in cases] or [pytest.param(key)]
    return found


# --- no row is missing ----------------------------------------------------------------------------------------------


def test_every_row_of_the_matrix_has_a_case() -> None:
    covered = {case.key for case in FROM_CPO_CASES} | {case.key for case in TO_CPO_CASES}
    assert covered == set(rows())
    assert {key[1] for key in covered} == {FROM_CPO, TO_CPO}
    assert len(PUBLISHED.rows) == 32


def test_each_level_of_a_location_has_a_case() -> None:
    levels = {"location", "evse", "connector"}
    for method in ("GET", "PUT", "PATCH"):
        assert {case.name for case in FROM_CPO_CASES if case.key[::2] == ("locations", method)} == levels
    assert {case.name for case in TO_CPO_CASES if case.key[0] == "locations"} == {"list", *levels}


# --- CPO -> MSP -----------------------------------------------------------------------------------------------------


def succeeds(partner: Partner, case: FromCpo) -> None:
    """The request does what the specification says."""
    case.before(partner)
    answer = case.run(partner)
    assert answer.both == (case.status, 1000), answer.text
    case.check(partner, answer)


def is_refused(partner: Partner, case: FromCpo) -> set[str]:
    """405 with Allow and an envelope, and nothing changes; the methods that are allowed."""
    before = partner.objects
    answer = case.run(partner)
    assert answer.both == (405, 2000), answer.text
    assert answer.data is None
    assert case.key[2] not in answer.allow
    created = partner.objects.keys() - before.keys()
    assert {key.kind for key in created} <= ({"cdr"} if case.key[:3:2] == ("cdrs", "GET") else set())
    return answer.allow


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("case", by_row())
def test_the_published_matrix_is_what_is_served(partner: Partner, case: FromCpo) -> None:
    if supported(case.key):
        succeeds(partner, case)
        return
    case.before(partner)
    allowed = {
        ("credentials", "DELETE"): {"GET", "POST", "PUT", "PATCH"},
        ("locations", "GET"): {"PUT", "PATCH"},
        ("sessions", "GET"): {"PUT", "PATCH"},
        ("cdrs", "GET"): set[str](),
        ("tariffs", "GET"): {"PUT", "PATCH"},
        ("tariffs", "DELETE"): {"PUT", "PATCH"},
    }
    assert is_refused(partner, case) == allowed[case.key[0], case.key[2]]


@pytest.mark.parametrize("case", by_row(wanted=False))
def test_the_full_matrix_serves_the_rest_too(connect: Connect, case: FromCpo) -> None:
    succeeds(connect(matrix=SupportMatrix.full()), case)


@pytest.mark.servers_in_turn
@pytest.mark.parametrize("case", by_row(wanted=True))
def test_any_row_can_be_switched_off(connect: Connect, case: FromCpo) -> None:
    partner = connect(matrix=SupportMatrix.full())
    case.before(partner)
    partner.switch(without(case.key))
    is_refused(partner, case)


# --- always on ------------------------------------------------------------------------------------------------------


def everything_off() -> SupportMatrix:
    """A matrix of which no row is on."""
    matrix = PUBLISHED
    for module, direction, method, path in rows():
        matrix = matrix.switch(False, module=module, direction=direction, method=method, path=path)
    return matrix


def test_versions(partner: Partner) -> None:
    answer = partner.ocpi("GET", "/versions")
    assert answer.both == (200, 1000)
    assert answer.data == [{"version": "2.1.1", "url": f"{partner.host.url}/2.1.1"}]


ALL_MODULES = {"credentials", "locations", "sessions", "cdrs", "tariffs", "tokens", "commands"}
TARIFFS_OFF = [key for key in rows() if key[:2] == ("tariffs", FROM_CPO)]


def off(keys: list[RowKey]) -> SupportMatrix:
    """The full matrix without these rows."""
    matrix = SupportMatrix.full()
    for module, direction, method, path in keys:
        matrix = matrix.switch(False, module=module, direction=direction, method=method, path=path)
    return matrix


@pytest.mark.parametrize(
    ("matrix", "mounted"),
    [
        pytest.param(PUBLISHED, ALL_MODULES, id="published"),
        pytest.param(SupportMatrix.full(), ALL_MODULES, id="full"),
        pytest.param(off(TARIFFS_OFF), ALL_MODULES - {"tariffs"}, id="without-tariffs"),
        pytest.param(off(TARIFFS_OFF[1:]), ALL_MODULES, id="one-row-of-tariffs"),
        pytest.param(everything_off(), {"credentials", "commands"}, id="nothing"),
    ],
)
def test_version_details_list_exactly_what_is_mounted(
    partner: Partner, matrix: SupportMatrix, mounted: set[str]
) -> None:
    partner.switch(matrix)
    answer = partner.ocpi("GET", "/2.1.1")
    assert answer.both == (200, 1000)
    assert answer.data["version"] == "2.1.1"
    listed = {endpoint["identifier"]: endpoint["url"] for endpoint in answer.data["endpoints"]}
    assert len(listed) == len(answer.data["endpoints"])
    assert listed == {module: f"{partner.host.url}/2.1.1/{module}/" for module in mounted}


def test_credentials_are_read_whatever_the_matrix_says(partner: Partner) -> None:
    partner.switch(everything_off())
    answer = partner.ocpi("GET", "/2.1.1/credentials")
    assert answer.both == (200, 1000)
    assert answer.data == {
        "token": partner.ocpi.token,
        "url": f"{partner.host.url}/versions",
        "business_details": {"name": "Be Charge"},
        "party_id": "BEC",
        "country_code": "IT",
    }


@pytest.fixture
def sent_command(partner: Partner) -> SentCommand:
    """A START_SESSION that NL-TNM got from us."""
    return store_command(partner, "NL", "TNM", "guess-me-if-you-can")


@pytest.mark.parametrize("body", [b'{"result":"REJECTED"}', b'"REJECTED"', b' "REJECTED"\n'])
def test_the_result_of_a_command(partner: Partner, sent_command: SentCommand, body: bytes) -> None:
    path = f"/2.1.1/commands/START_SESSION/{sent_command.uid}"
    assert partner.ocpi("POST", path, content=body).both == (200, 1000)
    settled = partner.emsp.commands.get("NL-TNM", sent_command.uid)
    assert settled is not None
    assert settled.result == CommandResponseType.REJECTED
    # The same again is answered alike; another result is kept out and says so; neither is a second event.
    assert partner.ocpi("POST", path, content=body).both == (200, 1000)
    other = partner.ocpi("POST", path, {"result": "ACCEPTED"})
    assert other.both == (200, 1000)
    assert "Not stored" in other.message
    assert partner.emsp.commands.get("NL-TNM", sent_command.uid) == settled
    [event] = partner.heard(CommandResultReceived)
    assert (event.uid, event.result) == (sent_command.uid, CommandResponseType.REJECTED)


def test_the_result_of_a_command_comes_in_whatever_the_matrix_says(partner: Partner, sent_command: SentCommand) -> None:
    partner.switch(everything_off())
    answer = partner.ocpi("POST", f"/2.1.1/commands/START_SESSION/{sent_command.uid}", {"result": "ACCEPTED"})
    assert answer.both == (200, 1000)


def test_nobody_else_answers_a_command(partner: Partner, sent_command: SentCommand) -> None:
    store_command(partner, "DE", "ABC", "of-another-party")
    before = partner.objects
    for path in (
        "/2.1.1/commands/START_SESSION/of-another-party",
        "/2.1.1/commands/START_SESSION/unknown",
        f"/2.1.1/commands/STOP_SESSION/{sent_command.uid}",
    ):
        assert partner.ocpi("POST", path, {"result": "ACCEPTED"}).both == (404, 2000)
    assert partner.objects == before
    assert partner.heard(CommandResultReceived) == []


def test_what_no_row_switches_off_has_no_other_methods(partner: Partner) -> None:
    put_location(partner)
    for path, method, allow in (
        ("/versions", "POST", {"GET"}),
        ("/2.1.1", "PUT", {"GET"}),
        ("/2.1.1/commands/START_SESSION/x", "GET", {"POST"}),
    ):
        answer = partner.ocpi(method, path)
        assert (answer.both, answer.allow) == ((405, 2000), allow)
