"""Texts from outside in the cells of a spreadsheet."""

import pytest

from ocpi_emsp.cli.spreadsheet import safe


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", " =1+1", "\u00a0-1", "\uff1d1+1", " \uff0b1", "\uff20X"])
def test_what_a_spreadsheet_may_take_for_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text).startswith("'")


@pytest.mark.parametrize("text", ["", " ", "C1", "1-2", "NL-TNM", "a=b"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text
