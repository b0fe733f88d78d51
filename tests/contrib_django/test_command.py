"""manage.py ocpi_emsp, in this process: with the hooks and listeners of the project."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from flows.support import cpo_server, serve
from ocpi_emsp import Emsp
from ocpi_emsp.contrib.django.management.commands import ocpi_emsp as module
from our_emsp import FakeClock, make_emsp, register


@pytest.fixture
def emsp(monkeypatch: pytest.MonkeyPatch) -> Emsp:
    made = make_emsp(clock=FakeClock(), http_client=serve(cpo_server()))
    monkeypatch.setattr(module, "get_emsp", lambda: made)
    return made


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("ocpi_emsp", *words, stdout=out)
    return out.getvalue()


class Stopping(io.StringIO):
    """Output whose reader has the process ended as soon as it works."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._signal = number
        self.threads: set[str] = set()

    def write(self, text: str) -> int:
        if "SIGTERM or Ctrl-C ends it" in text:
            self.threads = {each.name for each in threading.enumerate()}
            os.kill(os.getpid(), self._signal)
        return super().write(text)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.usefixtures("emsp")
def test_a_signal_ends_the_background_work(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    out = Stopping(number)
    call_command("ocpi_emsp", "background", stdout=out)
    assert out.getvalue().splitlines() == [
        "background work of IT-BEC: SIGTERM or Ctrl-C ends it",
        f"{number.name}: ending the current round",
        "ended",
    ]
    assert {"ocpi-emsp delivering events", "ocpi-emsp pushing tokens"} <= out.threads
    assert not [each.name for each in threading.enumerate() if each.name.startswith("ocpi-emsp deliver")]
    assert signal.getsignal(number) is before


@pytest.mark.usefixtures("emsp")
def test_it_invites() -> None:
    said = run("invite", "DE-ABC")
    assert re.fullmatch(r"versions URL: https://emsp\.test/ocpi/emsp/versions\ntoken A: \S{20,}\n", said)


def test_it_syncs_each_registered_party_and_says_what_failed(emsp: Emsp) -> None:
    register(emsp)
    run("invite", "DE-ABC")  # it is not registered, so it is left out
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 failed"):
        call_command("ocpi_emsp", "sync", stdout=out)
    assert re.match(r"NL-TNM locations: failed, 0 created, 0 updated, 0 rejected: \S", out.getvalue())
    assert "DE-ABC" not in out.getvalue()


@pytest.mark.usefixtures("emsp")
def test_a_failure_has_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="invalid party 'nonsense'"):
        run("invite", "nonsense")
    with pytest.raises(CommandError, match="No such file"):
        run("register", "https://cpo.test/versions", "--token-a-file", str(tmp_path / "nothing"))


class Registered:
    """A party, once it is registered."""

    id = "NL-TNM"


@pytest.fixture
def asked(emsp: Emsp, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What a registration was asked for; no CPO is called."""
    calls = list[tuple[str, str]]()

    def register_one(versions_url: str, *, token_a: str) -> type[Registered]:
        calls.append((versions_url, token_a))
        return Registered

    monkeypatch.setattr(emsp.parties, "register", register_one)
    return calls


def test_the_token_may_come_from_stdin(asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("token-a\n"))
    assert run("register", "https://cpo.test/versions", "--token-a-file", "-") == "registered with NL-TNM\n"
    assert asked == [("https://cpo.test/versions", "token-a")]


def test_an_invitation_may_be_a_file(asked: list[tuple[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "cpo.json"
    file.write_text('{"versions_url": "https://cpo.test/versions", "token_a": "token-a", "control_url": "..."}')
    assert run("register", "--invitation", str(file)) == "registered with NL-TNM\n"
    assert asked == [("https://cpo.test/versions", "token-a")]


@pytest.mark.usefixtures("emsp")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing invitation: give URL and --token-a-file FILE, or --invitation FILE"),
        (["https://cpo.test/versions"], "Missing invitation"),
        (["https://cpo.test/versions", "--invitation", "-"], "give no others"),
        (["--invitation", "-"], 'invalid invitation in -: expected {"versions_url": "https://...", "token_a"'),
    ],
)
def test_what_is_missing_of_an_invitation_is_named(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    with pytest.raises(CommandError, match=re.escape(message)):
        run("register", *words)
