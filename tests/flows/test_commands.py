"""Commands that we send and their results (mod_commands.md; PARTNER-QUIRKS.md row 7)."""

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import evolve

from flows.commands_desk import (
    ACCEPTED,
    REJECTED,
    TIMEOUT,
    UNKNOWN_SESSION,
    CommandServer,
    callback,
    known,
    path_of,
    start,
    stop,
    stored,
    token,
)
from flows.support import Peer, offline_emsp
from ocpi_emsp import SupportMatrix
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import InvalidObject, NotSupported
from ocpi_emsp.events import CommandResultReceived
from ocpi_emsp.flows.parties.pending_resync import resync_requests
from ocpi_emsp.models import CommandResponseType, CommandType
from ocpi_emsp.resources import CommandState, SentCommand
from our_emsp import NOW, URL, register
from scripted_cpo import clients

# --- sending --------------------------------------------------------------------------------------------------------


def test_each_command_goes_to_its_url_with_a_response_url_of_its_own() -> None:
    server = CommandServer()
    cpo = known(server)
    with cpo.emsp.partner("NL-TNM").client() as client:
        sent = [
            client.reserve_now(
                token=token(),
                location_id="LOC1",
                expiry_date=NOW + timedelta(hours=1),
                reservation_id=7,
                evse_uid="LOC1-E1",
            ),
            client.start_session(token=token(), location_id="LOC1"),
            client.stop_session(session_id="SES1"),
            client.unlock_connector(location_id="LOC1", evse_uid="LOC1-E1", connector_id="1"),
        ]
    names = ["RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"]
    assert [each.url.path for each in server.commands] == [f"/cpo/2.1.1/commands/{name}" for name in names]
    urls = [f"{URL}/2.1.1/commands/{name}/{each.uid}" for name, each in zip(names, sent, strict=True)]
    bodies = server.bodies
    assert [body.pop("response_url") for body in bodies] == urls
    assert len({each.uid for each in sent}) == 4
    assert min(len(each.uid) for each in sent) >= 22  # 128 bits and more: nobody guesses it
    reserve, begin, end, unlock = bodies
    assert reserve.pop("token") == begin.pop("token")
    assert reserve == {
        "expiry_date": "2024-06-01T13:00:00Z",
        "reservation_id": 7,
        "location_id": "LOC1",
        "evse_uid": "LOC1-E1",
    }
    assert begin == {"location_id": "LOC1"}
    assert end == {"session_id": "SES1"}
    assert unlock == {"location_id": "LOC1", "evse_uid": "LOC1-E1", "connector_id": "1"}
    assert [each.findings for each in sent] == [()] * 4
    assert [stored(cpo, each.uid) for each in sent] == [each.command for each in sent]


def test_what_a_command_is_about_is_stored_with_it() -> None:
    server = CommandServer()
    cpo = known(server)
    with cpo.emsp.partner("NL-TNM").client() as client:
        reserve = client.reserve_now(
            token=token(), location_id="LOC1", expiry_date=NOW + timedelta(hours=1, microseconds=5), reservation_id=7
        ).command
        unlock = client.unlock_connector(location_id="LOC1", evse_uid="LOC1-E1", connector_id="1", timeout=30).command
        end = client.stop_session(session_id="SES1").command
    assert (reserve.token_uid, reserve.token_type, reserve.auth_id) == ("T0", "RFID", "IT-BEC-1")
    assert (reserve.location_id, reserve.evse_uid, reserve.reservation_id) == ("LOC1", None, 7)
    assert (reserve.sent_at, reserve.deadline) == (NOW, NOW + timedelta(minutes=2))
    assert reserve.expiry_date == NOW + timedelta(hours=1)
    assert (unlock.evse_uid, unlock.connector_id, unlock.token_uid) == ("LOC1-E1", "1", None)
    assert unlock.deadline == NOW + timedelta(seconds=30)
    assert (end.session_id, end.location_id) == ("SES1", None)
    given = [each.headers["x-correlation-id"] for each in server.commands]
    assert given == [each.correlation_id for each in (reserve, unlock, end)]
    assert len(set(given)) == 3


@pytest.mark.parametrize("data", [{"result": "REJECTED"}, "REJECTED", {"result": "REJECTED", "vendor": 1}])
def test_an_acknowledgement_is_an_object_or_the_bare_text(data: Any) -> None:
    cpo = known(CommandServer(data=data))
    pending = start(cpo.emsp)
    sent = pending.command
    assert (sent.command, pending.acknowledgement, sent.result) == (CommandType.START_SESSION, "REJECTED", None)
    assert sent.state == CommandState.REFUSED
    assert pending.result() == REJECTED
    assert cpo.emsp.commands.get("nl-tnm", sent.uid) == sent


