"""Processes of the tests do not outlive their time, and neither does what waits for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from processes import limited

ALONE = "import time; time.sleep(1000)"
WITH_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ALONE!r}])"


@pytest.mark.parametrize("code", [ALONE, WITH_A_CHILD], ids=["alone", "with a child that has its pipes"])
def test_who_reads_from_a_silent_process_goes_on(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = [sys.executable, "-c", code]
    with (
        subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True) as process,
        limited(process, seconds=2),
    ):
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert process.returncode == -9
    assert capsys.readouterr().out.startswith(f"killed after 2 seconds: ['{sys.executable}', '-c', ")


def test_a_process_ends_with_its_block() -> None:
    with subprocess.Popen([sys.executable, "-c", ALONE]) as process, limited(process):
        assert process.poll() is None
    assert process.returncode == -9


def test_a_process_that_ended_by_itself_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", "exit(3)"]) as process, limited(process):
        assert process.wait(60) == 3
    assert process.returncode == 3
    assert capsys.readouterr().out == ""
