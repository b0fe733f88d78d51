"""``ocpi-emsp party``: the doctor, and the life of a registration, with simulated CPOs over real HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from cli.conftest import Command, Start
from ocpi_emsp.cli.declared.partners import MODULES
from ocpi_emsp.models import ModuleID

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url-policy", "loopback")
LOOPBACK = ("--url-policy", "loopback")
Cpo: TypeAlias = Callable[..., dict[str, str]]


@pytest.fixture
def cpo(start: Start, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cpo:
    """Starts a simulated CPO, and registers with it unless it is told not to; gives what the CPO said."""
    monkeypatch.chdir(tmp_path)
    for name in ("STORE", "URL", "COUNTRY_CODE", "PARTY_ID", "NAME", "URL_POLICY"):
        monkeypatch.delenv(f"OCPI_EMSP_{name}", raising=False)

    def begin(*argv: str, registered: bool = True) -> dict[str, str]:
        running = start("simulate-cpo", "--token-a", "token-a-of-it", *argv)
        ready: dict[str, str] = json.loads(running.stdout.readline())
        if registered:
            server = start("serve", *WHO, "--port", "0", "--json")
            monkeypatch.setenv("OCPI_EMSP_URL", json.loads(server.stdout.readline())["url"])
            made = command("register", ready["versions_url"], "--token-a", "token-a-of-it", *WHO)
            assert made.status == 0, made.err
        return ready

    return begin


def works(command: Command) -> bool:
    """Whether our calls get in."""
    return command("sync", "NL-TNM", "--module", "locations", *WHO).status == 0


def test_a_look_at_a_partner_needs_neither_a_database_nor_an_identity(
    cpo: Cpo, command: Command, tmp_path: Path
) -> None:
    ready = cpo(registered=False)
    ended = command("party", "diagnose", ready["versions_url"], "--token", ready["token_a"], *LOOPBACK)
    assert ended.status == 0, ended.err
    told = ended.out.splitlines()
    assert len(told) <= 60
    assert [line for line in told if len(line) > 80 and len(line.split()) > 1] == [], "a URL alone is never cut"
    assert "the token is known raw" in ended.out
    assert "it says that it is NL-TNM" in ended.out
    assert "/commands/UNLOCK_CONNECTOR" in ended.out
    assert ready["token_a"] not in ended.out + ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_wide_terminal_gets_a_table_as_wide_as_itself(
    cpo: Cpo, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ready = cpo(registered=False)
    ended = command("party", "diagnose", ready["versions_url"], "--token", ready["token_a"], *LOOPBACK)
    assert max(map(len, ended.out.splitlines())) <= 140
    words = ended.out.split()
    assert {"works", "direction", "/tokens/:tokenUid/authorize", "/commands/UNLOCK_CONNECTOR"} <= set(words)
    assert f"{ready['versions_url'].removesuffix('versions')}2.1.1/locations?limit=100" in words, "no URL is cut"


def test_a_look_as_json(cpo: Cpo, command: Command) -> None:
    ready = cpo("--preset", "base64", registered=False)
    ended = command(
        "party", "diagnose", ready["versions_url"], "--token", ready["token_a"], "--base64", "--json", *LOOPBACK
    )
    found = json.loads(ended.out)
    assert (ended.status, found["ok"], found["reachable"]) == (0, True, True)
    assert set(found) == {"versions_url", "at", "ok", "reachable", "checks", "matrix", "suggestions"}
    assert {check["name"]: check["outcome"] for check in found["checks"]}["token"] == "ok"
    assert len(found["matrix"]) == 32
    assert set(found["matrix"][0]) == {"module", "direction", "methods", "path", "works", "why"}


def test_a_token_that_is_wrong_is_1(cpo: Cpo, command: Command) -> None:
    ready = cpo(registered=False)
    ended = command("party", "diagnose", ready["versions_url"], "--token", "a-wrong-token", *LOOPBACK)
    assert ended.status == 1
    assert "the token is known neither raw nor in base64" in ended.out


def test_a_partner_that_is_down_is_3(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/versions"
    ended = command("party", "diagnose", url, "--token", "T", *LOOPBACK)
    assert ended.status == 3
    assert "reachable" in ended.out


def test_a_partner_that_hangs_is_3_after_the_timeout(command: Command) -> None:
    """The connection is made, since the system accepts it, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/versions"
        ended = command("party", "diagnose", url, "--token", "T", "--timeout", "0.2", "--json", *LOOPBACK)
    assert ended.status == 3
    assert json.loads(ended.out)["reachable"] is False


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("diagnose", "https://cpo.example.com/versions"), "set --token"),
        (("diagnose", "cpo"), "invalid partner 'cpo': expected a versions URL or a party such as NL-TNM"),
        (("diagnose", "NL-TNM", "--token", "T"), "--token is for a versions URL"),
        (("diagnose", "https://c/v", "--token", "T", "--timeout", "0"), "expected seconds from 0.05 to 600"),
        (("diagnose", "https://c/v", "--token", "T", "--timeout", "nan"), "expected seconds from 0.05 to 600"),
        (("diagnose", "https://c/v", "--token", "a b"), "printable ASCII"),
        (("rotate", "TNM"), "invalid party"),
        ((), "ACTION"),
    ],
)
def test_what_cannot_be_asked_for_is_2(argv: tuple[str, ...], said: str, command: Command) -> None:
    ended = command("party", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize("action", ["rotate", "unregister", "update"])
def test_who_is_not_registered_is_1(action: str, command: Command, database: str) -> None:
    ended = command("party", action, "XX-XXX", *WHO, "--url", "https://e.example.com", "--store", database)
    assert (ended.status, ended.out) == (1, "")
    assert "there is no registration with XX-XXX" in ended.err
    assert "'ocpi-emsp parties list' shows who is registered" in ended.err


def test_a_registration_through_its_life(cpo: Cpo, command: Command) -> None:
    ready = cpo("--page-limit", "2")
    looked = command("party", "diagnose", "NL-TNM", *WHO)
    assert looked.status == 0, looked.out
    assert "profile: page_limit = 2 would fit" in looked.out
    assert max(map(len, looked.out.splitlines())) <= 80
    rotated = command("party", "rotate", "NL-TNM", *WHO)
    assert (rotated.status, rotated.err) == (0, "")
    assert rotated.out.startswith("fresh tokens exchanged with NL-TNM, The New Motion; its modules: ")
    assert works(command)
    updated = command("party", "update", "NL-TNM", "--versions-url", ready["versions_url"], *WHO, "--json")
    assert updated.status == 0, updated.err
    assert json.loads(updated.out)["versions_url"] == ready["versions_url"]
    assert works(command)
    called = httpx.post(f"{ready['control_url']}/call", json={"method": "GET", "module": "tokens"}, timeout=30)
    assert called.json()["status"] == 200, "and the CPO gets in with the token that it has now"
    refused = command("party", "unregister", "NL-TNM", *WHO)
    assert (refused.status, refused.out) == (1, "")
    assert "--no-tell" in refused.err
    gone = command("party", "unregister", "NL-TNM", "--no-tell", "--json", *WHO)
    assert (gone.status, json.loads(gone.out)["told"]) == (0, False)
    assert not works(command)


def test_an_update_to_a_partner_that_is_not_there_changes_nothing(cpo: Cpo, command: Command) -> None:
    cpo()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/versions"
    ended = command("party", "update", "NL-TNM", "--versions-url", url, *WHO)
    assert (ended.status, ended.out) == (3, "")
    assert "cannot be used" in ended.err
    assert works(command)


def test_a_renewal_needs_our_public_url(command: Command, database: str) -> None:
    ended = command("party", "rotate", "NL-TNM", *WHO, "--store", database)
    assert ended.status == 2
    assert "Missing public URL (the party calls us back): set --url" in ended.err


def test_the_help_says_how_it_ends(command: Command) -> None:
    ended: Any = command("party", "diagnose", "--help")
    assert ended.status == 0
    assert "3 the partner does not answer" in " ".join(ended.out.split())


def test_a_look_says_what_failed_once(process: Command) -> None:
    """Nothing sets up logging in this process, so that Python itself would print what is logged."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/versions"
    ended = process("party", "diagnose", url, "--token", "-", *LOOPBACK, input="T\n")
    assert ended.status == 3
    assert "reachable" in ended.out
    assert ended.err == ""


def test_modules_can_be_required(cpo: Cpo, command: Command) -> None:
    assert set(MODULES) == {module.value for module in ModuleID} - {"credentials"}
    ready = cpo()
    known = json.loads(command("party", "profile", "NL-TNM", "--json").out)["profile"]
    assert known["required_modules"] is None
    again = ("register", ready["versions_url"], "--token-a", "token-a-of-it", *WHO)
    refused = command(*again, "--require", "locatons")
    assert refused.status == 2
    assert "locatons" in refused.err
    assert command("invite", "FR-ABC", *WHO, "--require", "Tariffs", "--require", "cdrs").status == 0
    invited = json.loads(command("party", "profile", "FR-ABC", "--json").out)["profile"]
    assert invited["required_modules"] == ["tariffs", "cdrs"]
