"""``ocpi-emsp worker`` where it cannot work, and Procrastinate's own command beside it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from ocpi_emsp.cli import main
from ocpi_emsp.cli.worker import _Lines
from ocpi_emsp.contrib.procrastinate import SyncFailed, defer_sync, make_app, upgrade
from ocpi_emsp.storage import MemoryStore, SqlStore
from processes import limited
from worker.support import SECONDS, WHO, Cpos, emsp_on, register, serving, store_on

SHELL = ("procrastinate", "--app=ocpi_emsp.cli.worker.app", "shell")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--concurrency", "0"), "invalid number '0': expected a whole number from 1 to 32"),
        (("--concurrency", "33"), "invalid number '33': expected a whole number from 1 to 32"),
        (("--period", "4"), "invalid duration '4': expected a number with s, m, h or d"),
        (("--period", "4s"), "invalid period 0:00:04: expected 0:00:05 or more"),
        (("--store", "memory"), "invalid --store memory"),
        (("--store", "sqlite:///emsp.db"), "invalid store on sqlite: workers share their jobs in PostgreSQL"),
        (("--take-over-after", "0s"), "invalid take_over_after 0:00:00"),
    ],
)
def test_wrong_usage_is_a_sentence(
    argv: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_STORE", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert main(("worker", *WHO, *argv)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_schema_is_named_with_what_makes_it(postgres_url: str, tmp_path: Path) -> None:
    argv = ("ocpi_emsp", "worker", *WHO, "--store", postgres_url)
    status, said = python(*argv, folder=tmp_path)
    assert status == 3
    assert "ocpi-emsp db upgrade" in said
    store = SqlStore(postgres_url)
    store.upgrade()
    store.close()
    status, said = python(*argv, folder=tmp_path)
    assert status == 3
    assert "no tables of Procrastinate: run ocpi-emsp worker --upgrade" in said
    assert "Traceback" not in said


def test_a_database_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("worker", *WHO, "--store", "postgresql+psycopg://u:hidden-word@127.0.0.1:1/none")) == 3
    said = capsys.readouterr().err
    assert "refused" in said
    assert "hidden-word" not in said


def test_a_reader_that_goes_away_ends_it(postgres_url: str, tmp_path: Path) -> None:
    argv = ("worker", *WHO, "--store", postgres_url, "--upgrade", "--json")
    cpos = Cpos()
    with store_on(postgres_url) as store, serving(cpos):
        with (
            subprocess.Popen(
                [sys.executable, "-m", "ocpi_emsp", *argv], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as worker,
            limited(worker, SECONDS),
        ):
            assert worker.stdout is not None
            assert json.loads(worker.stdout.readline()) == {"worker": "IT-BEC", "period": 14_400, "concurrency": 4}
            worker.stdout.close()
            register(store, cpos, [("NL", "TNM")])
            app = make_app(emsp_on(store), postgres_url)
            with app.open():
                defer_sync(app, "NL-TNM", modules=["locations"])
            assert worker.stderr is not None
            assert b"the reader of the output went away" in worker.stderr.read()
        assert worker.returncode == 3


def test_a_partner_that_fails_is_one_line_of_the_log() -> None:
    def line(error: Exception) -> str:
        what = (type(error), error, None)
        return _Lines("%(message)s").format(logging.LogRecord("x", logging.ERROR, "", 0, "job %d", (7,), what))

    assert line(SyncFailed("NL-TNM: 503\x1b")) == "job 7: NL-TNM: 503\\x1b"
    assert line(ZeroDivisionError("bug")).splitlines() == ["job 7", "ZeroDivisionError: bug"], "what is ours is whole"


def test_the_tables_are_made_once(postgres_url: str) -> None:
    made: list[bool] = []

    async def make() -> None:
        app = make_app(emsp_on(MemoryStore()), postgres_url)
        async with app.open_async():
            made.append(await upgrade(app))
            assert await app.check_connection_async()

    async def several_at_once() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(make)

    anyio.run(several_at_once)
    anyio.run(make)
    assert sorted(made) == [False, False, False, True]


def python(module: str, *argv: str, folder: Path, typed: str = "", **environment: str) -> tuple[int, str]:
    """Run a module as a process of its own; its status and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *argv],
        cwd=folder,
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_its_own_shell_shows_the_jobs(postgres_url: str, tmp_path: Path) -> None:
    app = make_app(emsp_on(MemoryStore()), postgres_url)
    with app.open():
        app.schema_manager.apply_schema()
        (job_id,) = defer_sync(app, "NL-TNM", modules=["locations"])
    environment = {
        "OCPI_EMSP_STORE": postgres_url,
        "OCPI_EMSP_COUNTRY_CODE": "IT",
        "OCPI_EMSP_PARTY_ID": "BEC",
        "OCPI_EMSP_NAME": "Be Charge",
    }
    status, said = python(*SHELL, folder=tmp_path, typed="list_jobs details\nexit\n", **environment)
    assert status == 0, said
    assert f"#{job_id} ocpi_emsp.sync on ocpi_emsp - [todo]" in said
    assert "lock=sync/NL-TNM/locations" in said


def test_its_own_command_says_what_setting_is_missing(tmp_path: Path) -> None:
    cleared = dict.fromkeys(("OCPI_EMSP_COUNTRY_CODE", "OCPI_EMSP_PARTY_ID", "OCPI_EMSP_NAME", "OCPI_EMSP_STORE"), "")
    status, said = python(*SHELL, folder=tmp_path, **cleared)
    assert status == 2
    assert "Missing eMSP identity" in " ".join(said.split())
