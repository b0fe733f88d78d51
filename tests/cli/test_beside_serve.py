"""Commands on a database, while ``serve`` runs on it in another process."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from cli import filled
from cli.conftest import SECONDS, Command, Start
from flows.audits_desk import cdr
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.testing.cpo import Exchange, SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving
from our_emsp import make_emsp

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database: a file that is not there yet, or a server."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/emsp.db"
    found: str = request.getfixturevalue("postgres_with_schema")
    return found


@pytest.fixture
def server(start: Start, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The public URL of a server on the database; other commands have the same settings."""
    monkeypatch.setenv("OCPI_EMSP_STORE", url)
    running = start("serve", *WHO, "--port", "0", "--audit", "--json")
    public: str = json.loads(running.stdout.readline())["url"]
    monkeypatch.setenv("OCPI_EMSP_URL", public)
    return public


def in_thread(elsewhere: Command, *argv: str) -> Awaitable[Any]:
    """Run a command while a CPO is served in this process."""
    return anyio.to_thread.run_sync(lambda: elsewhere(*argv))


async def pushed(cpo: SimulatedCpo, push: Callable[[], Awaitable[Exchange]]) -> Exchange:
    async with cpo, serving(cpo):
        return await push()


def test_an_invitation_of_another_process_works_at_the_server(server: str, elsewhere: Command) -> None:
    invited = elsewhere("invite", "nl-tnm", *WHO, "--json")
    assert (invited.status, invited.err) == (0, "")
    invitation = json.loads(invited.out)
    assert set(invitation) == {"versions_url", "token_a", "expires_at"}
    assert invitation["versions_url"] == f"{server}/versions"

    async def play() -> tuple[list[Exchange], list[Exchange]]:
        async with SimulatedCpo() as cpo, serving(cpo):
            handshake = await cpo.register(invitation["versions_url"], invitation["token_a"])
            return handshake, [await cpo.push_location("LOC1"), await cpo.push_location({"id": "LOC2"})]

    handshake, pushes = anyio.run(play)
    assert [exchange.status for exchange in handshake] == [200, 200, 201]
    assert [exchange.status_code for exchange in pushes] == [1000, 2001]

    assert [json.loads(line)["id"] for line in elsewhere("locations", "list", "--json").out.splitlines()] == ["LOC1"]
    assert "REGISTERED" in elsewhere("parties", "list").out
    again = elsewhere("invite", "NL-TNM", *WHO)
    assert (again.status, again.out) == (1, "")
    assert "NL-TNM is registered already" in again.err

    (rejection,) = [json.loads(line) for line in elsewhere("rejections", "list", "--json").out.splitlines()]
    location = json.loads(elsewhere("locations", "show", "LOC1", "--json").out) | {"id": "LOC2"}
    body = json.dumps(location)
    replayed = elsewhere("rejections", "replay", *WHO, "--body", "-", "--json", "--", rejection["id"], typed=body)
    assert (replayed.status, json.loads(replayed.out)["http_status"]) == (0, 201), replayed.err
    assert elsewhere("locations", "show", "LOC2").status == 0


def test_a_cdr_is_audited_behind_its_post_and_by_the_command(server: str, elsewhere: Command, url: str) -> None:
    invited = elsewhere("invite", "nl-tnm", *WHO, "--json")
    invitation = json.loads(invited.out)

    async def play() -> Exchange:
        async with SimulatedCpo() as cpo, serving(cpo):
            await cpo.register(invitation["versions_url"], invitation["token_a"])
            return await cpo.post_cdr(json.loads(cdr(1, "7.00"), parse_float=Decimal))

    assert anyio.run(play).status == 201, server
    audited = elsewhere("audit", "NL-TNM", "--format", "json")
    (found,) = json.loads(audited.out)["files"][0]["audits"]
    assert (audited.status, found["cdr"], found["verdict"], found["difference"]) == (1, "CDR1", "wrong", "3")
    store = SqlStore(url)
    try:
        emsp, ends = make_emsp(store=store), time.monotonic() + SECONDS
        while (stored := emsp.audits.get("NL-TNM", "CDR1")) is None and time.monotonic() < ends:
            time.sleep(0.02)  # it is made by the server
    finally:
        store.close()
    assert stored is not None
    assert (str(stored.audit.verdict), str(stored.audit.difference)) == ("wrong", "3")


def test_a_cpo_calls_the_server_back_while_another_process_registers(server: str, elsewhere: Command) -> None:
    async def play() -> tuple[Any, Any, Exchange]:
        async with SimulatedCpo(token_a="token-of-the-cpo") as cpo, serving(cpo):
            refused = await in_thread(elsewhere, "register", cpo.versions_url, "--token-a", "wrong", *WHO)
            registered = await in_thread(
                elsewhere, "register", cpo.versions_url, "--token-a", "token-of-the-cpo", *WHO, "--json"
            )
            return refused, registered, await cpo.push_location("LOC1")

    refused, registered, push = anyio.run(play)
    assert (refused.status, refused.out) == (3, "")
    assert "cannot be used" in refused.err
    assert "Traceback" not in refused.err
    assert registered.status == 0
    assert registered.err.startswith("ocpi-emsp: --token-a shows a secret")
    assert registered.err.count("\n") == 1
    party = json.loads(registered.out)
    assert (party["country_code"], party["party_id"]) == ("NL", "TNM")
    assert "credentials" in [endpoint["identifier"] for endpoint in party["endpoints"]]
    assert set(party) == {"country_code", "party_id", "name", "versions_url", "endpoints"}
    assert push.status == 201
    assert server


