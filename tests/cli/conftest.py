"""What the tests of the command share: the command in this process, and as a process of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3.dbapi2
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx
import pytest

from cli.filled import fill
from forked import Forked, forked
from ocpi_emsp.cli import main

SECONDS = 60.0
"""What a command may take before it counts as hanging."""


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


Command: TypeAlias = Callable[..., Ended]
Start: TypeAlias = Callable[..., Forked]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def run(*argv: str) -> Ended:
        capsys.readouterr()
        status = main(argv)
        return Ended(status, *capsys.readouterr())

    return run


@pytest.fixture
def closed_databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What opens a SQLite database in this process closes it; Python warns of one that it finds open since 3.13."""
    connect, made = sqlite3.dbapi2.connect, list[sqlite3.Connection]()

    def remembered(*args: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*args, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3.dbapi2, "connect", remembered)
    yield
    for connection in made:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            _ = connection.total_changes


@pytest.fixture
def process(tmp_path: Path) -> Command:
    """Runs the command as a process of its own, in a directory without settings."""

    def run(*argv: str, **options: Any) -> Ended:
        line = [sys.executable, "-m", "ocpi_emsp", *argv]
        ended = subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False, **options
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command as a process that goes on, a fork: how Python starts is not its subject; see `process`."""
    with contextlib.ExitStack() as stack:
        yield lambda *argv: stack.enter_context(forked("ocpi_emsp", *argv, folder=tmp_path, errors=True))


@pytest.fixture
def elsewhere(start: Start) -> Command:
    """Runs the command in another process; it reads what is typed."""

    def run(*argv: str, typed: str = "") -> Ended:
        running = start(*argv)
        out, err = running.communicate(typed, timeout=SECONDS)
        return Ended(running.wait(SECONDS), out, err)

    return run


def registering(start: Start, command: Command, who: Sequence[str]) -> Callable[..., tuple[str, Any]]:
    """Starts a simulated CPO and registers with it, as ``who`` says; gives its control URL and its process."""

    def begin(*argv: str) -> tuple[str, Any]:
        running = start("simulate-cpo", "--token-a", "token-a", *argv)
        ready = json.loads(running.stdout.readline())
        registered = command("register", ready["versions_url"], "--token-a", "token-a", *who)
        assert registered.status == 0, registered.err
        return ready["control_url"], running

    return begin


def tokens_of(control_url: str) -> dict[str, bool]:
    """What a simulated CPO has: whether each token is valid, by uid."""
    return {each["uid"]: each["valid"] for each in httpx.get(f"{control_url}/state").json()["tokens"]}


@pytest.fixture(scope="session")
def filled_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with something of everything in it, to be copied."""
    file = tmp_path_factory.mktemp("filled") / "emsp.db"
    fill(f"sqlite:///{file}")
    return file


@pytest.fixture
def database(filled_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database with something of everything in it; commands find it, and nothing says who we are."""
    for name in ("URL", "COUNTRY_CODE", "PARTY_ID", "NAME", "URL_POLICY"):
        monkeypatch.delenv(f"OCPI_EMSP_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(filled_file, tmp_path / "emsp.db")
    url = "sqlite:///emsp.db"
    monkeypatch.setenv("OCPI_EMSP_STORE", url)
    return url
