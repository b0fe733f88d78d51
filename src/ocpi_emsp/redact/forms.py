"""Forms of text that the checks distinguish: a stand-in has the form of its original, and no other.

Rules of this module:
- letters that define a form (the E of an EVSE-ID, the T and Z of a timestamp) stay, since they identify nothing; the
  rest of the text may change;
- the country and the party of an id with separators stay: BE*BEC*E041503001, DE-8AC-C12E46L89.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ocpi_emsp.check.locations import EVSE_ID
from ocpi_emsp.check.tokens import EMA_ID
from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.codec.readings import TIMESTAMP, time_zones
from ocpi_emsp.redact.words import WORDS

_LONGEST_NUMBER: Final = 1000
_EXPONENT: Final = re.compile("[eE][+-]?(?P<absurd>(?=[1-9][0-9]{3}))?", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]+(\.0+)", re.ASCII)
_SCHEME: Final = re.compile(r"https?:", re.IGNORECASE)
_OWNED: Final = re.compile(r"(?P<country>[A-Z]{2})([*-])(?P<party>[A-Z0-9]{3})\2(?=\S*[0-9])\S+", re.ASCII)
_EVSE_MARK: Final = re.compile(r"[A-Z]{2}[*-]?[A-Z0-9]{3}[*-]?(E)", re.ASCII | re.IGNORECASE)
_CONTRACT_MARK: Final = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?(C)", re.ASCII | re.IGNORECASE)


def fixed(text: str) -> set[int]:
    """Return the indices of the characters that define the form of a text."""
    places = set[int]()
    if found := _SCHEME.match(text):
        places |= set(range(found.end()))
    if found := _WHOLE.fullmatch(text):
        places |= set(range(*found.span(1)))
    if EVSE_ID.fullmatch(text) and (found := _EVSE_MARK.match(text)):
        places.add(found.start(1))
    if EMA_ID.fullmatch(text):
        if found := _CONTRACT_MARK.match(text):
            places.add(found.start(1))
        if text[-1] in "Xx":
            places.add(len(text) - 1)
    if TIMESTAMP.fullmatch(text.strip()):
        places |= {place for place, each in enumerate(text) if each.isascii() and each.isalpha()}
    if is_number(text) and (found := _EXPONENT.search(text)):
        places |= set(range(found.start(), found.end() if found["absurd"] is not None else len(text)))
    return places


def owner(text: str) -> tuple[int, int]:
    """Return the span of the party in an id with separators; an empty span if there is none."""
    found = _OWNED.fullmatch(text)
    return found.span("party") if found and found["country"] in ALPHA3 else (0, 0)


def traits(text: str) -> tuple[Any, ...]:
    """Return what a check may see in a text, beside its length and the classes of its characters."""
    return (
        _SCHEME.match(text) is not None,
        EVSE_ID.fullmatch(text) is not None,
        EMA_ID.fullmatch(text) is not None,
        TIMESTAMP.fullmatch(text.strip()) is not None,
        is_number(text),
        _WHOLE.fullmatch(text) is not None,
    )


def is_name(text: str) -> bool:
    """Return True for a name that a check knows; a stand-in is never one."""
    return is_word(text) or text in time_zones()


def is_word(text: str) -> bool:
    """Return True for a word of OCPI, in any case."""
    return text.strip().lower() in WORDS


def is_number(text: str) -> bool:
    """Return True if a check reads a text as a number."""
    try:
        return len(text) <= _LONGEST_NUMBER and Decimal(text).is_finite()
    except InvalidOperation:
        return False
