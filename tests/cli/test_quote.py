"""``ocpi-emsp quote``: what a charge would cost, and what is no plan."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib.metadata import version
from io import StringIO
from pathlib import Path

import pytest

from cli.conftest import Command
from cli.test_audit import CDR, TARIFF, envelope, lines, put
from ocpi_emsp.cli.quote import COLUMNS
from report.support import HOSTILE
from report.test_render import Page

EXAMPLES = Path(__file__).parents[1] / "vectors/examples/tariffs"
COMPLEX = str(EXAMPLES / "tariff-complex.json")
MONDAY = ("--start", "2016-03-07T10:00:00Z", "--kwh", "10", "--minutes", "60")
"""The specification's complex tariff at 10:00 in Brussels or in UTC, with less than 32 kW: a start of 2.50 and an hour
at 1.00, in steps of 15 minutes: 3.50."""


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


def test_a_quote_has_its_total_and_lines_in_every_format(command: Command) -> None:
    argv = ("quote", COMPLEX, *MONDAY, "--time-zone", "UTC")
    ended = command(*argv, "--format", "json")
    assert (ended.status, ended.err) == (0, "")
    document = json.loads(ended.out)
    assert list(document) == [
        "total", "low", "high", "currency", "tariff_id", "lines", "reasons", "assumptions", "readings",
    ]  # fmt: skip
    assert (document["total"], document["currency"], document["tariff_id"]) == ("3.5", "EUR", "11")
    costs = {(each["dimension"], each["cost"]) for each in document["lines"]}
    assert costs == {("FLAT", "2.5"), ("TIME", "1"), ("ENERGY", "0")}
    table = command(*argv)
    assert table.out.startswith("tariff 11: 3.50 EUR\n")
    assert max(map(len, table.out.splitlines())) <= 80
    rows = [*csv.DictReader(StringIO(command(*argv, "--format", "csv").out))]
    assert list(rows[0]) == list(COLUMNS)
    assert [(each["dimension"], each["cost"]) for each in rows][-1] == ("total", "3.5")
    letter, page = (command(*argv, "--format", form) for form in ("markdown", "html"))
    for text in (letter, page):
        assert text.status == 0
        assert "3.50 EUR" in text.out
        assert "1:00:00 h" in text.out
    assert any(f", ocpi-emsp {version('ocpi-emsp')}" in each for each in Page(page.out).texts)
    ended = command(*argv, "--format", "html", "--output", "quote.html")
    assert (ended.status, ended.out) == (0, "")
    assert Page(Path("quote.html").read_text("utf-8")).rows == Page(page.out).rows


@pytest.mark.parametrize(
    ("more", "total"),
    [
        (("--parking-minutes", "10"), "4.333333"),  # 10 minutes at 5.00 per hour from 9 to 18 h, in steps of 5 minutes
        (("--power", "40"), "4.5"),  # above 32: 2.00 per hour
        (("--minutes", "50"), "3.5"),  # four steps of 15 minutes
        (("--minutes", "50", "--set", "step=none"), "3.333333"),
    ],
)
def test_parking_power_and_readings_count(more: Sequence[str], total: str, command: Command) -> None:
    ended = command("quote", COMPLEX, *MONDAY, "--time-zone", "UTC", "--format", "json", *more)
    document = json.loads(ended.out)
    assert (ended.status, document["total"][: len(total)]) == (0, total)


def test_a_place_without_a_zone_leaves_bounds_and_the_status_1(tmp_path: Path, command: Command) -> None:
    """Parking costs 5.00 from 9 to 18 h and 6.00 or nothing at other times: it depends on the zone."""
    argv = ("quote", COMPLEX, *MONDAY, "--parking-minutes", "60")
    ended = command(*argv, "--format", "json")
    document = json.loads(ended.out)
    assert (ended.status, document["total"]) == (1, None)
    assert "zone.unknown" in [each["code"] for each in document["reasons"]]
    assert (document["low"], document["high"]) == ("3.5", "8.5")
    assert command(*argv, "--time-zone", "UTC").status == 0
    place = put(tmp_path, "location.json", {**CDR["location"], "time_zone": "Europe/Amsterdam"})
    assert command(*argv, "--location", place).status == 0


def test_one_of_several_tariffs_is_named(tmp_path: Path, command: Command) -> None:
    both = [TARIFF, {**TARIFF, "id": "13"}]
    for name, content in {"a.json": both, "b.json": envelope(both), "c.jsonl": lines(*both)}.items():
        path = put(tmp_path, name, content)
        ended = command("quote", path, *MONDAY)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err == f"ocpi-emsp: {path} holds 2 tariffs: set --tariff-id to one of 12, 13\n"
        assert command("quote", path, *MONDAY, "--tariff-id", "13").out.startswith("tariff 13: 2.00 EUR")
        ended = command("quote", path, *MONDAY, "--tariff-id", "x")
        assert f"--tariff-id: {path} holds no tariff 'x': expected one of 12, 13" in ended.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("no.json", *MONDAY), "no.json: cannot be read: No such file or directory"),
        (("broken.json", *MONDAY), "TARIFF: broken.json: "),
        (("cdr.json", *MONDAY), "TARIFF: cdr.json: expected a Tariff, found a Cdr"),
        ((COMPLEX, *MONDAY[:4]), "Missing option '--minutes'"),
        ((COMPLEX, *MONDAY, "--start", "soon"), "--start: invalid time 'soon': expected ISO 8601"),
        ((COMPLEX, *MONDAY, "--kwh", "-1"), "--kwh: invalid number '-1': expected a number from 0, for example 0.5"),
        ((COMPLEX, *MONDAY, "--kwh", "NaN"), "--kwh: invalid number 'NaN'"),
        ((COMPLEX, *MONDAY, "--minutes", "1e30"), "--minutes: invalid number '1E+30': expected at most 527040 minutes"),
        ((COMPLEX, *MONDAY, "--parking-minutes", "527041"), "--parking-minutes: invalid number '527041'"),
        ((COMPLEX, *MONDAY, "--time-zone", "x"), "invalid --time-zone 'x'"),
        ((COMPLEX, *MONDAY, "--set", "step=x"), "--set: invalid reading step 'x'"),
        ((COMPLEX, *MONDAY, "--location", COMPLEX), "expected a Location, found a Tariff"),
        (("-", *MONDAY, "--location", "-"), "standard input can be read only once"),
    ],
)
def test_wrong_usage_ends_with_2(argv: Sequence[str], said: str, tmp_path: Path, command: Command) -> None:
    put(tmp_path, "broken.json", {**TARIFF, "elements": 7})
    put(tmp_path, "cdr.json", CDR)
    ended = command("quote", *argv)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown", "html"])
def test_hostile_ids_are_text(form: str, tmp_path: Path, command: Command) -> None:
    for text in HOSTILE:
        path = put(tmp_path, "hostile.json", {**TARIFF, "id": text, "currency": "<b>"})
        ended = command("quote", path, *MONDAY, "--format", form)
        assert all(char.isprintable() or char == "\n" for char in ended.out + ended.err)
        if form == "html":
            Page(ended.out)
