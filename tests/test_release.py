"""What a release says of itself is the same everywhere; `make release-check` looks at what is built."""

from __future__ import annotations

import importlib
import re
import tomllib
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest
from click.testing import CliRunner

import ocpi_emsp
from ocpi_emsp import UrlPolicy, _version
from ocpi_emsp.cli.commands import Commands
from ocpi_emsp.report import PartnerReport, to_html
from ocpi_emsp.transports.httpx import default_async_client, default_client
from our_emsp import make_emsp

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
VERSION: str = PROJECT["project"]["version"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")

CHANGES = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
"""The headings of Keep a Changelog 1.1.0."""


def test_the_package_says_the_version_of_pyproject() -> None:
    assert ocpi_emsp.__version__ == version("ocpi-emsp") == VERSION, "make .venv/.dev installs the current version"


def test_the_command_prints_the_version() -> None:
    assert CliRunner().invoke(Commands(), ["--version"]).output == f"ocpi-emsp {VERSION}\n"


def test_a_report_and_an_openapi_document_name_the_version() -> None:
    assert f", ocpi-emsp {VERSION}</p>" in to_html(PartnerReport())
    info = make_emsp().openapi()["info"]
    assert (info["version"], info["x-generator"]) == ("2.1.1", f"ocpi-emsp {VERSION}")


def test_partners_see_the_version_in_our_user_agent() -> None:
    with default_client(UrlPolicy(), 5.0) as client:
        assert client.headers["User-Agent"] == f"ocpi-emsp/{VERSION}"

    async def of_the_async_one() -> str:
        async with default_async_client(UrlPolicy(), 5.0) as client:
            return str(client.headers["User-Agent"])

    assert anyio.run(of_the_async_one) == f"ocpi-emsp/{VERSION}"


def test_without_metadata_the_version_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", not_installed)
    try:
        assert importlib.reload(_version).__version__ == "0+unknown"
    finally:
        monkeypatch.undo()
        importlib.reload(_version)


def test_a_wheel_that_a_page_installs_has_the_version() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {found for page in pages for found in re.findall(r"ocpi_emsp-(\d[\w.]*)-py3", page.read_text("utf-8"))}
    assert named == {VERSION}


def releases() -> list[tuple[str, str]]:
    """The heading and the text of each release, newest first."""
    parts = re.split(r"^## (.+)\n", CHANGELOG, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = [heading for heading, _ in releases()]
    assert headings[0] == "[Unreleased]"
    dates = []
    for heading in headings[1:]:
        found = re.fullmatch(r"\[\d+\.\d+\.\d+\] - (\d{4}-\d{2}-\d{2})", heading)
        assert found, heading
        dates.append(date.fromisoformat(found[1]))
    assert dates == sorted(dates, reverse=True)
    assert headings[1:2] in ([], [f"[{VERSION}] - {dates[0] if dates else ''}"])


@pytest.mark.parametrize("release", releases(), ids=lambda release: release[0])
def test_a_release_has_each_kind_of_change_once(release: tuple[str, str]) -> None:
    kinds = re.findall(r"^### (.+)$", release[1], re.MULTILINE)
    assert len(kinds) == len(set(kinds))
    assert set(kinds) <= CHANGES


def test_a_change_is_a_list_item_or_a_row() -> None:
    """A paragraph among them would be a change that nobody finds."""
    text = CHANGELOG.partition("## [Unreleased]\n")[2]
    lines = [line for line in text.splitlines() if not line.startswith(("- ", "  ", "| ", "|-", "### ", "## ["))]
    assert [line for line in lines if line] == []


def test_a_page_that_the_changelog_names_exists() -> None:
    named = set(re.findall(r"docs/[\w/.-]+\.md", CHANGELOG))
    assert len(named) > 20
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []


def test_the_source_distribution_has_what_the_suite_reads() -> None:
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all((ROOT / each.removeprefix("/")).exists() for each in included)
    read = {"bench", "docs", "fuzz", "src", "tests", ".ci", ".github", "CHANGELOG.md", "Makefile", "README.md"}
    assert {f"/{each}" for each in read} <= set(included)


def test_whoever_finds_the_package_finds_the_project() -> None:
    project = PROJECT["project"]
    assert {"Documentation", "Repository", "Issues", "Changelog"} <= project["urls"].keys()
    assert all((ROOT / each).is_file() for each in project["license-files"])
    assert (Path(ocpi_emsp.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in project["classifiers"]
