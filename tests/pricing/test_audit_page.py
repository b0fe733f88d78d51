"""docs/audit.md says what the code says: reasons, readings, and the bill that was reckoned by hand."""

import re
from pathlib import Path

import pytest

from audit_codes import PAGE, with_tables
from ocpi_emsp.pricing import CHOICES
from ocpi_emsp.pricing.readings import NAMES

DOCS = Path(__file__).parents[2] / "docs"
TEXT = PAGE.read_text("utf-8")


def test_the_page_has_every_reason() -> None:
    assert with_tables(TEXT) == TEXT, "python docs/tools/audit_codes.py"


@pytest.mark.parametrize(("page", "column"), [("audit.md", 2), ("spec-choices.md", 2)])
def test_the_page_has_every_reading_with_its_values(page: str, column: int) -> None:
    text = (DOCS / page).read_text("utf-8")
    rows = {
        name: cells.split(" | ")
        for name, cells in re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
        if name in NAMES
    }
    assert list(rows) == list(NAMES)
    for name, values in CHOICES.items():
        said = re.findall(r"`(\w+)`", rows[name][column - 1])
        assert [each for each in said if each in values] == list(values), name
