"""The files of docs/how-to/sync-on-many-machines.md as they stand there, run by a worker of Celery with beat.

What is not as on the page: the broker is a folder, the CPO answers on this machine, and beat waits for a second.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command
from cli.sync_cpo import Cpos, know, locations, served
from pages.blocks import ROOT, Page
from processes import limited
from software.support import python_of

PAGE = Page(ROOT / "docs" / "how-to" / "sync-on-many-machines.md")
HASTE = """
from datetime import timedelta

import tasks
from tasks import app

app.conf.update(broker_transport_options={name: "queue" for name in ("data_folder_in", "data_folder_out")})
app.conf.beat_schedule["ocpi"]["schedule"] = timedelta(seconds=1)
tasks.random.randrange = lambda _: 0
"""


def write_files(folder: Path) -> None:
    """Write those that the page shows, for a CPO on this machine."""
    for block in PAGE.blocks():
        if block.title is not None:
            source = block.source.replace('name="Be Charge",', 'name="Be Charge", url_policy="loopback",')
            (folder / block.title).write_text(source, "utf-8")
    (folder / "haste.py").write_text(HASTE, "utf-8")
    (folder / "queue").mkdir()


@pytest.fixture
def cpos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cpos]:
    """A registered party that lists five locations; commands and the worker find the database that knows it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCPI_EMSP_STORE", f"sqlite:///{tmp_path / 'emsp.db'}")
    with served() as running:
        know(f"sqlite:///{tmp_path / 'emsp.db'}", running.url, "NL-TNM")
        running.lists["NL-TNM/locations"] = locations(5)
        yield running


def test_beat_syncs_each_partner(cpos: Cpos, tmp_path: Path, command: Command) -> None:
    write_files(tmp_path)
    paths = (str(tmp_path), str(ROOT / "src"), sysconfig.get_path("purelib"))
    line = ("-m", "celery", "--app", "haste", "worker", "--beat", "--loglevel", "INFO", "--concurrency", "1")
    process = subprocess.Popen(
        [python_of("celery"), *line],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CELERY_BROKER_URL": "filesystem://"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with process, limited(process):
        assert process.stderr is not None
        logged = list[str]()
        for each in process.stderr:
            logged.append(each)
            if "NL-TNM done" in each:
                process.send_signal(signal.SIGTERM)
        assert process.wait() == 0, "".join(logged)
    assert any("tasks.sync_one" in each and "succeeded" in each for each in logged), "".join(logged)
    assert any("sync.ended party=NL-TNM module=locations ended=done" in each for each in logged)
    assert not [each for each in logged if "HTTP Request" in each]
    assert len(command("locations", "list", "--json").out.splitlines()) == 5
    assert {module for _, module, _ in cpos.places} == {"locations", "tariffs", "sessions", "cdrs"}
