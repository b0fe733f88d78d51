"""``ocpi-emsp openapi``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Command
from ocpi_emsp import SupportMatrix
from our_emsp import make_emsp


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "NAME"):
        monkeypatch.delenv(f"OCPI_EMSP_{name}", raising=False)


def test_it_is_that_of_the_library(command: Command) -> None:
    url = "https://e.test/ocpi"
    ended = command("openapi", "--url", url, "--name", "Be Charge")
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out) == make_emsp(url=url, matrix=SupportMatrix.default()).openapi()


def test_full_has_everything(command: Command) -> None:
    default, full = (json.loads(command("openapi", *argv).out)["paths"] for argv in ([], ["--full"]))
    assert "delete" not in default["/2.1.1/credentials"]
    assert "delete" in full["/2.1.1/credentials"]


def test_without_settings_it_is_where_serve_listens(command: Command) -> None:
    assert json.loads(command("openapi").out)["servers"] == [{"url": "http://127.0.0.1:8000/ocpi/emsp"}]


def test_the_file_says_where_we_are(command: Command) -> None:
    Path("ocpi-emsp.toml").write_text('url = "https://file.test/ocpi"\n')
    assert json.loads(command("openapi").out)["servers"] == [{"url": "https://file.test/ocpi"}]


def test_a_wrong_url_is_named(command: Command) -> None:
    ended = command("openapi", "--url", "nowhere")
    assert (ended.status, ended.out) == (2, "")
    assert "invalid url 'nowhere'" in ended.err
