"""The progress bar: on a terminal only, on stderr only, by the bytes that were read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from cli.conftest import Command
from cli.test_check import LONG_NAME, file, lines
from ocpi_emsp.cli import main, progress
from ocpi_emsp.cli.progress import Metered, bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file that counts as long."""
    monkeypatch.setattr(progress, "LONG", 1000)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "1000")  # no message is wrapped, however long the folder of the test is named
    return file(tmp_path, lines(LONG_NAME) * 20, "capture.jsonl")


def test_it_is_drawn_on_a_terminal_and_stdout_stays_clean(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    err, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["check", capture, "--report"]) == 0
    assert "checking" in err.getvalue()
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().startswith("OCPI 2.1.1 report\n20 documents")


def test_findings_on_the_same_terminal_are_not_drawn_over(capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["check", capture]) == 0
    assert err.getvalue() == ""


@pytest.mark.parametrize("missing", ["terminal", "rich", "stderr", "length"])
def test_it_is_not_drawn_without(
    missing: str, capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    err = io.StringIO() if missing == "terminal" else Terminal()
    monkeypatch.setattr(sys, "stderr", None if missing == "stderr" else err)
    if missing == "rich":
        monkeypatch.setitem(sys.modules, "rich", None)
    path = capture if missing != "length" else file(tmp_path, "[]", "short.json")
    assert main(["check", path, "--as", "location", "--report"]) == 0
    assert err.getvalue() == ""
    assert capsys.readouterr().out.startswith("OCPI 2.1.1 report")


def test_every_byte_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_STEP", 10)
    counted: list[int] = []
    stream = Metered(io.BytesIO(b"line\n" * 10 + b"rest"), counted.append)
    assert stream.readline() == b"line\n"
    assert stream.readline(2) == b"li"
    assert counted == []
    assert stream.read().endswith(b"rest")
    assert stream.readline() == b""
    assert sum(counted) == 54


def test_a_bar_that_is_not_wanted_takes_counts() -> None:
    with bar(0, "x") as advance:
        advance(1)


def test_a_message_does_not_end_the_bar(tmp_path: Path, capture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["check", capture, str(tmp_path / "missing.json")]) == 2
    assert "missing.json: cannot be read" in err.getvalue()


def test_standard_input_has_no_size(process: Command) -> None:
    assert process("check", "-", "--report", input=lines(LONG_NAME) * 5).status == 0
