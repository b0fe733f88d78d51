"""Tokens and headers come from files, standard input or the environment; on the command line they are warned of."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Command
from ocpi_emsp.cli import given_secrets
from ocpi_emsp.resources import Parties

TOKEN = "token-a-of-the-cpo-123"
WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url", "https://emsp.test/ocpi")
WARNED = "shows a secret to every user of this machine"
REGISTER = ("register", "https://cpo.test/versions")
DIAGNOSE = ("party", "diagnose", "https://cpo.test/versions")


class Asked(Exception):
    """The handshake would begin."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What a registration or a diagnosis is asked with."""
    monkeypatch.chdir(tmp_path)
    found = list[dict[str, Any]]()

    def ask(_: object, __: str, **options: Any) -> None:
        found.append(options)
        raise Asked

    monkeypatch.setattr(Parties, "register", ask)
    monkeypatch.setattr(Parties, "diagnose", ask)
    return found


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("argv", "name"), [((*REGISTER, *WHO), "token-a"), (DIAGNOSE, "token")], ids=["register", "diagnose"]
)
@pytest.mark.parametrize("way", ["flag", "file", "stdin", "environment"])
def test_a_token_is_read_from_where_it_is_given(
    argv: tuple[str, ...],
    name: str,
    way: str,
    asked: list[dict[str, Any]],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the flag alone: `ps` shows token A, and with it whoever reads it registers as the CPO's eMSP."""
    Path("token").write_text(f"{TOKEN}\n")
    stdin(monkeypatch, f"{TOKEN}\n".encode())
    if way == "environment":
        monkeypatch.setenv(f"OCPI_EMSP_{name.replace('-', '_').upper()}", TOKEN)
    given = {
        "flag": (f"--{name}", TOKEN),
        "file": (f"--{name}-file", "token"),
        "stdin": (f"--{name}", "-"),
        "environment": (),
    }[way]
    with pytest.raises(Asked):
        command(*argv, *given)
    assert asked[0][name.replace("-", "_")] == TOKEN
    said = capsys.readouterr().err
    assert (WARNED in said) is (way == "flag")
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "Missing option '--token-a': set it, --token-a-file FILE, or OCPI_EMSP_TOKEN_A"),
        (("--token-a", "T", "--token-a-file", "token"), "expected one of --token-a and --token-a-file"),
        (("--token-a-file", "none"), "none: cannot be read"),
        (("--token-a-file", "two"), "two: invalid token: expected 1 to 64 printable ASCII characters"),
        (("--token-a-file", "bytes"), "bytes: expected text in UTF-8"),
        (("--token-a", "-"), "standard input: invalid token"),
        (("--token-a-file", "token", "--header", "@bad"), "invalid --header: expected NAME=VALUE"),
    ],
)
def test_what_cannot_be_read_is_usage(
    given: tuple[str, ...], said: str, asked: list[dict[str, Any]], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, b"")
    for name, data in {"token": TOKEN, "two": "a-secret two", "bad": "a-secret"}.items():
        Path(name).write_text(data)
    Path("bytes").write_bytes(b"\xff\xfe")
    ended = command(*REGISTER, *WHO, *given)
    assert (ended.status, asked) == (2, [])
    assert said in ended.err
    assert "a-secret" not in ended.err


def test_headers_are_read_from_a_file(
    asked: list[dict[str, Any]], command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("token").write_text(TOKEN)
    Path("headers").write_text("x-api-key=a=b\n\nx-other=c\n")
    argv = (*REGISTER, *WHO, "--token-a-file", "token")
    with pytest.raises(Asked):
        command(*argv, "--header", "@headers", "--header", "ocpi-to-party-id=AAA")
    assert asked[0]["headers"] == {"x-api-key": "a=b", "x-other": "c", "ocpi-to-party-id": "AAA"}
    assert capsys.readouterr().err == ""
    with pytest.raises(Asked):
        command(*argv, "--header", "x-api-key=secret")
    assert f"--header {WARNED}" in capsys.readouterr().err


def test_a_password_of_the_database_is_warned_of(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://emsp:pass-word@127.0.0.1:1/emsp"
    said = command("db", "current", "--store", url).err
    assert f"--store {WARNED}" in said
    assert "pass-word" not in said
    monkeypatch.setenv("OCPI_EMSP_STORE", url)
    assert WARNED not in command("db", "current").err
    assert given_secrets.__doc__
