"""``ocpi-emsp serve``: a real handshake with a simulated CPO, and its end."""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from cli.conftest import SECONDS, Command, Start
from ocpi_emsp.cli import serve
from ocpi_emsp.flows.commands.upkeep import Done
from ocpi_emsp.resources import running
from ocpi_emsp.storage import FernetBox
from ocpi_emsp.testing.cpo import Exchange, SimulatedCpo
from ocpi_emsp.testing.cpo.server import serving

WHO = ("--country-code", "it", "--party-id", "bec", "--name", "Be Charge")
LOCAL = (*WHO, "--port", "0", "--url-policy", "loopback")


async def registered(versions_url: str, token_a: str) -> tuple[list[Exchange], Exchange]:
    """The exchanges of a CPO that registers and then pushes a location."""
    async with SimulatedCpo() as cpo, serving(cpo):
        return await cpo.register(versions_url, token_a), await cpo.push_location("LOC1")


def test_an_invited_cpo_registers_and_pushes_and_sigterm_ends_it_in_order(start: Start) -> None:
    server = start("serve", *LOCAL, "--invite", "NL-TNM", "--invite", "de-abc", "--invite", "NL-TNM", "--json")
    ready: dict[str, Any] = json.loads(server.stdout.readline())
    assert set(ready) == {"country_code", "party_id", "url", "versions_url", "invitations"}
    assert (ready["country_code"], ready["party_id"]) == ("IT", "BEC")
    assert ready["versions_url"] == ready["url"] + "/versions"
    first, second = ready["invitations"]
    assert (second["country_code"], second["party_id"]) == ("DE", "ABC")
    assert set(first) == {"country_code", "party_id", "versions_url", "token_a", "expires_at"}

    handshake, push = anyio.run(registered, first["versions_url"], first["token_a"])
    assert [exchange.status for exchange in handshake] == [200, 200, 201]
    assert push.status == 201

    server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=SECONDS)
    assert (server.returncode, out) == (0, "")
    assert "stores everything in sqlite:///ocpi-emsp.db\n" in err
    assert "limits: 500 connections at once; a request's head has 16384 bytes and 10 s; idle connections end" in err
    assert "served with uvloop and httptools\n" in err
    assert "request.answered method=PUT path=/2.1.1/locations/NL/TNM/LOC1 status=201" in err
    assert "Traceback" not in err
    for secret in (first["token_a"], second["token_a"], handshake[-1].data["token"]):
        assert secret not in err


