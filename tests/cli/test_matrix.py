"""``ocpi-emsp matrix``."""

from __future__ import annotations

import json
from importlib import resources

from cli.conftest import Command
from ocpi_emsp.support import SupportMatrix


def test_csv_is_the_published_file_byte_for_byte(process: Command) -> None:
    published = resources.files("ocpi_emsp").joinpath("support-matrix.csv").read_bytes()
    ended = process("matrix", "--format", "csv")
    assert ended.status == 0
    assert ended.out.encode() == published


def test_markdown_is_the_default(command: Command) -> None:
    ended = command("matrix")
    assert ended.out == command("matrix", "--format", "markdown").out == SupportMatrix.default().to_markdown()
    assert ended.out.startswith("| module | direction | methods | path | supported | notes |\n|---|")
    assert "| credentials | CPO -> MSP | PUT\\|PATCH | /credentials | yes | |" in ended.out


def test_json_has_every_row(command: Command) -> None:
    rows = json.loads(command("matrix", "--format", "json").out)
    assert len(rows) == len(SupportMatrix.default().rows)
    assert {type(row["supported"]) for row in rows} == {bool}


def test_full_switches_everything_on(command: Command) -> None:
    rows = json.loads(command("matrix", "--full", "--format", "json").out)
    assert all(row["supported"] for row in rows)
    assert ",no," not in command("matrix", "--full", "--format", "csv").out
