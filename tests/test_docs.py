"""What pages show of the code is what the code says: tables, pictures, links (tests/pages runs what they show)."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from attrs import fields_dict

import audit_codes
import handshake_svg
import layers_svg
import readme_tables
import site_pages
import terminal_svg
from ocpi_emsp import SupportMatrix
from ocpi_emsp.events import EVENTS, Event

ROOT = Path(__file__).parent.parent


def test_the_published_matrix_is_the_one_in_the_docs() -> None:
    published = (ROOT / "docs" / "reference" / "support-matrix.md").read_text("utf-8")
    assert published.endswith(SupportMatrix.default().to_markdown())
    results = readme_tables.RESULTS.read_text("utf-8")
    page = readme_tables.PAGE.read_text("utf-8")
    assert readme_tables.with_tables(page, results) == page, "python docs/tools/readme_tables.py"


def test_the_readme_has_the_numbers_of_the_results() -> None:
    page, results = (path.read_text("utf-8") for path in (readme_tables.PAGE, readme_tables.RESULTS))
    (row,) = (line for line in results.splitlines() if line.startswith("| ocpi-emsp "))
    assert row in page
    changed = readme_tables.with_tables(page, results.replace(row, "| ocpi-emsp 9 | 1 | 2 | 3 |"))
    assert "| ocpi-emsp 9 | 1 | 2 | 3 |" in changed
    assert row not in changed


def test_the_picture_shows_what_the_pages_say() -> None:
    """Its commands run in tests/pages; how it is drawn is up to the version of rich."""
    shown = "".join("$ " + command + prints for command, prints in terminal_svg.shown())
    text = terminal_svg.text_of(terminal_svg.PICTURE.read_text("utf-8"))
    assert "".join(shown.split()) in text, "python docs/tools/terminal_svg.py"


def test_the_pictures_of_the_handshake_are_those_of_the_table() -> None:
    for file, steps in handshake_svg.PICTURES.items():
        assert file.read_text("utf-8") == handshake_svg.drawing(steps), "python docs/tools/handshake_svg.py"


def test_the_picture_and_the_table_of_the_modules_are_those_of_the_layers() -> None:
    layers = layers_svg.layers()
    assert layers_svg.PICTURE.read_text("utf-8") == layers_svg.drawing(layers), "python docs/tools/layers_svg.py"
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| ", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    modules = dict.fromkeys(each.partition(".")[0] for each in layers)
    assert named == [each for each in modules if each not in ("", "__main__")]


def test_on_an_index_page_each_link_of_the_readme_is_absolute() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    text, repository = (ROOT / "README.md").read_text("utf-8"), settings["project"]["urls"]["Repository"]
    for each in settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        assert each["replacement"].startswith(f"]({repository}/")
        text = re.sub(each["pattern"], each["replacement"], text)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith("https://")] == []
    assert f"{repository}/blob/v$HFPR_VERSION/docs/start/first-emsp.md" in links
    assert f"{repository}/raw/v$HFPR_VERSION/docs/start/terminal.svg" in links


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CHANGELOG.md",
        ".github/SECURITY.md",
        *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
    ],
)
def test_links_lead_somewhere(page: str) -> None:
    path, generated = ROOT / page, {ROOT / "docs" / each for each in site_pages.generated()}
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        if not target.startswith("https://"):
            found = Path(os.path.normpath(path.parent / target))
            assert found.exists() or found in generated, target


def test_the_reasons_of_audits_are_those_in_the_docs() -> None:
    page = audit_codes.PAGE.read_text("utf-8")
    assert audit_codes.with_tables(page) == page, "python docs/tools/audit_codes.py"


def test_every_event_is_in_the_docs() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+) \| (.+) \|$", (ROOT / "docs" / "reference" / "events.md").read_text("utf-8"), re.MULTILINE
    )
    said = {name: set(re.findall(r"`(\w+)`", says)) for name, _, says in rows if name in EVENTS}
    assert said == {name: set(fields_dict(kind)) - set(fields_dict(Event)) for name, kind in EVENTS.items()}


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_fields_that_a_page_names_beside_an_event_are_its_fields(page: Path) -> None:
    """A row of a table that begins with an event, and a list of fields in brackets behind one."""
    text = page.read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    lists = re.findall(r"`(\w+)`\s\(((?:`[^`]+`(?:,\s)?)+)\)", text)
    for name, fields in (*rows, *lists):
        if name in EVENTS:
            named = set(re.findall(r"`([a-z_]+)`", fields))
            assert named <= set(fields_dict(EVENTS[name])), name


def test_files_named_in_spec_choices_exist() -> None:
    text = (ROOT / "docs" / "spec-choices.md").read_text("utf-8")
    named = {name for name in re.findall(r"`([a-z_/]+\.(?:py|json))`", text) if "/" in name}
    for name in sorted(named):
        base = ROOT if name.startswith("tests/") else ROOT / "src" / "ocpi_emsp"
        assert (base / name).exists(), name


@pytest.mark.parametrize(
    ("source", "link", "leads_to"),
    [
        ("docs/how-to/sync.md", "../reference/events.md", "../reference/events.md"),
        ("docs/how-to/serving.md", "../../bench/results.md#load", "../explanation/measurements.md#load"),
        ("docs/CONTRIBUTING.md", "../.github/SECURITY.md", "security-policy.md"),
        ("CHANGELOG.md", "docs/architecture.md", "../architecture.md"),
        (".github/SECURITY.md", "../docs/explanation/security.md", "explanation/security.md"),
        ("docs/index.md", "https://example.com/a.md", "https://example.com/a.md"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(source: str, link: str, leads_to: str) -> None:
    assert site_pages.with_site_links(f"[x]({link})", source) == f"[x]({leads_to})"
