"""Backups of PostgreSQL and the users of its database, as docs/how-to/postgresql.md says.

The server is one of its own: roles belong to a server, not to a database.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from cli.conftest import Command
from cli.filled import fill
from pages.blocks import ROOT, Page
from postgres import PrivatePostgres, binaries, installed

PAGE = Page(ROOT / "docs" / "how-to" / "postgresql.md")


def shown(language: str, word: str) -> str:
    """The block of the page that has this word."""
    (block,) = (each for each in PAGE.blocks() if each.language == language and word in each.source)
    return block.source


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    with PrivatePostgres() as running:
        yield running


def run(server: PrivatePostgres, line: str, typed: str = "") -> None:
    """Run a program of PostgreSQL against the server; the page calls its host db."""
    program, *words = shlex.split(line.replace("-h db", f"-h {server.folder}"))
    path = str(binaries(installed()) / program)
    ended = subprocess.run([path, *words], input=typed, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def url_of(server: PrivatePostgres, user: str, database: str) -> str:
    return make_url(server.url).set(username=user, database=database).render_as_string(hide_password=False)


def test_a_user_that_owns_nothing_does_everything_and_the_owners_dump_has_it(
    server: PrivatePostgres, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(server, "psql -h db -U postgres -v ON_ERROR_STOP=1 -f - postgres", shown("sql", "CREATE ROLE emsp_owner"))
    owner, user = (url_of(server, name, "emsp") for name in ("emsp_owner", "emsp"))
    assert command("db", "upgrade", "--store", owner).status == 0
    fill(user)
    as_user = psycopg.connect(user.replace("+psycopg", ""))
    with closing(as_user), pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_user.execute("DROP TABLE ocpi_parties")
    for line in (*shown("sh", "pg_dump").splitlines(), *shown("sh", "createdb").splitlines()):
        run(server, line)
    before, after = (
        command("export", "--store", url).out.splitlines()[1:]  # the first one has the time
        for url in (user, url_of(server, "emsp", "restored"))
    )
    assert before == after
    assert len(before) > 20
