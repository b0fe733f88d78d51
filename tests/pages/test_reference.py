"""The generated pages of the reference say what the code has: nothing is missing, and nothing has no meaning."""

from __future__ import annotations

import re

import pytest

import reference_api
import reference_cli
import reference_database
import reference_errors
import site_pages
import state_svg
from ocpi_emsp.cli.settings import NAMES
from ocpi_emsp.errors import OcpiError, Refusal
from ocpi_emsp.storage import metadata
from test_exports import exported


def test_every_exception_says_what_to_do() -> None:
    classes = [each for each in reference_errors.classes() if each is not OcpiError]  # the head says what that is
    assert [each.__name__ for each in classes] == list(reference_errors.TODO)
    ((_, page),) = reference_errors.pages()
    for each in classes:
        assert page.count(f"| [`{each.__name__}`](") == 1
    answered = page[: page.index("## A call to a partner fails")]
    for each in classes:
        assert (f"| [`{each.__name__}`](" in answered) == issubclass(each, Refusal)
        is_500 = (each.http_status, each.status_code) == (500, 3000)
        assert is_500 or issubclass(each, Refusal), "the page says that the others answer 500 / 3000"


def test_every_column_has_a_meaning() -> None:
    columns = {column.name for table in metadata.sorted_tables for column in table.columns}
    assert columns == set(reference_database.MEANINGS)
    assert {table.name for table in metadata.sorted_tables} == set(reference_database.TABLES)


def test_every_public_name_stands_on_a_page_once() -> None:
    shown = [name for _, page in reference_api.pages() for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
    assert len(shown) == len(set(shown))
    linked = re.findall(r"\]\[(\S+)\]$", dict(reference_api.pages())["reference/api/index.md"], re.MULTILINE)
    ours = {name for name, _ in exported()}
    top = {name.rpartition(".")[2] for name in linked}
    assert ours - set(shown) <= {f"ocpi_emsp.{name}" for name in top}


def test_a_state_diagram_has_each_state_and_each_change() -> None:
    drawn = state_svg.drawn("    [*] --> A: a < b\n    A --> B: then\n    B --> B: again\n    B --> [*]\n")
    assert re.findall(r">([^<]+)</text>", drawn) == ["(none)", "A", "B", "a &lt; b", "then", "again", "it ends"]
    with pytest.raises(ValueError, match="invalid line"):
        state_svg.drawn("A -> B")


def test_no_page_of_the_site_has_what_only_tests_read() -> None:
    for page, text in site_pages.pages().items():
        assert "```mermaid" not in text, page
        assert not re.search(r"^<!-- ", text, re.MULTILINE), page


@pytest.mark.parametrize("heading", ["serve", "party profile", "config init", "completion"])
def test_the_commands_are_on_their_page(heading: str) -> None:
    page = dict(reference_cli.pages())["reference/cli.md"]
    assert re.search(rf"^#+ ocpi-emsp {heading}$", page, re.MULTILINE)


def test_the_settings_are_on_their_page() -> None:
    page = dict(reference_cli.pages())["reference/settings.md"]
    assert re.findall(r"^\| `(\w+)` \| `OCPI_EMSP_", page, re.MULTILINE) == list(NAMES)


def test_the_menu_has_every_page() -> None:
    menu = (site_pages.ROOT / ".ci" / "mkdocs.yml").read_text("utf-8")
    named = re.findall(r"^ +- (?:[\w ]+: )?([\w/.-]+\.md)$", menu, re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(site_pages.pages()) <= set(named)
