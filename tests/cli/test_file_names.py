"""What is mailed names files without the directories of this machine, and each by a name of its own."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.conftest import Command
from cli.test_audit import CDR
from cli.test_check import LONG_NAME
from ocpi_emsp.cli import files
from ocpi_emsp.cli.file_names import in_letters

LETTERS = ("html", "markdown")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Captures of two months with files of the same names, below a directory that no partner has to see."""
    home = tmp_path / "home-of-me"
    for place in ("captures/may/a.json", "captures/june/a.json", "captures/june/b.json", "old/june/a.json"):
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        (home / place).write_text(json.dumps(LONG_NAME))
    monkeypatch.chdir(home / "captures")
    return home


def listed(out: str) -> list[str]:
    """The files that a page lists."""
    return re.findall(r"<li><code[^>]*>(.*?)</code></li>", out.partition("<h2>Files</h2>")[2])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["{}/captures"], ["june/a.json", "june/b.json", "may/a.json"]),
        (["."], ["june/a.json", "june/b.json", "may/a.json"]),
        (["../captures/may"], ["a.json"]),
        (["{}/captures/may/a.json", "june/b.json"], ["a.json", "b.json"]),
        (["{}/captures/may/a.json", "june/a.json"], ["may/a.json", "june/a.json"]),
        (["{}/captures/june", "{}/old/june"], ["captures/june/a.json", "captures/june/b.json", "old/june/a.json"]),
        (["{}/captures/june", "may"], ["june/a.json", "june/b.json", "may/a.json"]),
        (["{}/captures/june", "../old/june/a.json"], ["june/a.json", "june/b.json", "a.json"]),
        (["june", "{}/captures/june/a.json"], ["june/a.json", "june/b.json", "a.json"]),
        (["june/a.json", "./june/a.json"], ["a.json", "a.json"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_report_lists_files_without_the_directories_of_this_machine(
    paths: Sequence[str], names: Sequence[str], home: Path, command: Command
) -> None:
    paths = [each.format(home) for each in paths]
    for form in LETTERS:
        ended = command("check", "--report", "--format", form, *paths)
        assert ended.status == 0
        assert "home-of-me" not in ended.out
        assert names[0] in ended.out.replace("\\", ""), "the source of the first sample"
    assert listed(command("check", "--report", "--format", "html", *paths).out) == names


def test_what_is_read_here_has_the_paths(home: Path, command: Command) -> None:
    path = str(home / "captures")
    assert f"{path}/june/a.json" in command("check", path, "--format", "json").out
    assert f"{path}/june/a.json: " in command("check", "--no-report", path).out


def test_a_letter_about_cdrs_does_so_too(home: Path, command: Command) -> None:
    for place in ("captures/may/a.json", "captures/june/a.json"):
        (home / place).write_text(json.dumps(CDR))
    shutil.rmtree(home / "old")
    (home / "captures/june/b.json").write_text("{")
    for form in LETTERS:
        ended = command("audit", str(home), "--format", form)
        assert ended.status == 1
        assert "home-of-me" not in ended.out
        for name in ("captures/may/a.json", "captures/june/a.json", "captures/june/b.json"):
            assert name in ended.out.replace("\\", ""), (form, name)
    table = command("audit", str(home), "--format", "table").out
    assert f"{home}/captures/june/b.json" in re.sub(r"\n *", "", table)


@pytest.mark.usefixtures("database")
def test_a_party_beside_files_is_called_by_its_id(tmp_path: Path, command: Command) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.json").write_text(json.dumps(CDR))
    for form in LETTERS:
        out = command("audit", ".", "folder", "NL-TNM", "--format", form).out.replace("\\", "")
        assert "NL-TNM" in out
        assert "/NL-TNM" not in out


def test_standard_input_and_the_root_have_their_names(tmp_path: Path) -> None:
    name = in_letters([files.STDIN, "/", str(tmp_path / "x.json")])
    assert name(files.STDIN) == files.STDIN
    assert name("/etc/a.json") == "etc/a.json"
    assert name(str(tmp_path / "x.json")) == "x.json"
