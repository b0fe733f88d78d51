"""The line for cron of docs/how-to/sync-on-many-machines.md, run by the shell in the environment that cron gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import SECONDS
from cli.sync_cpo import know, locations, served
from pages.blocks import ROOT, Page

PAGE = Page(ROOT / "docs" / "how-to" / "sync-on-many-machines.md")
SETTINGS = """
country_code = "IT"
party_id = "BEC"
name = "Be Charge"
url_policy = "loopback"
store = "sqlite:///emsp.db"
"""
FOLDER, PROGRAM = "/var/lib/ocpi-emsp", "/opt/ocpi-emsp/bin/ocpi-emsp"


def command_of_cron() -> str:
    """Behind its five fields of time and its user, which a line of /etc/cron.d has."""
    (line,) = (each.source for each in PAGE.blocks() if FOLDER in each.source)
    *_, user, command = line.strip().split(maxsplit=6)
    assert user == "ocpi-emsp"
    assert "%" not in command, "cron ends the line there"
    return command


def test_it_syncs_and_appends_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCPI_EMSP_SECRET_KEY")
    (tmp_path / "ocpi-emsp.toml").write_text(SETTINGS, "utf-8")
    (tmp_path / "sync.jsonl").write_text('"of the run before"\n', "utf-8")
    command = command_of_cron().replace(FOLDER, str(tmp_path)).replace(PROGRAM, f"{sys.executable} -m ocpi_emsp")
    environment = {"HOME": "/", "LOGNAME": "ocpi-emsp", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    with served() as cpos:
        know(f"sqlite:///{tmp_path / 'emsp.db'}", cpos.url, "NL-TNM")
        cpos.lists["NL-TNM/locations"] = locations(5)
        ended = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    before, report = map(json.loads, (tmp_path / "sync.jsonl").read_text("utf-8").splitlines())
    assert before == "of the run before"
    assert [(party["party_id"], party["ok"]) for party in report["parties"]] == [("TNM", True)]