def test_what_is_not_sent_is_not_stored_either() -> None:
    server = CommandServer()
    emsp = offline_emsp(matrix=SupportMatrix.default(), **clients(server))
    register(emsp)
    with emsp.partner("NL-TNM").client() as client:
        with pytest.raises(NotSupported, match="UNLOCK_CONNECTOR"):
            client.unlock_connector(location_id="LOC1", evse_uid="E1", connector_id="1")
        with pytest.raises(InvalidObject) as caught:
            client.start_session(token=token("x" * 37), location_id="LOC1")
    assert [each.pointer for each in caught.value.findings] == ["/token/uid"]
    assert server.bodies == []
    assert list(emsp.commands.list()) == []


def test_what_the_checks_find_keeps_a_command_from_being_sent_unless_it_is_forced() -> None:
    server = CommandServer()
    cpo = known(server)
    with cpo.emsp.partner("NL-TNM").client() as client:
        with pytest.raises(InvalidObject, match="START_SESSION") as caught:
            client.start_session(token=token(), location_id="NOWHERE")
        assert [each.pointer for each in caught.value.findings] == ["/location_id"]
        assert (server.bodies, list(cpo.emsp.commands.list())) == ([], [])
        pending = client.start_session(token=token(), location_id="NOWHERE", force=True)
        warned = client.start_session(token=token("T9"), location_id="LOC1")
    assert pending.findings == caught.value.findings
    assert pending.acknowledgement == ACCEPTED
    assert [each.pointer for each in warned.findings] == ["/token/uid"]
    assert [each.uid for each in cpo.emsp.commands.list()] == [pending.uid, warned.uid]


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e12])
def test_a_deadline_without_sense_is_refused_before_anything_is_sent(timeout: float) -> None:
    server = CommandServer()
    cpo = known(server)
    with pytest.raises(ValueError, match=r"^invalid timeout '.*': expected seconds .*, for example 120$"):
        start(cpo.emsp, timeout=timeout)
    assert (server.bodies, list(cpo.emsp.commands.list())) == ([], [])


def test_commands_are_listed_oldest_first_from_any_place_on() -> None:
    cpo = known(CommandServer())
    sent = [start(cpo.emsp).uid for _ in range(3)]
    first, *others = cpo.emsp.commands.list()
    assert [first.uid, *(each.uid for each in others)] == sent
    assert list(cpo.emsp.commands.list(after=first.sequence)) == others
    assert list(cpo.emsp.commands.list("nl-tnm", limit=1)) == [first]
    assert list(cpo.emsp.commands.list("DE-ABC")) == []


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"result": "TIMEOUT"}, "TIMEOUT", b' "TIMEOUT" ', b'\n{"result" : "TIMEOUT"}'])
def test_a_result_is_an_object_or_the_bare_text(body: Any) -> None:
    cpo = known(CommandServer())
    pending = start(cpo.emsp)
    assert cpo.push("POST", callback(pending), body).both == (200, 1000)
    settled = stored(cpo, pending.uid)
    assert (settled.acknowledgement, settled.result) == (ACCEPTED, TIMEOUT)
    assert (settled.state, settled.result_at) == (CommandState.ANSWERED, NOW)
    assert (pending.result(), pending.refresh()) == (TIMEOUT, settled)
    (event,) = cpo.events
    assert isinstance(event, CommandResultReceived)
    assert (event.uid, event.command, event.result) == (pending.uid, CommandType.START_SESSION, TIMEOUT)
    assert not event.late
    assert isinstance(event.result, CommandResponseType)


@pytest.mark.parametrize("acknowledgement", ["ACCEPTED", "REJECTED"])
def test_the_result_may_come_before_the_acknowledgement(acknowledgement: str) -> None:
    answers: list[tuple[int, int]] = []

    def at_once(request: httpx.Request) -> None:
        answers.append(cpo.push("POST", path_of(request), {"result": "TIMEOUT"}).both)

    cpo = known(CommandServer(data={"result": acknowledgement}, answer=at_once))
    pending = start(cpo.emsp)
    assert answers == [(200, 1000)]
    sent = pending.command
    assert (sent.acknowledgement, sent.result, sent.state) == (acknowledgement, TIMEOUT, CommandState.ANSWERED)
    assert stored(cpo, pending.uid) == sent
    assert pending.result() == TIMEOUT
    assert cpo.taken() == ["CommandResultReceived"]


def test_a_result_may_follow_a_refusal() -> None:
    cpo = known(CommandServer(data="REJECTED"))
    pending = start(cpo.emsp)
    assert cpo.push("POST", callback(pending), "ACCEPTED").both == (200, 1000)
    assert (pending.result(), stored(cpo, pending.uid).state) == (ACCEPTED, CommandState.ANSWERED)


