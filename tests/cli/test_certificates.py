"""A file of trusted certificates that cannot be read: each command that calls a partner names it, in one line."""

from pathlib import Path

import pytest

from cli.conftest import Command

WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url", "https://e.example.com/ocpi/emsp")

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said of the file that is set."""
    (tmp_path / "token").write_text("T")
    (tmp_path / "ca.pem").write_text("no certificate\n")
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    expected = "expected a file of certificates in PEM, for example /etc/ssl/certs/ca-certificates.crt"
    return f"ocpi-emsp: invalid SSL_CERT_FILE 'ca.pem': no certificate can be read from it: {expected}\n"


@pytest.mark.parametrize(
    "line",
    [
        "register https://cpo.example.com/versions --token-a-file token",
        "sync",
        "sync NL-TNM --json",
        "push-tokens",
        "push-tokens NL-TNM --json",
        "party diagnose NL-TNM",
        "party rotate NL-TNM",
        "party update NL-TNM",
        "party unregister NL-TNM",
        "command start-session NL-TNM --token 012345678 --location LOC1 --evse 3256",
        "command stop-session NL-TNM 101",
    ],
)
def test_the_file_is_named(line: str, said: str, command: Command) -> None:
    ended = command(*line.split(), *WHO)
    assert (ended.status, ended.out, ended.err) == (2, "", said)


@pytest.mark.parametrize("line", ["locations list", "party show NL-TNM", "check"])
def test_what_calls_no_partner_does_not_read_it(line: str, said: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "location.json").write_text("{}")
    argv = (*line.split(), "location.json") if line == "check" else line.split()
    assert said not in command(*argv).err
