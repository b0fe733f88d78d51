"""The example projects do what their pages say: each is served, and a simulated CPO charges there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pages.blocks import ROOT, Page
from pages.running import running
from pages.scene import scene

EXAMPLES = ROOT / "docs" / "examples"


@pytest.mark.parametrize("name", ["asgi", "fastapi", "flask", "litestar"])
def test_an_example_project_charges(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path, dirs_exist_ok=True)
    project = Page(EXAMPLES / name / "README.md")
    with scene(tmp_path, monkeypatch) as here, running(project, here) as page_running:
        for page in (project, Page(EXAMPLES / "README.md")):
            page_running.page = page
            for block in page.blocks():
                page_running.run(block)
