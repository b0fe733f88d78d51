"""``ocpi-emsp command``: to a simulated CPO over real HTTP, while ``serve`` takes the results in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli import filled
from cli.conftest import SECONDS, Command, Start
from ocpi_emsp.storage import SqlStore
from our_emsp import token

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
PLACE = ("--location", "LOC1", "--evse", "LOC1-E1")
START = ("command", "start-session", "NL-TNM", "--token", "A", *PLACE, *WHO)


@pytest.fixture
def control(start: Start, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """The control interface of a CPO that is registered, whose locations are stored; the token A is stored."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_STORE", raising=False)
    server = start("serve", *WHO, "--port", "0", "--json")
    cpo = start("simulate-cpo", "--party", "NL-TNM", "--token-a", "token-a")
    monkeypatch.setenv("OCPI_EMSP_URL", json.loads(server.stdout.readline())["url"])
    ready = json.loads(cpo.stdout.readline())
    for argv in (
        ("register", ready["versions_url"], "--token-a", "token-a", *WHO),
        ("sync", "--module", "locations", *WHO),
    ):
        ended = command(*argv)
        assert ended.status == 0, ended.err
    store = SqlStore("sqlite:///ocpi-emsp.db")
    emsp = filled.emsp_on(store)
    emsp.tokens.put(token("A"))
    emsp.tokens.put(token("B", valid=False))
    store.close()
    with httpx.Client(base_url=ready["control_url"] + "/", timeout=SECONDS, trust_env=False) as client:
        yield client


def tell(control: httpx.Client, **deviations: Any) -> None:
    control.post("misbehave", json={"deviations": deviations}).raise_for_status()


def test_a_session_is_started_and_stopped_and_its_cdr_is_there(control: httpx.Client, command: Command) -> None:
    started = command(*START, "--wait", "30", "--json")
    assert (started.status, started.err) == (0, "")
    sent = json.loads(started.out)
    assert (sent["command"], sent["acknowledgement"], sent["result"]) == ("START_SESSION", "ACCEPTED", "ACCEPTED")
    session = sent["session_id"]
    assert command("sessions", "show", session).status == 0, "the wait ends with the session behind the result"
    stopped = command("command", "stop-session", "nl-tnm", session, "--wait", "30", *WHO)
    assert (stopped.status, stopped.err) == (0, "")
    first, second = stopped.out.splitlines()
    assert first.startswith("STOP_SESSION ")
    assert first.endswith(": NL-TNM says ACCEPTED")
    assert second == f"the charge point says ACCEPTED; session {session}"
    control.post("wait-idle").raise_for_status()
    assert session in "".join(command("sessions", "list", "--json").out)
    [cdr] = [json.loads(line) for line in command("cdrs", "list", "--json").out.splitlines()]
    assert cdr["auth_id"] == token("A").auth_id


def test_an_evse_is_reserved(control: httpx.Client, command: Command) -> None:
    argv = ("command", "reserve-now", "NL-TNM", "--token", "A", *PLACE, "--until", "2099-01-01T00:00:00Z", *WHO)
    ended = command(*argv, "--wait", "30")
    assert ended.status == 0, ended.err
    assert ", reservation " in ended.out.splitlines()[0]
    assert ended.out.splitlines()[1] == "the charge point says ACCEPTED"
    again = command(*argv, "--reservation-id", "7", "--json")
    assert (again.status, json.loads(again.out)["reservation_id"]) == (0, 7)
    assert control.get("state").status_code == 200


def test_a_command_carries_what_the_specification_does_not_know(control: httpx.Client, command: Command) -> None:
    tell(control, authorization_ids=True)
    refused = command(*START)
    assert refused.status == 1
    assert "says REJECTED" in refused.out
    named = command(*START, "--authorization-id", "A-1", "--extensions", '{"vendor": 1}', "--json")
    assert (named.status, json.loads(named.out)["authorization_id"]) == (0, "A-1")
    by_extension = command(*START, "--extensions", '{"authorization_id": "A-2"}', "--json")
    assert (by_extension.status, json.loads(by_extension.out)["authorization_id"]) == (0, "A-2")
    for bad, status, said in (
        ("vendor", 2, "invalid extensions 'vendor': expected a JSON object"),
        ('{"Token": 1}', 1, "Token is a member of StartSession and cannot be an extension"),
    ):
        ended = command(*START, "--extensions", bad)
        assert (ended.status, ended.out) == (status, "")
        assert said in ended.err


