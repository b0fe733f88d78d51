"""The app of docs/how-to/worker.md with its two workers, as Procrastinate's own command runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from ocpi_emsp.contrib.procrastinate import defer_sync, make_app
from pages.blocks import ROOT, Page
from processes import limited
from worker.support import SECONDS, Cpos, emsp_on, register, rows, serving, store_on, until

PAGE = Page(ROOT / "docs" / "how-to" / "worker.md")


def write_app(folder: Path, url: str) -> None:
    """Write backend.py for this database, and for CPOs on this machine."""
    (block,) = (each for each in PAGE.blocks() if each.title == "backend.py")
    source = block.source.replace('"postgresql://emsp@db/emsp"', repr(url.replace("+psycopg", "")))
    source = source.replace('name="Be Charge",', 'name="Be Charge", url_policy="loopback",')
    (folder / "backend.py").write_text(source, "utf-8")


def test_both_queues_are_worked_on(postgres_url: str, tmp_path: Path) -> None:
    write_app(tmp_path, postgres_url)
    (shown,) = (each.source for each in PAGE.blocks() if each.language == "sh" and "backend.app" in each.source)
    exports, *lines = shown.splitlines()
    cpos = Cpos()
    with store_on(postgres_url) as store, serving(cpos), ExitStack() as stack:
        register(store, cpos, [("NL", "TNM")])
        app = make_app(emsp_on(store), postgres_url)
        stack.enter_context(app.open())
        app.schema_manager.apply_schema()
        workers = list[subprocess.Popen[str]]()
        for line in lines:
            command = f"{exports}; exec {Path(sys.executable).parent}/{line}"
            with (tmp_path / "log").open("a") as log:
                worker = subprocess.Popen(
                    ["/bin/sh", "-c", command], cwd=tmp_path, env=os.environ, stdout=log, stderr=log, text=True
                )
            workers.append(stack.enter_context(worker))
            stack.enter_context(limited(worker, SECONDS))
        defer_sync(app, "NL-TNM", modules=["locations"])
        ended = "SELECT DISTINCT queue_name FROM procrastinate_jobs WHERE status = 'succeeded'"

        def are_ended() -> bool:
            assert [each.poll() for each in workers] == [None, None], (tmp_path / "log").read_text("utf-8")
            return len(rows(postgres_url, ended)) == 2

        until(are_ended, "a job of each queue")
        for each in workers:
            each.send_signal(signal.SIGTERM)
        assert [each.wait(SECONDS) for each in workers] == [0, 0]
    assert cpos.begun()["NL", "TNM"] > 0
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")
