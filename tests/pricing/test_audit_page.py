"""docs/how-to/audit-bills.md says what the code says: reasons, readings, and the bill that was reckoned by hand."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from audit_codes import PAGE
from client.support import simulated
from ocpi_emsp import audit
from ocpi_emsp.pricing import CHOICES, Verdict
from ocpi_emsp.pricing.readings import NAMES

DOCS = Path(__file__).parents[2] / "docs"
TEXT = PAGE.read_text("utf-8")


def test_the_bill_is_the_one_of_the_page() -> None:
    (cdr,) = re.findall(r"^```json title=[^\n]*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    found = audit(cdr)
    assert (found.verdict, found.claimed, found.expected, found.difference) == (
        Verdict.WRONG,
        Decimal("13.73"),
        Decimal("10.73"),
        Decimal("3.00"),
    )
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| (\d+)(?: \w+)? \| (\d+)(?: \w+)? \| ([\d.]+) \| ([\d.]+) \| .*element (\d)", TEXT, re.M
    )
    priced = [
        (each.dimension, each.measured, each.billed, each.price, each.cost, each.element)
        for each in found.lines
        if each.price is not None
    ]
    said = [(dimension, *map(Decimal, numbers), int(element)) for dimension, *numbers, element in rows]
    assert priced == said
    assert sum(each[4] for each in said) == found.expected
    assert {each.cost for each in found.lines if each.price is None} == {Decimal(0)}


def test_the_bounds_are_those_of_the_page() -> None:
    """One period from 16:30 to 17:50 with 21.4 kWh, and the claims of the picture."""
    (text,) = re.findall(r"^```json title=[^\n]*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    cdr = json.loads(text)
    energy = {"type": "ENERGY", "volume": 21.4}
    cdr |= {
        "stop_date_time": "2024-03-11T16:50:00Z",
        "charging_periods": [{"start_date_time": cdr["start_date_time"], "dimensions": [energy]}],
        "total_time": 1.3333,
        "total_parking_time": 0,
    }
    for element in cdr["tariffs"][0]["elements"]:
        element["price_components"] = [each for each in element["price_components"] if each["type"] == "ENERGY"]
    found = [audit(cdr | {"total_cost": claimed}) for claimed in (7.00, 7.49, 8.40, 9.63, 10.00)]
    assert {(each.low, each.high) for each in found} == {(Decimal("7.49"), Decimal("9.63"))}
    assert [(str(each.verdict), each.difference, each.at_least) for each in found] == [
        ("wrong", Decimal("-0.49"), True),
        ("undecidable", None, False),
        ("undecidable", None, False),
        ("undecidable", None, False),
        ("wrong", Decimal("0.37"), True),
    ]


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"^```json title=[^\n]*\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    cdr = json.loads(text)
    names: dict[str, Any] = {
        "cdr": text.encode(),
        "tariff": cdr["tariffs"][0],
        "location": cdr["location"],
        "datetime": datetime,
        "timedelta": timedelta,
        "UTC": UTC,
    }
    with simulated("sync", {"cdrs": 0}) as pair:
        pair.cpo.own("cdrs", cdr)
        pair.emsp.partner("NL-TNM").sync(modules=["cdrs"])
        names["emsp"] = pair.emsp
        for block in re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL):
            exec(compile(block, "audit-bills.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("wrong 13.73 10.73 3.00\nFLAT 1  0.50 0.5 ")
    assert "\nCDR1 wrong 3.00 [" in printed, "the worst of the month"
    # 0.50, all energy before 17:00 (7.49) or after it (9.63), and a block of parking (1.50)
    assert printed.endswith("None 9.49 11.63 EUR\n"), "the quote"


@pytest.mark.parametrize(("page", "column"), [("how-to/audit-bills.md", 2), ("spec-choices.md", 2)])
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
