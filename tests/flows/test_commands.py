"""Commands that we send and their results (mod_commands.md; PARTNER-QUIRKS.md row 7)."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from attrs import define, evolve, field

from flows.support import NOW, URL, Peer, cpo_server, envelope, make_emsp, peer, register, serve
from ocpi_emsp import (
    AnswerUnusable,
    CommandResponseType,
    CommandResultReceived,
    CommandType,
    Emsp,
    InvalidObject,
    NotSupported,
    PartnerRefused,
    SentCommand,
    SupportMatrix,
    Token,
    TokenType,
    WhitelistType,
)

ACCEPTED, TIMEOUT = CommandResponseType.ACCEPTED, CommandResponseType.TIMEOUT


def token(uid: str = "T0") -> Token:
    return Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id="IT-BEC-1",
        issuer="Be Charge",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=NOW,
    )


@define
class CommandServer:
    """A CPO that acknowledges commands with ``data``; ``meanwhile`` runs before it answers."""

    data: Any = field(factory=lambda: {"result": "ACCEPTED"})
    status_code: int = 1000
    meanwhile: Callable[[dict[str, Any]], None] = lambda _body: None
    bodies: list[tuple[str, dict[str, Any]]] = field(factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "/commands/" not in request.url.path:
            return cpo_server(request)
        body = json.loads(request.content)
        self.bodies.append((request.url.path, body))
        self.meanwhile(body)
        return httpx.Response(200, json=envelope(self.data, self.status_code))


def start(emsp: Emsp) -> SentCommand:
    with emsp.client("NL", "TNM") as cpo:
        return cpo.start_session(token=token(), location_id="LOC1", evse_uid="E1")


def callback(sent: SentCommand) -> str:
    return f"commands/{sent.command.value}/{sent.uid}"


# --- sending --------------------------------------------------------------------------------------------------------


def test_each_command_goes_to_its_url_with_a_response_url_of_its_own() -> None:
    server = CommandServer()
    cpo = peer(http_client=serve(server))
    with cpo.emsp.client("NL", "TNM") as client:
        sent = [
            client.reserve_now(
                token=token(), location_id="LOC1", expiry_date=NOW + timedelta(hours=1), reservation_id=7, evse_uid="E1"
            ),
            client.start_session(token=token(), location_id="LOC1"),
            client.stop_session(session_id="SES1"),
            client.unlock_connector(location_id="LOC1", evse_uid="E1", connector_id="1"),
        ]
    names = ["RESERVE_NOW", "START_SESSION", "STOP_SESSION", "UNLOCK_CONNECTOR"]
    assert [path for path, _ in server.bodies] == [f"/cpo/2.1.1/commands/{name}" for name in names]
    urls = [f"{URL}/2.1.1/commands/{name}/{each.uid}" for name, each in zip(names, sent, strict=True)]
    assert [body.pop("response_url") for _, body in server.bodies] == urls
    assert len({each.uid for each in sent}) == 4
    assert min(len(each.uid) for each in sent) >= 22  # 128 bits and more: nobody guesses it
    reserve, begin, stop, unlock = (body for _, body in server.bodies)
    assert reserve.pop("token") == begin.pop("token")
    assert reserve == {
        "expiry_date": "2024-06-01T13:00:00Z",
        "reservation_id": 7,
        "location_id": "LOC1",
        "evse_uid": "E1",
    }
    assert begin == {"location_id": "LOC1"}
    assert stop == {"session_id": "SES1"}
    assert unlock == {"location_id": "LOC1", "evse_uid": "E1", "connector_id": "1"}


@pytest.mark.parametrize("data", [{"result": "REJECTED"}, "REJECTED", {"result": "REJECTED", "vendor": 1}])
def test_an_acknowledgement_is_an_object_or_the_bare_text(data: Any) -> None:
    cpo = peer(http_client=serve(CommandServer(data)))
    sent = start(cpo.emsp)
    assert (sent.command, sent.acknowledgement, sent.result) == (CommandType.START_SESSION, "REJECTED", None)
    assert cpo.emsp.command("nl", "tnm", sent.uid) == sent


@pytest.mark.parametrize("data", [None, {}, [], {"result": None}, 5])
def test_an_acknowledgement_that_cannot_be_read_is_named_and_the_command_stays(data: Any) -> None:
    server = CommandServer(data)
    cpo = peer(http_client=serve(server))
    with pytest.raises(AnswerUnusable, match="acknowledgement"):
        start(cpo.emsp)
    uid = server.bodies[0][1]["response_url"].rpartition("/")[2]
    stored = cpo.emsp.command("NL", "TNM", uid)
    assert stored is not None
    assert (stored.acknowledgement, stored.result) == (None, None)
    assert cpo.push("POST", callback(stored), {"result": "ACCEPTED"}).both == (200, 1000)


def test_a_refused_command_stays_stored_since_the_cpo_may_have_got_it() -> None:
    server = CommandServer(status_code=2000)
    cpo = peer(http_client=serve(server))
    with pytest.raises(PartnerRefused) as caught:
        start(cpo.emsp)
    assert (caught.value.answered_http, caught.value.answered_code) == (200, 2000)
    assert cpo.emsp.command("NL", "TNM", server.bodies[0][1]["response_url"].rpartition("/")[2]) is not None


def test_what_is_not_sent_is_not_stored_either() -> None:
    server = CommandServer()
    emsp = make_emsp(matrix=SupportMatrix.default(), http_client=serve(server))
    register(emsp)
    with emsp.client("NL", "TNM") as client:
        with pytest.raises(NotSupported, match="UNLOCK_CONNECTOR"):
            client.unlock_connector(location_id="LOC1", evse_uid="E1", connector_id="1")
        with pytest.raises(InvalidObject) as caught:
            client.start_session(token=token("x" * 37), location_id="LOC1")
    assert [each.pointer for each in caught.value.findings] == ["/token/uid"]
    assert server.bodies == []


# --- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{"result": "TIMEOUT"}, "TIMEOUT", b' "TIMEOUT" ', b'\n{"result" : "TIMEOUT"}'])
def test_a_result_is_an_object_or_the_bare_text(body: Any) -> None:
    cpo = peer(http_client=serve(CommandServer()))
    sent = start(cpo.emsp)
    assert cpo.push("POST", callback(sent), body).both == (200, 1000)
    settled = cpo.emsp.command("NL", "TNM", sent.uid)
    assert settled is not None
    assert (settled.acknowledgement, settled.result) == (ACCEPTED, TIMEOUT)
    (event,) = cpo.events
    assert isinstance(event, CommandResultReceived)
    assert (event.uid, event.command, event.result) == (sent.uid, CommandType.START_SESSION, TIMEOUT)
    assert isinstance(event.result, CommandResponseType)


def test_the_result_may_come_before_the_acknowledgement() -> None:
    answers: list[tuple[int, int]] = []

    def at_once(body: dict[str, Any]) -> None:
        path = body["response_url"].removeprefix(f"{URL}/2.1.1/")
        answers.append(cpo.push("POST", path, {"result": "TIMEOUT"}).both)

    cpo = peer(http_client=serve(CommandServer(meanwhile=at_once)))
    sent = start(cpo.emsp)
    assert answers == [(200, 1000)]
    assert (sent.acknowledgement, sent.result) == (ACCEPTED, TIMEOUT)
    assert cpo.emsp.command("NL", "TNM", sent.uid) == sent
    assert cpo.taken() == ["CommandResultReceived"]


def test_the_first_result_stands() -> None:
    cpo = peer(http_client=serve(CommandServer()))
    sent = start(cpo.emsp)
    first = cpo.push("POST", callback(sent), {"result": "ACCEPTED"})
    again = cpo.push("POST", callback(sent), "ACCEPTED")
    other = cpo.push("POST", callback(sent), {"result": "REJECTED"})
    assert [each.both for each in (first, again, other)] == [(200, 1000)] * 3
    assert again.message == "Success"
    assert other.message == "Kept as stored: the result ACCEPTED was received before"
    settled = cpo.emsp.command("NL", "TNM", sent.uid)
    assert settled is not None
    assert settled.result == ACCEPTED
    assert cpo.taken() == ["CommandResultReceived"]


def test_only_the_party_that_got_the_command_may_answer_it() -> None:
    cpo = peer(http_client=serve(CommandServer()))
    sent = start(cpo.emsp)
    assert cpo.other().push("POST", callback(sent), {"result": "ACCEPTED"}).both == (404, 2000)
    assert cpo.emsp.command("DE", "ABC", sent.uid) is None
    assert cpo.emsp.command("NL", "TNM", sent.uid) == sent
    assert "CommandResultReceived" not in cpo.taken()


@pytest.fixture
def sent() -> tuple[Peer, SentCommand]:
    cpo = peer(http_client=serve(CommandServer()))
    return cpo, start(cpo.emsp)


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
def test_a_result_that_cannot_be_read_is_refused(
    sent: tuple[Peer, SentCommand], body: Any, both: tuple[int, int]
) -> None:
    cpo, command = sent
    assert cpo.push("POST", callback(command), body).both == both
    assert cpo.emsp.command("NL", "TNM", command.uid) == command


def test_a_result_that_the_specification_does_not_list_keeps_its_text(sent: tuple[Peer, SentCommand]) -> None:
    cpo, command = sent
    assert cpo.push("POST", callback(command), {"result": "CABLE_STUCK"}).both == (200, 1000)
    settled = cpo.emsp.command("NL", "TNM", command.uid)
    assert settled is not None
    assert settled.result == "CABLE_STUCK"


def test_a_callback_is_on_whatever_the_matrix_says(sent: tuple[Peer, SentCommand]) -> None:
    cpo, command = sent
    nothing = evolve(cpo, emsp=make_emsp(matrix=SupportMatrix(()), store=cpo.store))
    assert nothing.push("PUT", "tariffs/*/TAR1", {}).status == 405
    assert nothing.push("POST", callback(command), {"result": "ACCEPTED"}).both == (200, 1000)
