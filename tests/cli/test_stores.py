"""Databases that are not there, that cannot be used, or that are of another version: said before anything happens."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from cli.conftest import Command, Start
from ocpi_emsp.storage import migrations

pytestmark = pytest.mark.usefixtures("closed_databases")
WHO = ("--country-code", "IT", "--party-id", "BEC", "--name", "Be Charge", "--url", "https://e.example.com/ocpi/emsp")
SERVE = ("serve", *WHO, "--port", "0")
COMMANDS = {
    "serve": SERVE,
    "invite": ("invite", "NL-TNM", *WHO),
    "register": ("register", "https://cpo.example.com/versions", "--token-a", "T", *WHO),
    "list": ("locations", "list"),
    "show": ("parties", "show", "NL-TNM"),
    "rejections": ("rejections", "list"),
    "replay": ("rejections", "replay", "--all", *WHO),
    "events": ("events", "retry", "--all"),
    "report": ("report", "NL-TNM"),
    "export": ("export",),
    "import": ("import", "given"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without settings, and with an export that could be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPI_EMSP_STORE", raising=False)
    (tmp_path / "given").write_text('{"ocpi_emsp_export":1}\n{"end":{"lines":0}}\n')
    return tmp_path


def older(file: Path) -> None:
    """Make a SQLite file with the schema as it was at first."""
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        migrations._upgrade(connection, migrations.Names(), "0001")
    engine.dispose()


def no_database(file: Path) -> None:
    file.write_bytes(b"this is no database, but a text that is long enough to have a header" * 20)


BROKEN = {
    "unreachable": (
        "postgresql+psycopg://me:pass-word@127.0.0.1:1/x",
        "ocpi-emsp: postgresql+psycopg://me:***@127.0.0.1:1/x",
    ),
    "no database": ("sqlite:///text.db", "sqlite:///text.db: file is not a database"),
    "directory": ("sqlite:///.", "sqlite:///.: unable to open database file"),
    "older": ("sqlite:///older.db", "the schema has revision 0001; expected revision "),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_database_that_cannot_be_used_is_3(name: str, broken: str, command: Command, folder: Path) -> None:
    no_database(folder / "text.db")
    if broken == "older":
        older(folder / "older.db")
    url, said = BROKEN[broken]
    ended = command(*COMMANDS[name], "--store", url)
    assert (ended.status, ended.out) == (3, "")
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert "pass-word" not in ended.err
    lines = [line for line in ended.err.splitlines() if " shows a secret to every user" not in line]
    assert len(lines) == (
        2 if broken in ("directory", "no database") else 1
    )  # where it is known what to do next, that follows


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"serve", "invite", "register", "import"}))
def test_a_command_that_only_looks_makes_no_database(name: str, command: Command, folder: Path) -> None:
    ended = command(*COMMANDS[name])
    assert (ended.status, ended.out) == (3, "")
    there_is_none = "ocpi-emsp: there is no database ocpi-emsp.db in this directory: set --store to the one that exists"
    assert ended.err == f"{there_is_none}; serve, register, invite, import and db upgrade create it\n"
    assert not list(folder.glob("*.db*"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("tokens", "put", "nowhere.json", *WHO), "nowhere.json: cannot be read: No such file"),
        (("tokens", "put", ".", *WHO), ".: cannot be read: Is a directory"),
        (("import", "nowhere"), "nowhere: cannot be read: No such file"),
        ((*SERVE, "--country-code", "ITX"), "invalid country_code 'ITX': expected 2 characters, for example IT"),
        ((*SERVE, "--url", "nowhere"), "invalid url 'nowhere': expected the absolute public base of our paths"),
        ((*COMMANDS["invite"], "--party-id", "B"), "invalid party_id 'B': expected 3 characters, for example BEC"),
        ((*COMMANDS["register"], "--name", " "), "invalid name ' ': expected the name that drivers know us by"),
        (
            ("tokens", "put", "given", *WHO, "--country-code", "ITX"),
            "invalid country_code 'ITX': expected 2 characters",
        ),
    ],
)
def test_what_is_refused_makes_no_database(argv: tuple[str, ...], said: str, command: Command, folder: Path) -> None:
    ended = command(*argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert not list(folder.glob("*.db*"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "invalid store: a SQLite database in memory ends with its process: set a file"),
        ("sqlite:///:memory:", "invalid store: a SQLite database in memory ends"),
        (
            "mysql://me:pass-word@host/x",
            "invalid store 'mysql://…': expected a URL of SQLite or PostgreSQL, for example sqlite:///",
        ),
        ("postgresql://me:pass-word@host:port/x", "invalid store 'postgresql://…': expected a URL of"),
        ("postgresql://me:pass-word/x", "invalid store 'postgresql://…': expected a URL of"),
        (
            "sqlite://pass-word/emsp.db",
            "invalid store 'sqlite://…': expected a third slash, for example sqlite:///emsp.db",
        ),
        ("nonsense:pass-word", "invalid --store: expected a database URL"),
    ],
)
@pytest.mark.parametrize("name", ["serve", "list", "import"])
def test_a_url_of_no_database_is_a_usage_error(name: str, url: str, said: str, command: Command) -> None:
    ended = command(*COMMANDS[name], "--store", url)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "pass-word" not in ended.err


def test_memory_is_for_the_server_alone(command: Command) -> None:
    ended = command(*COMMANDS["list"], "--store", "memory")
    assert (ended.status, ended.out) == (2, "")
    assert "invalid --store memory: only the server that holds it sees it" in ended.err


@pytest.mark.parametrize(("package", "said"), [("sqlalchemy", "this command needs sqlalchemy"), ("psycopg", "psycopg")])
def test_a_missing_driver_is_named(package: str, said: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    ended = command(*COMMANDS["list"], "--store", "postgresql://host/x")
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert "pip install 'ocpi-emsp[sql]'" in ended.err


@pytest.mark.usefixtures("database")
def test_a_file_that_cannot_be_written_is_read_and_refuses_changes(command: Command) -> None:
    store = ("--store", "sqlite:///file:emsp.db?mode=ro&uri=true")
    for name in ("list", "show", "rejections", "report", "export"):
        assert command(*COMMANDS[name], *store).status == 0
    ended = command("invite", "DE-ABC", *WHO, *store)
    assert (ended.status, ended.out) == (3, "")
    failed, step = ended.err.splitlines()
    assert failed.endswith("attempt to write a readonly database")
    assert step == (
        "ocpi-emsp: the file and its folder must be writable for the user of this process, and the URL without mode=ro"
    )
    assert command("events", "retry", "dead", *store).status == 3


def test_a_schema_of_a_newer_version_is_refused_whatever_is_asked_for(command: Command, folder: Path) -> None:
    assert command("db", "upgrade").status == 0
    with contextlib.closing(sqlite3.connect(folder / "ocpi-emsp.db")) as connection:
        connection.execute("UPDATE ocpi_version SET version_num = '9999'")
        connection.commit()
    for argv in (COMMANDS["list"], SERVE, (*SERVE, "--auto-upgrade")):
        ended = command(*argv)
        assert (ended.status, ended.out) == (3, "")
        assert "9999" in ended.err


def test_serve_upgrades_an_older_schema_where_it_is_told_to(start: Start, folder: Path, command: Command) -> None:
    older(folder / "ocpi-emsp.db")
    refused = command(*SERVE)
    assert (refused.status, refused.out) == (3, "")
    assert "run `ocpi-emsp db upgrade`" in refused.err
    server = start(*SERVE, "--auto-upgrade", "--json")
    assert server.stdout.readline().startswith('{"country_code": "IT"')
    assert command("db", "check").status == 0
