"""What is checked before a command is sent (mod_commands.md 3; docs/how-to/reservations-and-sessions.md)."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from flows.commands_desk import E1, E2, PARTY, Desk, desk, token_of
from flows.support import at, without
from ocpi_emsp import Finding, PartyId
from ocpi_emsp.check import RULES
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.commands.preflight import COMMAND_RULES, NEEDS
from ocpi_emsp.models import Capability, TokenType
from ocpi_emsp.resources import Client
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW

Send: TypeAlias = Callable[[Client], Any]
DOCS = Path(__file__).parents[2] / "docs" / "how-to" / "reservations-and-sessions.md"


def start(**changes: Any) -> Send:
    values: dict[str, Any] = {"token": token_of(), "location_id": "LOC1"}
    return lambda client: client.start_session(**(values | changes))


def reserve(**changes: Any) -> Send:
    values: dict[str, Any] = {"token": token_of(), "location_id": "LOC1", "reservation_id": 7}
    values["expiry_date"] = NOW + timedelta(hours=1)
    return lambda client: client.reserve_now(**(values | changes))


def stop(session_id: str = "SES1", **changes: Any) -> Send:
    return lambda client: client.stop_session(session_id=session_id, **changes)


def unlock(**changes: Any) -> Send:
    values: dict[str, Any] = {"location_id": "LOC1", "evse_uid": E1, "connector_id": "1"}
    return lambda client: client.unlock_connector(**(values | changes))


def found(d: Desk, send: Send) -> list[Finding]:
    """What was found: an error kept the command from being sent and stored, and nothing else did."""
    before = len(d.answers.bodies)
    findings, was_sent = _tried(d, send)
    assert was_sent == all(finding.severity is not Severity.ERROR for finding in findings)
    assert len(d.answers.bodies) == len(list(d.cpo.emsp.commands.list())) == before + was_sent
    return findings


def _tried(d: Desk, send: Send) -> tuple[list[Finding], bool]:
    try:
        with d.cpo.emsp.partner(PartyId(*PARTY)).client() as client:
            return list(send(client).findings), True
    except InvalidObject as error:
        return list(error.findings), False


def short(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(each.rule.removeprefix("command."), each.severity.value, each.pointer) for each in findings]


def evse(uid: str = E1, **changes: Any) -> Document:
    return samples.evse(uid) | changes


def with_evses(*evses: Document) -> Desk:
    """A desk whose LOC1 has these EVSEs."""
    made = desk()
    made.cpo.put("locations/*/LOC1", samples.location("LOC1", last_updated=NOW) | {"evses": list(evses)})
    return made


@pytest.mark.parametrize(
    "send",
    [start(), start(evse_uid=E1), reserve(), reserve(evse_uid=E2), unlock(), stop()],
    ids=["start", "start at an EVSE", "reserve", "reserve an EVSE", "unlock", "stop"],
)
def test_nothing_speaks_against_what_the_cpo_can_do(send: Send) -> None:
    made = desk()
    made.session()
    assert found(made, send) == []


# --- location, EVSE, connector --------------------------------------------------------------------------------------

UNKNOWN = [
    (start(location_id="LOC9"), ("location.unknown", "/location_id")),
    (start(evse_uid="E9"), ("evse.unknown", "/evse_uid")),
    (reserve(location_id="LOC9", evse_uid=E1), ("location.unknown", "/location_id")),
    (reserve(evse_uid="E9"), ("evse.unknown", "/evse_uid")),
    (unlock(location_id="LOC9"), ("location.unknown", "/location_id")),
    (unlock(evse_uid="E9"), ("evse.unknown", "/evse_uid")),
]


@pytest.mark.parametrize(("send", "place"), UNKNOWN)
def test_a_place_that_is_not_known_is_an_error(send: Send, place: tuple[str, str]) -> None:
    assert short(found(desk(), send)) == [(place[0], "error", place[1])]


@pytest.mark.parametrize(("send", "place"), UNKNOWN)
def test_it_is_a_warning_where_the_cpo_sends_no_locations(send: Send, place: tuple[str, str]) -> None:
    made = desk()
    made.cpo.set_profile(without_locations=True)
    assert short(found(made, send)) == [(place[0], "warning", place[1])]


def test_a_location_of_another_party_is_not_known() -> None:
    made = desk()
    made.cpo.other().put("locations/*/LOC2", samples.location("LOC2", country_code="DE"))
    assert short(found(made, start(location_id="LOC2"))) == [("location.unknown", "error", "/location_id")]


def test_a_location_of_a_party_behind_the_hub_is_known() -> None:
    made = desk()
    made.cpo.set_profile(allowed_parties=("DE-ABC",))
    location = samples.location("LOC2", country_code="DE")
    assert made.cpo.push("PUT", "locations/DE/ABC/LOC2", location).code == 1000
    assert found(made, start(location_id="LOC2", evse_uid="LOC2-E1")) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("AVAILABLE", []),
        ("BLOCKED", [("evse.status", "warning", "/evse_uid")]),
        ("CHARGING", []),
        ("INOPERATIVE", [("evse.status", "warning", "/evse_uid")]),
        ("OUTOFORDER", [("evse.status", "warning", "/evse_uid")]),
        ("PLANNED", [("evse.status", "warning", "/evse_uid")]),
        ("REMOVED", [("evse.removed", "error", "/evse_uid")]),
        ("RESERVED", []),
        ("UNKNOWN", []),
        ("VENDOR", []),
    ],
)
@pytest.mark.parametrize(
    "send", [start(evse_uid=E1), reserve(evse_uid=E1), unlock()], ids=["start", "reserve", "unlock"]
)
def test_the_status_of_the_evse(send: Send, status: str, expected: list[tuple[str, str, str]]) -> None:
    assert short(found(with_evses(evse(status=status)), send)) == expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], [("evse.none", "error")]),
        (["REMOVED", "REMOVED"], [("evse.none", "error")]),
        (["OUTOFORDER", "REMOVED", "PLANNED"], [("evse.status", "warning")]),
        (["OUTOFORDER", "AVAILABLE"], []),
        (["CHARGING"], []),
    ],
)
def test_without_an_evse_one_of_the_location_has_to_be_usable(
    statuses: list[str], expected: list[tuple[str, str]]
) -> None:
    made = with_evses(*[evse(f"E{number}", status=status) for number, status in enumerate(statuses)])
    assert short(found(made, start())) == [(*each, "/location_id") for each in expected]


def test_a_connector_has_to_be_there() -> None:
    assert short(found(desk(), unlock(connector_id="2"))) == [("connector.unknown", "error", "/connector_id")]


# --- capabilities ---------------------------------------------------------------------------------------------------

NEEDING = {"start": start(evse_uid=E1), "reserve": reserve(evse_uid=E1), "unlock": unlock()}
CAPABILITIES = dict(zip(NEEDING, ["REMOTE_START_STOP_CAPABLE", "RESERVABLE", "UNLOCK_CAPABLE"], strict=True))


@pytest.mark.parametrize("name", NEEDING)
def test_the_evse_needs_the_capability_of_the_command(name: str) -> None:
    needed = CAPABILITIES[name]
    assert found(with_evses(evse(capabilities=[needed])), NEEDING[name]) == []
    others = [each for each in (*CAPABILITIES.values(), "RFID_READER") if each != needed]
    (finding,) = found(with_evses(evse(capabilities=others)), NEEDING[name])
    assert short([finding]) == [("capability.missing", "error", "/evse_uid")]
    assert needed in finding.message
    for silent in (without(evse(), "capabilities"), evse(capabilities=[])):
        assert short(found(with_evses(silent), NEEDING[name])) == [("capability.unlisted", "warning", "/evse_uid")]


@pytest.mark.parametrize(
    ("evses", "expected"),
    [
        ([{"capabilities": ["RFID_READER"]}, {}], []),
        ([{"capabilities": ["RFID_READER"]}] * 2, [("capability.missing", "error")]),
        ([{"capabilities": ["RFID_READER"]}, {"capabilities": []}], [("capability.unlisted", "warning")]),
        ([{"capabilities": ["RFID_READER"]}, {"status": "REMOVED"}], [("capability.missing", "error")]),
        ([{"capabilities": ["RFID_READER"]}, {"status": "OUTOFORDER"}], [("capability.missing", "error")]),
        ([{"status": "OUTOFORDER"}], [("evse.status", "warning")]),
    ],
)
def test_without_an_evse_a_usable_one_of_the_location_needs_it(
    evses: list[Document], expected: list[tuple[str, str]]
) -> None:
    made = with_evses(*[evse(f"E{number}", status="AVAILABLE") | changes for number, changes in enumerate(evses)])
    assert short(found(made, start())) == [(*each, "/location_id") for each in expected]


def test_a_message_names_three_evses_and_counts_the_rest() -> None:
    made = with_evses(*[evse(f"E{number}", capabilities=["RFID_READER"]) for number in range(5)])
    (finding,) = found(made, start())
    assert finding.message.endswith("EVSE 'E0', EVSE 'E1', EVSE 'E2', 2 more")


def test_each_command_with_an_evse_has_a_capability() -> None:
    assert {kind.__name__: needed.value for kind, needed in NEEDS.items()} == {
        "StartSession": "REMOTE_START_STOP_CAPABLE",
        "ReserveNow": "RESERVABLE",
        "UnlockConnector": "UNLOCK_CAPABLE",
    }
    assert set(NEEDS.values()) < set(Capability)


# --- token, time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [start, reserve], ids=["start", "reserve"])
def test_the_token_is_ours_and_valid(command: Callable[..., Send]) -> None:
    made = desk()
    unknown = [("token.unknown", "warning", "/token/uid")]
    assert short(found(made, command(token=token_of("IT-BEC-9")))) == unknown
    assert short(found(made, command(token=token_of(type=TokenType.OTHER)))) == unknown
    assert short(found(made, command(token=token_of(valid=False)))) == [("token.invalid", "error", "/token/valid")]
    both = [*unknown, ("token.invalid", "error", "/token/valid")]
    assert short(found(made, command(token=token_of("IT-BEC-9", valid=False)))) == both
    made.cpo.emsp.tokens.put(token_of(valid=False))
    for given in (token_of(), token_of(valid=False)):
        assert short(found(made, command(token=given))) == [("token.invalid", "error", "/token/valid")]


@pytest.mark.parametrize(("seconds", "is_past"), [(-1, True), (0, True), (1, False)])
def test_a_reservation_ends_in_the_future(seconds: int, is_past: bool) -> None:
    send = reserve(expiry_date=NOW + timedelta(seconds=seconds))
    assert short(found(desk(), send)) == ([("expiry.past", "error", "/expiry_date")] if is_past else [])


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_is_stopped_at_the_party_that_has_it() -> None:
    made = desk()
    made.session("SES1")
    other = made.cpo.other()
    other.put("sessions/*/SES2", made.began("SES2"))
    assert found(made, stop("SES1")) == []
    assert short(found(made, stop("SES2"))) == [("session.unknown", "error", "/session_id")]
    assert short(found(made, stop("SES9"))) == [("session.unknown", "error", "/session_id")]


@pytest.mark.parametrize(
    ("status", "ended"),
    [("ACTIVE", False), ("COMPLETED", True), ("INVALID", True), ("PENDING", False), ("VENDOR", False)],
)
def test_a_session_that_ended_cannot_be_stopped(status: str, ended: bool) -> None:
    made = desk()
    made.cpo.put("sessions/*/SES1", made.began() | {"status": status})
    assert short(found(made, stop())) == ([("session.ended", "error", "/session_id")] if ended else [])


# --- all of it ------------------------------------------------------------------------------------------------------


def test_every_finding_is_given_at_once() -> None:
    made = with_evses(evse(status="REMOVED", capabilities=["RFID_READER"]))
    send = reserve(evse_uid=E1, token=token_of(valid=False), expiry_date=NOW)
    assert [rule for rule, _, _ in short(found(made, send))] == [
        "evse.removed",
        "capability.missing",
        "token.invalid",
        "expiry.past",
    ]


@pytest.mark.parametrize(
    "send",
    [
        start(location_id="LOC9", force=True),
        reserve(expiry_date=NOW, force=True),
        stop("SES9", force=True),
        unlock(connector_id="9", force=True),
    ],
    ids=["start", "reserve", "stop", "unlock"],
)
def test_an_error_can_be_overridden_and_is_still_told(send: Send) -> None:
    made = desk()
    with made.cpo.emsp.partner(PartyId(*PARTY)).client() as client:
        pending = send(client)
    assert [finding.severity for finding in pending.findings] == [Severity.ERROR]
    assert len(made.answers.bodies) == 1


def test_what_deviates_in_a_stored_evse_is_no_obstacle() -> None:
    """Row 14 and 16 of docs/spec-choices.md: it was accepted, so it can be read again."""
    deviating = evse(floor_level=1, capabilities=["VENDOR_CAPABLE"], status="AVAILABLE")
    made = with_evses(deviating)
    assert short(found(made, start(evse_uid=E1))) == [("capability.missing", "error", "/evse_uid")]


def test_findings_cite_the_clause_of_the_rule_or_of_the_commands_object() -> None:
    made = desk()
    clauses = {
        "start": found(made, start(location_id="LOC9"))[0].clause,
        "reserve": found(made, reserve(location_id="LOC9"))[0].clause,
        "unlock": found(made, unlock(location_id="LOC9"))[0].clause,
        "stop": found(made, stop("SES9"))[0].clause,
        "expiry": found(made, reserve(expiry_date=NOW))[0].clause,
    }
    assert clauses == {
        "start": "mod_commands.md#33-startsession-object",
        "reserve": "mod_commands.md#32-reservenow-object",
        "unlock": "mod_commands.md#35-unlockconnector-object",
        "stop": "mod_commands.md#34-stopsession-object",
        "expiry": "mod_commands.md#32-reservenow-object",
    }


def test_the_rules_stand_in_the_docs_and_have_ids_of_their_own() -> None:
    page = DOCS.read_text("utf-8")
    rows = [f"| `{rule.id}` | {rule.severity.value} | {rule.sentence} |" for rule in COMMAND_RULES.values()]
    assert [row for row in rows if row not in page] == []
    assert page.count("| `command.") == len(rows)
    assert not set(COMMAND_RULES) & set(RULES)


def test_a_location_that_changes_is_looked_at_as_it_is_now() -> None:
    made = desk()
    assert found(made, start(evse_uid=E1)) == []
    made.cpo.push("PATCH", f"locations/*/LOC1/{E1}", {"status": "REMOVED", "last_updated": at(1)})
    assert short(found(made, start(evse_uid=E1))) == [("evse.removed", "error", "/evse_uid")]