def test_the_first_result_stands(caplog: pytest.LogCaptureFixture) -> None:
    cpo = known(CommandServer())
    sent = start(cpo.emsp)
    with caplog.at_level(logging.WARNING, "ocpi_emsp"):
        first = cpo.push("POST", callback(sent), {"result": "ACCEPTED"})
        again = cpo.push("POST", callback(sent), "ACCEPTED")
        assert caplog.messages == []
        other = cpo.push("POST", callback(sent), {"result": "REJECTED"})
    assert [each.both for each in (first, again, other)] == [(200, 1000)] * 3
    assert again.message == "Success"
    assert other.message == "Not stored: the result ACCEPTED was received before"
    (said,) = caplog.messages
    assert said.startswith("command.contradicted party=NL-TNM command=START_SESSION")
    assert said.endswith("said=REJECTED")
    assert stored(cpo, sent.uid).result == ACCEPTED
    assert cpo.taken() == ["CommandResultReceived"]


def test_only_the_party_that_got_the_command_may_answer_it() -> None:
    cpo = known(CommandServer())
    sent = start(cpo.emsp)
    assert cpo.other().push("POST", callback(sent), {"result": "ACCEPTED"}).both == (404, 2000)
    assert cpo.emsp.commands.get("DE-ABC", sent.uid) is None
    assert stored(cpo, sent.uid) == sent.command
    assert "CommandResultReceived" not in cpo.taken()


@pytest.fixture
def sent() -> tuple[Peer, SentCommand]:
    cpo = known(CommandServer())
    return cpo, start(cpo.emsp).command


@pytest.mark.parametrize(
    ("path", "both"),
    [
        ("commands/START_SESSION/{uid}", (200, 1000)),
        ("commands/start_session/{uid}/", (200, 1000)),
        ("commands/STOP_SESSION/{uid}", (404, 2000)),
        ("commands/START_SESSION/nobody", (404, 2000)),
        ("commands/START_SESSION", (404, 2000)),
    ],
)
def test_a_result_must_name_the_command(sent: tuple[Peer, SentCommand], path: str, both: tuple[int, int]) -> None:
    cpo, command = sent
    assert cpo.push("POST", path.format(uid=command.uid), {"result": "ACCEPTED"}).both == both


@pytest.mark.parametrize(
    ("body", "both"),
    [
        (b"", (400, 2000)),
        (b"ACCEPTED", (400, 2000)),
        ({}, (200, 2001)),
        (b'"', (400, 2000)),
        ({"result": 1}, (200, 2001)),
    ],
)
def test_a_result_that_cannot_be_read_is_refused_and_kept(
    sent: tuple[Peer, SentCommand], body: Any, both: tuple[int, int]
) -> None:
    cpo, command = sent
    assert cpo.push("POST", callback(command), body).both == both
    assert stored(cpo, command.uid) == command
    (rejection,) = cpo.emsp.rejections.list()
    assert (rejection.route, rejection.party_id) == ("commands.result", "TNM")


def test_a_result_that_the_specification_does_not_list_keeps_its_text(sent: tuple[Peer, SentCommand]) -> None:
    cpo, command = sent
    assert cpo.push("POST", callback(command), {"result": "CABLE_STUCK"}).both == (200, 1000)
    assert stored(cpo, command.uid).result == "CABLE_STUCK"


def test_a_callback_is_on_whatever_the_matrix_says(sent: tuple[Peer, SentCommand]) -> None:
    cpo, command = sent
    nothing = evolve(cpo, emsp=offline_emsp(matrix=SupportMatrix(()), store=cpo.store))
    assert nothing.push("PUT", "tariffs/*/TAR1", {}).status == 405
    assert nothing.push("POST", callback(command), {"result": "ACCEPTED"}).both == (200, 1000)


# --- a session that the party does not know -------------------------------------------------------------------------


def wanted(cpo: Peer) -> list[str]:
    """The sessions that the next sync pulls."""

    async def read() -> list[str]:
        async with cpo.store.transaction() as tx:
            return [wish.id for wish in await resync_requests(tx, ("NL", "TNM"), "sessions")]

    return run(read())


def test_a_session_that_the_cpo_does_not_know_any_more_is_pulled() -> None:
    cpo = known(CommandServer(data={"result": "UNKNOWN_SESSION"}))
    pending = stop(cpo.emsp)
    assert (pending.acknowledgement, pending.result()) == (UNKNOWN_SESSION, UNKNOWN_SESSION)
    assert wanted(cpo) == ["SES1"]


def test_a_session_that_the_charge_point_does_not_know_is_pulled() -> None:
    cpo = known(CommandServer())
    pending = stop(cpo.emsp)
    assert wanted(cpo) == []
    cpo.push("POST", callback(pending), "UNKNOWN_SESSION")
    assert (pending.result(), wanted(cpo)) == (UNKNOWN_SESSION, ["SES1"])


def test_a_start_that_is_answered_so_wants_no_session() -> None:
    cpo = known(CommandServer(data={"result": "UNKNOWN_SESSION"}))
    assert start(cpo.emsp).result() == UNKNOWN_SESSION
    assert wanted(cpo) == []
