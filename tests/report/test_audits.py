"""AuditTally and its forms: counts, exact sums, the worst first, bounded memory, and hostile values as text."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import pytest

from ocpi_emsp.pricing import CHOICES, REASONS, Audit, Readings, Reason, Verdict
from ocpi_emsp.pricing.readings import NAMES
from ocpi_emsp.report import (
    AuditTally,
    audit_words as words,
    audits_to_html,
    audits_to_markdown,
    audits_to_text,
    quote_to_html,
    quote_to_markdown,
    quote_to_text,
)
from ocpi_emsp.report.audit_clauses import SPECIFICATION, clause_of
from ocpi_emsp.report.audits import MAX_CURRENCIES, MAX_FAILED, MAX_LINES
from report.audits import ALL_HOSTILE, audit, line, quote, wrong_at_least
from report.support import HOSTILE
from report.test_aggregate import NOON
from report.test_render import Page, cells, outside_code, shown

RIGHT, WRONG, OPEN = Verdict.RIGHT, Verdict.WRONG, Verdict.UNDECIDABLE


def tallied(*audits: Audit, **options: Any) -> AuditTally:
    tally = AuditTally(**options)
    tally.add_all(audits, "a.json")
    return tally


def one_of_each(**options: Any) -> AuditTally:
    """12.00 for 9.00, 7.00 for 9.00, at least 5.00 too much, 4.00 that is right, 12.00 undecidable; 100 in JPY."""
    return tallied(
        audit(RIGHT, "4.00", cdr="right"),
        audit(OPEN, cdr="open"),
        audit(claimed="7.00", cdr="low"),
        audit(cdr="high"),
        wrong_at_least(),
        audit(RIGHT, "100", currency="JPY", cdr="yen"),
        **options,
    )


def hostile() -> AuditTally:
    tally = tallied(*ALL_HOSTILE)
    for text in HOSTILE:
        tally.add(audit(cdr="x"), text)
        tally.add_failure(text, text)
    return tally


def test_counts_and_sums_are_exact_and_per_currency() -> None:
    tally = one_of_each()
    assert tally.counts == {RIGHT: 2, WRONG: 3, OPEN: 1}
    assert (tally.total, tally.all_right) == (6, False)
    euro, yen = tally.currencies
    assert euro.as_json() == {
        "currency": "EUR",
        "cdrs": 5,
        "claimed": "60",  # 4 + 12 + 7 + 12 + 25
        "expected": "42",  # 4 + 9 + 9 + 20, the bound; nothing for the undecidable one
        "difference": "6",  # 3 - 2 + 5
        "overcharged": "8",
        "undercharged": "2",
        "undecidable": "12",
        "not_summed": 0,
    }
    assert (yen.currency, yen.cdrs, yen.claimed, yen.difference) == ("JPY", 1, Decimal(100), Decimal(0))
    tiny = tallied(audit(RIGHT, "1E-30"), audit(RIGHT, "1E+30"), audit(RIGHT, "-1E+30"))
    assert tiny.currencies[0].claimed == Decimal("1E-30")


def test_an_absurd_amount_is_counted_and_not_added() -> None:
    tally = tallied(audit(RIGHT, "1"), audit(WRONG, "1E+999999", difference=Decimal("1E+999999")), audit(WRONG))
    (sums,) = tally.currencies
    assert (sums.cdrs, sums.claimed, sums.not_summed) == (3, Decimal(13), 1)
    for render in (audits_to_text, audits_to_markdown, audits_to_html):
        assert len(render(tally)) < 20_000
        assert "1E+999999" in render(tally)


def test_the_worst_come_first_and_the_limit_keeps_them() -> None:
    order = ["CDR1", "high", "low", "open", "right", "yen"]  # by 5, 3 and -2; of equal ones the first
    assert [each.audit.cdr for each in one_of_each().worst] == order
    for limit in range(7):
        tally = one_of_each(limit=limit)
        assert [each.audit.cdr for each in tally.worst] == order[:limit]
        assert tally.not_listed == 6 - limit
    only = one_of_each(only={OPEN, RIGHT}, limit=2)
    assert [each.audit.cdr for each in only.worst] == ["open", "right"]
    assert (only.not_listed, only.total) == (1, 6)
    equal = tallied(*(audit(cdr=str(number)) for number in range(5)), limit=2)
    assert [each.audit.cdr for each in equal.worst] == ["0", "1"]


def test_all_is_right_only_without_failures() -> None:
    tally = tallied(audit(RIGHT))
    assert tally.all_right
    tally.add_failure("b.json", "no JSON")
    assert not tally.all_right


def test_memory_does_not_grow_with_the_number_of_audits() -> None:
    many = audit(lines=(line(),) * (MAX_LINES + 3))
    tally = AuditTally(limit=3)

    def fill(start: int) -> None:
        for number in range(start, start + 1000):
            tally.add(audit(claimed=str(number + 10), currency=f"C{number}", lines=many.lines), f"file {number}")
            tally.add_failure(f"file {number}", "x" * 50)

    fill(0)
    tracemalloc.start()
    fill(1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert [(len(each.audit.lines), each.more_lines) for each in tally.worst] == [(MAX_LINES, 3)] * 3
    assert len(tally.currencies) == MAX_CURRENCIES
    assert tally.other_currencies == 2000 - MAX_CURRENCIES
    assert (len(tally.listed_failures), tally.failed) == (MAX_FAILED, 2000)


@pytest.mark.parametrize(
    ("number", "digits", "said"),
    [
        ("9", 2, "9.00"),
        ("9", 0, "9"),
        ("12.5", 0, "12.5"),
        ("3.125", 2, "3.125"),
        ("12.37666666666666666666", 2, "~12.3767"),
        ("0.00000001", 2, "~1E-8"),
        ("1E+30", 2, "1000000000000000000000000000000.00"),
        ("1E-70", 2, "1E-70"),
        ("-0.5", 2, "-0.50"),
        ("0E+5", 2, "0.00"),
    ],
)
def test_an_amount_is_exact_or_marked(number: str, digits: int, said: str) -> None:
    assert words.amount(Decimal(number), digits) == said


@pytest.mark.parametrize(
    ("number", "unit", "said"),
    [
        ("15342", "Wh", "15.342 kWh"),
        ("7103", "s", "1:58:23 h"),
        ("360000", "s", "100:00:00 h"),
        ("0.5", "s", "0.5 s"),
        ("-60", "s", "-60 s"),
        ("2", "", "2"),
    ],
)
def test_a_volume_has_its_unit(number: str, unit: str, said: str) -> None:
    assert words.volume(Decimal(number), unit) == said


def test_a_headline_says_in_which_direction_and_how_far() -> None:
    assert words.headline(audit(claimed="12")) == "claimed 12.00 EUR, expected 9.00 EUR: 3.00 EUR too much"
    assert words.headline(audit(claimed="7.00")).endswith(": 2.00 EUR too little")
    assert words.headline(wrong_at_least()).endswith("expected 8.00 to 20.00 EUR: at least 5.00 EUR too much")
    assert words.headline(audit(OPEN)) == "claimed 12.00 EUR, expected 8.00 to 20.00 EUR"
    assert words.headline(audit(OPEN, high=None)).endswith("expected at least 8.00 EUR")
    assert words.headline(audit(OPEN, low=None)).endswith("expected at most 20.00 EUR")
    assert words.headline(audit(OPEN, low=None, high=None)).endswith("the expected amount is not known")


def test_a_currency_has_its_own_digits_and_a_line_its_price() -> None:
    assert words.headline(audit(claimed="1000", currency="JPY")).endswith("991 JPY too much")
    assert words.headline(audit(claimed="12.1", currency="KWD")).endswith("3.100 KWD too much")
    assert words.currency(tallied(audit(claimed="1000", currency="JPY")).currencies[0]) == (
        "JPY: 1 CDR, claimed 1000, 991 too much"
    )
    assert words.billed_at(line()) == "12.3 kWh, billed 12.5 kWh at 0.25 per kWh, step 500"
    assert words.billed_at(line(price=None, cost=Decimal(0), billed=Decimal(12300))) == "12.3 kWh, free"
    open_line = line(price=None, cost=None, billed=Decimal(12300), high=None)
    assert words.billed_at(open_line) == "12.3 kWh, more than one price"
    vat = line(dimension="VAT", unit="%", price=None, measured=Decimal(21), billed=Decimal(21))
    assert words.billed_at(vat) == "21 %, on top"
    assert words.cost(open_line) == "at least 3.125"
    assert words.cost(line(cost=None, low=None, high=None)) == "no bound"


def test_every_reading_has_its_question_and_every_reason_its_clause() -> None:
    assert tuple(words.READING_QUESTIONS) == NAMES
    assert set(CHOICES) <= set(words.READING_QUESTIONS)
    for code in REASONS:
        assert re.fullmatch(r"(mod_\w+|types)\.md#[\w-]+|", clause_of(code)), code
    assert clause_of("price_type.unknown") == "mod_tariffs.md#44-tariffdimensiontype-enum"
    assert clause_of("something.new") == "mod_cdrs.md#31-cdr-object"


def test_a_table_fits_80_columns_and_names_everything() -> None:
    tally = one_of_each()
    tally.add(audit(cdr="C" * 300, claimed="1E+50", currency="X" * 50, reasons=(reason(),)), "folder/" * 30)
    tally.add_failure("d.json: line 3", "no JSON " * 40)
    text = audits_to_text(tally)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("7 CDRs: 2 right, 1 undecidable, 4 wrong; 1 document could not be audited\n")
    rows = [each.split() for each in text.splitlines() if re.match(r"WRONG|RIGHT|UNDECIDABLE", each)]
    assert rows[2] == ["WRONG", "12.00", "9.00", "+3.00", "EUR", "high", "(a.json)"]
    assert rows[1] == ["WRONG", "25.00", "8.00", "to", "20.00", ">=", "+5.00", "EUR", "CDR1", "(a.json)"]
    assert "    /charging_periods/0: a price changes [boundary.unknown]" in text
    for width in (40, 60, 120):
        assert max(map(len, audits_to_text(tally, width=width).splitlines())) <= width


def reason() -> Reason:
    return Reason(code="boundary.unknown", pointer="/charging_periods/0", message="a price changes")


def test_a_single_cdr_is_a_bill() -> None:
    text = audits_to_text(tallied(audit(reasons=(reason(),), readings=Readings(step="per_period"))))
    assert text.splitlines() == [
        "CDR CDR1: WRONG",
        "claimed 12.00 EUR, expected 9.00 EUR: 3.00 EUR too much",
        "",
        "ENERGY  12.3 kWh, billed 12.5 kWh at 0.25 per kWh, step 500                3.125",
        "    2024-05-06 07:08:09Z to 2024-05-06 09:08:09Z, period 0, tariff T1, element",
        "    0, component 1: it is the first element whose restrictions match",
        "",
        "/charging_periods/0: a price changes [boundary.unknown]",
        "read with step=per_period",
    ]


FORMS: tuple[Callable[[AuditTally], str], ...] = (audits_to_text, audits_to_markdown, audits_to_html)


@pytest.mark.parametrize("render", FORMS)
def test_every_form_has_counts_amounts_reasons_and_readings(render: Callable[[AuditTally], str]) -> None:
    tally = one_of_each(limit=5)
    tally.add(audit(claimed="900.00", cdr="W", reasons=(reason(),), assumptions=("the zone is Europe/Berlin",)), "b.x")
    text = re.sub(r"<[^>]*>|\\", "", render(tally))
    for said in ("2 right, 1 undecidable, 4 wrong", "b.x", "900.00", "+891.00", "a price changes",
                 "boundary.unknown", "Europe/Berlin", "2 more CDRs not listed"):  # fmt: skip
        assert said in text, said
    assert "899.00" in text  # 8 and 891


def test_a_page_runs_nothing_and_links_to_the_specification_alone() -> None:
    for text in (audits_to_html(hostile()), audits_to_html(one_of_each()), quote_to_html(quote())):
        page = Page(text)
        assert page.declarations == ["DOCTYPE html"]
        assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
        assert {name for name, _ in page.attributes} <= {"style", "lang", "charset", "name", "content", "http-equiv",
                                                         "scope", "href"}  # fmt: skip
        for name, value in page.attributes:
            if name == "href":
                assert value.startswith(SPECIFICATION)
            else:
                assert not re.search(r"https?:|//|url\(|@import|javascript:", value)


def test_a_page_says_when_it_was_made_and_with_what() -> None:
    for text in (audits_to_html(one_of_each(), at=NOON), quote_to_html(quote(), at=NOON)):
        assert f"2024-05-01T12:00:00Z, ocpi-emsp {version('ocpi-emsp')}" in Page(text).texts
    begun = datetime.now(UTC).replace(microsecond=0)
    for text in (audits_to_html(one_of_each()), quote_to_html(quote())):
        [made] = [each for each in Page(text).texts if ", ocpi-emsp " in each]
        assert begun <= datetime.fromisoformat(made.partition(",")[0]) <= datetime.now(UTC)


def test_a_page_shows_hostile_values_as_text() -> None:
    texts = "\n".join(Page(audits_to_html(hostile(), title=HOSTILE[0])).texts)
    for text in HOSTILE:
        assert texts.count(shown(text)) >= 8


def test_a_page_is_as_narrow_as_a_telephone() -> None:
    """No table has more than four columns, whatever is in them breaks, and no width is fixed."""
    text = audits_to_html(hostile())
    assert max(map(len, Page(text).rows)) <= 4
    assert not re.search(r"[^-]width: \d+px|white-space", text)
    cells = re.findall(r'<td style="([^"]*)">(.*?)</td>', text)
    assert len(cells) > 50
    for style, content in cells:
        long = [word for word in re.sub(r"<[^>]*>", " ", content).split() if len(word) > 18]
        assert ("anywhere" in style) == bool(long), content


def test_markdown_shows_hostile_values_as_text() -> None:
    for text in (audits_to_markdown(hostile(), title=HOSTILE[0]), quote_to_markdown(quote(tariff_id=HOSTILE[0]))):
        tables = [cells(each) for each in text.splitlines() if each.startswith("| ")]
        assert {len(row) for row in tables} <= {7}
        interpreted = re.sub(re.escape(SPECIFICATION) + r"[\w.#-]+\)", "", outside_code(text)).replace("](", "")
        assert not re.search(r"<|!\[|~~|https?:/", interpreted)
        assert sum(each.startswith("# ") for each in text.splitlines()) == 1
        assert all(char.isprintable() or char == "\n" for char in text)


def test_text_moves_no_cursor() -> None:
    for text in (audits_to_text(hostile()), *(audits_to_text(tallied(each)) for each in ALL_HOSTILE),
                 quote_to_text(quote(tariff_id=HOSTILE[5]))):  # fmt: skip
        assert all(char.isprintable() or char == "\n" for char in text)
        assert max(map(len, text.splitlines())) <= 80


def test_a_quote_has_its_lines_and_its_bounds() -> None:
    assert quote_to_text(quote()).startswith("tariff T1: 3.125 EUR\n\nENERGY  12.3 kWh")
    bounds = quote(total=None, low=Decimal(3), high=None, reasons=(reason(),), lines=(line(),) * (MAX_LINES + 2))
    for render in (quote_to_text, quote_to_markdown, quote_to_html):
        text = re.sub(r"<[^>]*>|\\", "", render(bounds))
        assert "at least 3.00 EUR" in text
        assert "a price changes" in text
        assert "2 more lines not listed" in text
