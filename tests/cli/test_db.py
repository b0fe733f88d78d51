"""``ocpi-emsp db``: the schema of a database, from the command line."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from cli.conftest import SECONDS, Command, Ended, Start
from ocpi_emsp.storage import migrations

LATEST = migrations.latest()
FILE = "ocpi-emsp.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_STORE", raising=False)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    """An empty database of each kind."""
    if request.param == "postgresql":
        found: str = request.getfixturevalue("postgres_url")
        return found
    (folder / "empty.db").touch()
    return "sqlite:///empty.db"


def older(url: str) -> None:
    """Make the schema as it was at first."""
    engine = create_engine(url)
    with engine.connect() as connection:
        migrations._upgrade(connection, migrations.Names(), "0001")
    engine.dispose()


def as_json(ended: Ended) -> object:
    return json.loads(ended.out)


def test_a_database_is_made_and_found_up_to_date(command: Command, url: str) -> None:
    at = ("--store", url)
    assert command("db", "current", *at) == Ended(0, "none\n", "")
    assert command("db", "upgrade", *at) == Ended(0, f"the schema is revision {LATEST} now, it was none\n", "")
    assert command("db", "upgrade", *at) == Ended(0, f"the schema is up to date: revision {LATEST}\n", "")
    assert command("db", "check", *at) == Ended(0, f"the schema is up to date: revision {LATEST}\n", "")
    assert command("db", "current", *at) == Ended(0, f"{LATEST}\n", "")


def test_the_same_as_json(command: Command, url: str) -> None:
    at = ("--json", "--store", url)
    assert as_json(command("db", "current", *at)) == {"revision": None}
    assert as_json(command("db", "check", *at)) == {"revision": None, "needed": LATEST, "up_to_date": False}
    assert as_json(command("db", "upgrade", *at)) == {"before": None, "revision": LATEST}
    assert as_json(command("db", "check", *at)) == {"revision": LATEST, "needed": LATEST, "up_to_date": True}
    assert as_json(command("db", "current", *at)) == {"revision": LATEST}


def test_an_older_schema_is_said_and_upgraded(command: Command, url: str) -> None:
    older(url)
    at = ("--store", url)
    ended = command("db", "check", *at)
    assert (ended.status, ended.out) == (1, "")
    wanted = f"the schema has revision 0001; expected revision {LATEST}: run `ocpi-emsp db upgrade`\n"
    assert ended.err.endswith(wanted)
    assert command("db", "check", "--json", *at).status == 1
    assert command("db", "current", *at) == Ended(0, "0001\n", "")
    assert command("db", "upgrade", *at) == Ended(0, f"the schema is revision {LATEST} now, it was 0001\n", "")
    assert command("db", "check", *at).status == 0


def test_a_newer_schema_is_not_touched(command: Command) -> None:
    command("db", "upgrade")
    with closing(sqlite3.connect(FILE)) as connection, connection:
        connection.execute("UPDATE ocpi_version SET version_num = '9999'")
    for action in ("check", "upgrade"):
        ended = command("db", action)
        assert (ended.status, ended.out) == (1, ""), action
        assert "the schema has revision 9999, which this version does not know" in ended.err
    assert command("db", "current") == Ended(0, "9999\n", "")


@pytest.mark.parametrize("action", ["current", "check"])
def test_looking_makes_no_file(command: Command, folder: Path, action: str) -> None:
    there_is_none = f"ocpi-emsp: there is no database {FILE} in this directory: set --store to the one that exists"
    said = f"{there_is_none}; serve, register, invite, import and db upgrade create it\n"
    assert command("db", action) == Ended(3, "", said)
    assert command("db", action, "--json") == Ended(3, "", said)
    assert list(folder.iterdir()) == []


def test_the_database_is_the_one_that_the_settings_name(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> list[str]:
        assert command("db", "upgrade").status == 0
        return sorted(path.stem for path in folder.glob("*.db"))

    assert made() == ["ocpi-emsp"]
    (folder / "ocpi-emsp.toml").write_text('store = "sqlite:///toml.db"\n')
    assert made() == ["ocpi-emsp", "toml"]
    monkeypatch.setenv("OCPI_EMSP_STORE", "sqlite:///environment.db")
    assert made() == ["environment", "ocpi-emsp", "toml"]
    assert command("db", "upgrade", "--store", "sqlite:///flag.db").status == 0
    assert (folder / "flag.db").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "ACTION ..."),
        (("down",), "No such command 'down'"),
        (("check", "--store", "memory"), "invalid --store memory"),
        (
            ("upgrade", "--store", "sqlite://"),
            "invalid store: a SQLite database in memory ends with its process: set a file",
        ),
        (("upgrade", "--store", "sqlite+aiosqlite:///:memory:"), "invalid store: a SQLite database in memory ends"),
        (
            ("current", "--store", "mysql://emsp:hunter2@db/emsp"),
            "for example sqlite:///ocpi-emsp.db or postgresql+psycopg://",
        ),
        (
            ("current", "--store", "postgresql://emsp:p@ss:hunter2@db/emsp"),
            "invalid store 'postgresql://…': expected a URL of SQLite or PostgreSQL",
        ),
        (
            ("current", "--store", "postgresql://emsp:hunter2@db:port/emsp"),
            "invalid store 'postgresql://…': expected a URL of SQLite or PostgreSQL",
        ),
    ],
)
def test_a_mistake_in_the_arguments_is_said(command: Command, argv: tuple[str, ...], said: str) -> None:
    ended = command("db", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "hunter2" not in ended.err


@pytest.mark.parametrize("action", ["upgrade", "current", "check"])
def test_a_server_that_is_not_there_is_said(command: Command, action: str) -> None:
    ended = command("db", action, "--store", "postgresql://emsp:hunter2@127.0.0.1:1/emsp")
    assert (ended.status, ended.out) == (3, "")
    assert "postgresql+psycopg://emsp:***@127.0.0.1:1/emsp: connection failed" in ended.err
    assert "hunter2" not in ended.err


def test_a_file_that_is_no_database_is_said(command: Command) -> None:
    Path(FILE).write_text("this is a diary, and not a database at all\n" * 100)
    for action in ("upgrade", "current", "check"):
        another = "another file has this name: --store must name a SQLite database, or a file that is not there yet"
        said = f"ocpi-emsp: sqlite:///{FILE}: file is not a database\nocpi-emsp: {another}\n"
        assert command("db", action) == Ended(3, "", said)


def test_processes_that_upgrade_at_once_do_it_once(start: Start, command: Command, url: str) -> None:
    older(url)
    started = [start("db", "upgrade", "--json", "--store", url) for _ in range(3)]
    ended = [each.communicate(timeout=SECONDS) for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], ended
    assert [json.loads(out)["revision"] for out, _ in ended] == [LATEST] * 3
    assert command("db", "check", "--store", url).status == 0


def test_without_the_extra_the_command_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['sqlalchemy'] = None; from ocpi_emsp.cli import main; sys.exit(main(['db', 'check']))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 2
    assert "pip install 'ocpi-emsp[sql]'" in ended.stderr
