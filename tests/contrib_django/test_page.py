"""docs/how-to/django.md is true: a reader who follows it has what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from django.core.management import call_command

from ocpi_emsp.contrib.django.conf import KEYS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "django.md"


def test_who_follows_the_page_has_a_location(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    call_command("startproject", "mysite", str(tmp_path))
    call_command("startapp", "drivers", str(tmp_path / "drivers"))
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("page_walk.py")), str(PAGE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("8 commands\n")


def test_the_keys_that_the_page_names_exist() -> None:
    table = PAGE.read_text("utf-8").partition("| key | default | |\n")[2].partition("\n\n")[0]
    named = [line.split("`")[1] for line in table.splitlines()[1:]]
    assert named == ["DATABASE", "STORE", "SYNC_EVERY", "RETENTION"]
    assert set(named) <= set(KEYS)