def test_without_a_wait_what_the_cpo_said_is_printed(control: httpx.Client, command: Command) -> None:
    tell(control, results="never")
    ended = command(*START)
    assert (ended.status, ended.err) == (0, "")
    [line] = ended.out.splitlines()
    assert line.endswith(": NL-TNM says ACCEPTED")
    uid = line.split()[1].rstrip(":")
    waited = command("command", "show", "NL-TNM", uid, "--wait", "1", *WHO)
    assert waited.status == 1
    assert "no result within 1 second; the command is still open" in waited.err


def test_a_deadline_passes_while_it_is_awaited(control: httpx.Client, command: Command) -> None:
    tell(control, results="never")
    ended = command(*START, "--timeout", "1", "--wait", "30")
    assert (ended.status, ended.err) == (1, "")
    assert ended.out.splitlines()[1] == "it ended with TIMEOUT"


def test_a_command_that_is_answered_badly_is_named_so_that_it_can_be_followed(
    control: httpx.Client, command: Command
) -> None:
    tell(control, command_failure="server-error")
    ended = command(*START, "--wait", "30")
    assert (ended.status, ended.out) == (3, "")
    assert "it may have arrived: ocpi-emsp command show NL-TNM " in ended.err
    uid = ended.err.split("command show NL-TNM ")[1].split()[0]
    shown = command("command", "show", "NL-TNM", uid, "--wait", "30", *WHO)
    assert shown.status == 0
    assert "the charge point says ACCEPTED" in shown.out


def test_what_speaks_against_a_command_is_said_and_can_be_overridden(control: httpx.Client, command: Command) -> None:
    for argv, said in (
        (("start-session", "NL-TNM", "--token", "X", *PLACE), "there is no token 'X' of type RFID in the store"),
        (("start-session", "NL-TNM", "--token", "B", *PLACE), "/token"),
        (("start-session", "NL-TNM", "--token", "A", "--location", "LOC99"), "/location_id"),
        (("stop-session", "NL-TNM", "SES99"), "/session_id"),
    ):
        ended = command("command", *argv, *WHO)
        assert (ended.status, ended.out) == (1, ""), argv
        assert said in ended.err
    assert control.get("state").json()["command_results"] == []
    forced = command("command", "stop-session", "NL-TNM", "SES99", "--force", "--wait", "30", *WHO)
    assert forced.status == 1
    assert forced.out.splitlines()[1] == "it ended with UNKNOWN_SESSION; session SES99"


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("show", "NL-TNM", "unknown", *WHO), 1, "unknown"),
        (
            ("start-session", "NL-TNM", "--token", "A", "--location", "L", *WHO),
            2,
            "Missing public URL (the CPO posts the result to our server): set --url",
        ),
        (("start-session", "NL-TNM", "--token", "A", *WHO), 2, "--location"),
        (
            ("start-session", "NLTNM", "--token", "A", *PLACE),
            2,
            "invalid party 'NLTNM': expected CC-XXX, for example NL-TNM",
        ),
        (
            ("reserve-now", "NL-TNM", "--token", "A", *PLACE, "--until", "soon"),
            2,
            "--until: invalid time 'soon': expected ISO 8601, for example 2024-05-01",
        ),
        (("start-session", "NL-TNM", "--token", "A", *PLACE, "--wait", "0"), 2, "expected a whole number from 1"),
        (
            ("start-session", "NL-TNM", "--token", "A", *PLACE, "--wait", "99999"),
            2,
            "--wait: invalid number '99999': expected a whole number from 1 to 86400",
        ),
    ],
)
def test_what_is_wrong_is_said(database: str, command: Command, argv: tuple[str, ...], status: int, said: str) -> None:
    ended = command("command", *argv)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err
    assert database