def test_what_a_partner_sends_through_a_kill_is_there_afterwards(
    start: Start, elsewhere: Command, tmp_path: Path
) -> None:
    argv = ("serve", *WHO, "--port", "0", "--invite", "NL-TNM", "--json")
    running = start(*argv)
    (invitation,) = json.loads(running.stdout.readline())["invitations"]

    async def play() -> Exchange:
        async with SimulatedCpo() as cpo, serving(cpo):
            await cpo.register(invitation["versions_url"], invitation["token_a"])
            return await cpo.push_location("LOC1")

    assert anyio.run(play).status == 201
    running.send_signal(signal.SIGKILL)
    running.wait(SECONDS)
    assert (tmp_path / "ocpi-emsp.db").exists()
    assert elsewhere("locations", "show", "LOC1").status == 0


def test_registering_in_words(server: str, elsewhere: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> Any:
        async with SimulatedCpo() as cpo, serving(cpo):
            invitation = cpo.invite()
            monkeypatch.setenv("OCPI_EMSP_TOKEN_A", invitation.token_a)
            return await in_thread(elsewhere, "register", invitation.versions_url, *WHO)

    ended = anyio.run(play)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("registered with NL-TNM, ")
    assert "; its modules: " in ended.out
    words = elsewhere("invite", "DE-ABC", *WHO).out.splitlines()
    assert words[0] == "invitation for DE-ABC"
    assert words[1].split() == ["versions", "URL", f"{server}/versions"]
    assert words[2].split()[:2] == ["token", "A"]


def test_registering_with_an_invitation_and_pulling(server: str, elsewhere: Command, tmp_path: Path) -> None:
    async def play(*argv: str) -> Any:
        async with SimulatedCpo(party_id="ONE" if argv else "TNM") as cpo, serving(cpo):
            invitation = {"versions_url": cpo.versions_url, "token_a": cpo.invite().token_a}
            (tmp_path / "cpo.json").write_text(json.dumps(invitation))
            return await in_thread(elsewhere, "register", "--invitation", "cpo.json", "--sync", *WHO, *argv)

    ended = anyio.run(play)
    assert (ended.status, ended.err) == (0, "")
    registered, *synced = ended.out.splitlines()
    assert registered.startswith("registered with NL-TNM, ")
    assert synced[-1].startswith("NL-TNM  in all     done     13 created, ")
    found = json.loads(anyio.run(play, "--json").out)
    assert (found["party_id"], found["sync"]["ok"]) == ("ONE", True)
    assert {each["module"]: each["created"] for each in found["sync"]["modules"]}["locations"] == 3
    assert server


@pytest.mark.parametrize(
    ("argv", "written", "said"),
    [
        ((), "", "Missing argument 'VERSIONS_URL': set it, or --invitation FILE"),
        (("--invitation", "cpo.json"), "[]", "cpo.json: invalid invitation: expected {"),
        (("--invitation", "cpo.json"), '{"token_a": "a"}', "cpo.json: invalid invitation: expected {"),
        (("--invitation", "cpo.json"), '{"versions_url": "cpo", "token_a": "a"}', "cpo.json: invalid URL 'cpo'"),
        (("--invitation", "cpo.json"), '{"versions_url": "https://a", "token_a": ""}', "cpo.json: invalid token"),
        (("--invitation", "no.json"), "", "no.json: cannot be read"),
        (("https://a", "--invitation", "cpo.json"), "{}", "--invitation has both: it cannot be combined"),
        (("--token-a", "a", "--invitation", "cpo.json"), "{}", "--invitation has both: it cannot be combined"),
    ],
)
def test_an_invitation_that_cannot_be_used(
    argv: tuple[str, ...], written: str, said: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cpo.json").write_text(written)
    ended = command("register", *argv)
    assert ended.status == 2
    assert said in ended.err


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (("invite", "NL-TNM", *WHO), 2, "Missing public URL (an invitation names our versions URL): set --url"),
        (
            ("register", "http://127.0.0.1:1/v", "--token-a", "T", *WHO),
            2,
            "Missing public URL (the CPO calls us back): set --url",
        ),
        (("invite", "NL-TNM", "--url", "https://e.example.com"), 2, "Missing eMSP identity"),
        (("invite", "NLD-TNM"), 2, "invalid party 'NLD-TNM': expected CC-XXX"),
        (("invite", "NL-TN"), 2, "invalid party 'NL-TN': expected CC-XXX"),
        (
            ("invite", "NL-TNM", *WHO, "--url", "nonsense"),
            2,
            "invalid url 'nonsense': expected the absolute public base",
        ),
        (("register", "https://c/v", *WHO), 2, "--token-a"),
        (
            ("register", "ftp://c/v", "--token-a", "T", *WHO, "--url", "https://e.example.com"),
            2,
            "invalid URL 'ftp://c/v'",
        ),
        (
            ("register", "http://127.0.0.1:1/v", "--token-a", "T", *WHO, "--url", "https://e.example.com"),
            3,
            "cannot be",
        ),
    ],
)
def test_what_is_wrong_is_said(
    argv: tuple[str, ...], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_URL", raising=False)
    ended = command(*argv)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err
    assert filled.SECRET not in ended.err
