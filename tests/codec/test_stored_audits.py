"""An audit as it is stored: what is written is read again, and nothing else is."""

import json
from decimal import Decimal

import pytest
from attrs import evolve

from cli.filled import audited
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.pricing.result import text
from ocpi_emsp.pricing.stored import MAX_LINES, of_document, to_document


def test_what_is_stored_is_the_public_json_and_is_read_again() -> None:
    audit = audited()
    document = to_document(audit)
    assert json.loads(document) == audit.as_json()
    assert of_document(document) == (audit, 0)


def test_of_many_lines_the_first_are_stored() -> None:
    audit = audited()
    many = evolve(audit, lines=audit.lines * (MAX_LINES + 7))
    read, left_out = of_document(to_document(many))
    assert (len(read.lines), left_out) == (MAX_LINES, 7)
    assert evolve(read, lines=many.lines) == many


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verdict", "good"),
        ("lines", 3),
        ("claimed", None),
        ("readings", {"step": "of_tomorrow"}),
        ("readings", {"x": "y"}),
    ],
)
def test_what_cannot_be_read_is_said(name: str, value: object) -> None:
    document = json.dumps({**json.loads(to_document(audited())), name: value}).encode()
    with pytest.raises(InvalidObject, match="the stored audit cannot be read: "):
        of_document(document)
    for broken in (b"", b"[]", b"[" * 100_000, document[:-1]):
        with pytest.raises(InvalidObject):
            of_document(broken)


def test_an_amount_of_millions_of_digits_has_an_exponent() -> None:
    assert text(Decimal("1E+999999")) == "1E+999999"
    assert text(Decimal("-1E-999999")) == "-1E-999999"
    assert text(Decimal("0E+999999")) == "0"
    assert text(Decimal("1E+60")) == "1" + "0" * 60
    assert text(Decimal("4.00")) == "4"