def test_ctrl_c_ends_it_in_order_and_people_can_read_what_it_says(start: Start) -> None:
    server = start("serve", *LOCAL, "--invite", "NL-TNM")
    lines = [server.stdout.readline() for _ in range(5)]
    assert lines[0].startswith("eMSP IT-BEC answers at http://127.0.0.1:")
    assert lines[0].endswith("/ocpi/emsp/versions\n")
    assert lines[1] == "invitation for NL-TNM\n"
    assert lines[2].split() == ["versions", "URL", lines[0].split()[-1]]
    assert lines[3].split()[:2] == ["token", "A"]
    assert re.fullmatch(r"  expires       \d{4}-\d\d-\d\dT[\d:]{8}Z\n", lines[4])
    answer = httpx.get(lines[2].split()[-1], headers={"Authorization": f"Token {lines[3].split()[-1]}"})
    assert answer.json()["data"][0]["version"] == "2.1.1"
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=SECONDS)
    assert (server.returncode, out) == (0, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_a_url_of_this_machine_gets_the_port_that_was_taken(start: Start, host: str) -> None:
    """As where ``config init --laptop`` wrote the URL, and its port is in use."""
    server = start("serve", *LOCAL, "--url", f"http://{host}:8000/ocpi/emsp", "--invite", "NL-TNM", "--json")
    said = json.loads(server.stdout.readline())
    port = urlsplit(said["url"]).port
    assert said["url"] == f"http://{host}:{port}/ocpi/emsp"
    assert said["invitations"][0]["versions_url"] == said["versions_url"] == f"{said['url']}/versions"
    assert httpx.get(f"http://127.0.0.1:{port}/ocpi/emsp/versions").status_code == 401
    server.send_signal(signal.SIGINT)
    _, err = server.communicate(timeout=SECONDS)
    assert f"listening on http://127.0.0.1:{port}\n" in err
    assert (
        f"partners get {said['url']} instead of url http://{host}:8000/ocpi/emsp: "
        "give other commands the same --url, or set a --port\n"
    ) in err


@pytest.mark.parametrize(
    ("url", "is_warned"),
    [
        ("http://127.0.0.1:1/ocpi/emsp", True),
        ("http://127.0.0.1:{port}/ocpi/emsp", False),
        ("http://127.0.0.1/ocpi/emsp", False),
        ("https://localhost:1/ocpi/emsp", False),
    ],
    ids=["another", "its own", "a proxy's", "TLS"],
)
def test_a_url_of_this_machine_with_another_port_is_reported(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, is_warned: bool
) -> None:
    announce = serve._announce

    def announced(*args: Any, **kwargs: Any) -> None:
        announce(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "_announce", announced)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    url = url.format(port=port)
    ended = command("serve", *LOCAL, "--port", port, "--url", url, "--store", "memory")
    assert ended.out == f"eMSP IT-BEC answers at {url}/versions\n"
    warning = (
        f"url is {url}, and this server listens on port {port}: set --port 1 or "
        f"--url http://127.0.0.1:{port}/ocpi/emsp, unless a proxy of this machine listens on port 1\n"
    )
    assert (warning in ended.err) is is_warned
    assert ended.err.count("url is") == is_warned


@pytest.mark.parametrize("network", ["*", "10.0.0.1/8", "proxy.example.com"])
def test_a_network_that_is_none_is_2(command: Command, network: str) -> None:
    ended = command("serve", *WHO, "--port", "0", "--forwarded", network)
    assert (ended.status, ended.out) == (2, "")
    assert f"invalid --forwarded '{network}': expected networks or addresses of proxies" in ended.err


@pytest.mark.parametrize(
    "key", ["nonsense", "x" * 44, f"{FernetBox.new_key()},nonsense"], ids=["short", "not base64", "the older one"]
)
def test_a_key_of_the_environment_that_is_none_ends_it_before_a_partner_needs_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_SECRET_KEY", key)
    expected = "expected 32 bytes in URL-safe base64, or several such keys with commas"
    for argv in (
        ("serve", *LOCAL),
        ("worker", *WHO, "--store", "postgresql+psycopg://nobody@127.0.0.1:1/x"),
    ):
        ended = command(*argv)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err == f"ocpi-emsp: invalid key in OCPI_EMSP_SECRET_KEY: {expected}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("closed_databases")
def test_a_port_in_use_is_3(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where serve makes its database
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for argv in (("serve", *WHO), ("simulate-cpo",)):
            ended = command(*argv, "--port", port)
            assert ended.status == 3
            said = f"cannot listen on 127.0.0.1 port {port}: Address already in use: set another --port"
            assert said in ended.err


@pytest.mark.usefixtures("closed_databases")
@pytest.mark.parametrize("host", ["192.0.2.1", "host.invalid"])
def test_a_host_that_is_not_of_this_machine_is_3(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """192.0.2.0/24 and .invalid are reserved: RFC 5737, RFC 6761. Another port would not help."""
    monkeypatch.chdir(tmp_path)
    for argv in (("serve", *WHO), ("simulate-cpo",)):
        ended = command(*argv, "--host", host, "--port", "0")
        assert ended.status == 3
        assert re.search(rf"cannot listen on {re.escape(host)} port 0: \w.*: set another --host$", ended.err.strip())


def test_what_exists_after_the_start_is_not_looked_at_for_garbage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Without it: a look at all of it takes 85 ms, in which no request is answered."""
    before, frozen = gc.get_freeze_count(), list[int]()

    def announced(*_: Any, **__: Any) -> None:
        frozen.append(gc.get_freeze_count())
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "_announce", announced)
    assert command("serve", *LOCAL, "--store", "memory").status == 0
    assert frozen[0] > before


@pytest.mark.parametrize("fails", [False, True])
def test_events_that_wait_are_delivered_beside_the_requests(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    announce, begun = serve._announce, list[str]()

    async def deliver(context: Any, **_: bool) -> Done:
        begun.append(str(context.identity.country_code))
        if fails:
            raise RuntimeError("a bug")
        return Done(0, 0)

    def announced(*args: Any, **kwargs: Any) -> None:
        announce(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "do_what_is_due", deliver)
    monkeypatch.setattr(serve, "_announce", announced)
    ended = command("serve", *LOCAL, "--store", "memory")
    assert ended.status == 0
    assert begun == ["IT"]
    assert "stores everything in memory: it is lost when this process ends" in ended.err
    assert ('WARNING ocpi_emsp loop.failed what="delivering events"' in ended.err) is fails
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("host", "base", "warned"),
    [
        ("0.0.0.0", "http://127.0.0.1:", True),
        ("::1", "http://[::1]:", False),
        ("127.0.0.1", "http://127.0.0.1:", False),
    ],
)
def test_the_url_is_one_that_reaches_this_machine(
    host: str,
    base: str,
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    announce, level = serve._announce, logging.getLogger("ocpi_emsp").level

    def announced(*args: Any, **kwargs: Any) -> None:
        announce(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "_announce", announced)
    ended = command("serve", *LOCAL, "--host", host, "--json", "--invite", "NL-TNM")
    assert ended.status == 0
    assert json.loads(ended.out)["url"].startswith(base)
    assert ("only this machine can connect to" in ended.err) is warned
    assert logging.getLogger("ocpi_emsp").level == level
    if host == "127.0.0.1":
        ended = command("serve", *LOCAL, "--url", "https://ocpi.example.com/ocpi/emsp/")
        assert ended.out == "eMSP IT-BEC answers at https://ocpi.example.com/ocpi/emsp/versions\n"
