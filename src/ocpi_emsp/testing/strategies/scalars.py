"""Values of the wire's scalar types, as partners use them.

Rules of this module:
- a value obeys the constraints of its annotation, which are read from the annotation; a field's name only selects a
  likely value among the possible ones (a city for ``city``);
- the simplest value comes first: a short number for an id, the specification's own example for a place;
- a strategy is built once: Hypothesis analyses every new one when it is first drawn from;
- the boundaries of a length are covered: a text of one character and one of exactly as many as the field allows;
- a scalar is one choice if possible: Hypothesis shrinks choice by choice. ``st.builds`` and ``st.tuples`` are not used:
  after a failure, Hypothesis draws hundreds of new values for each of their parts, to comment on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from hypothesis import strategies as st
from msgspec import Raw, inspect

from ocpi_emsp.testing.strategies.places import CURRENCIES, LANGUAGES, PLACES, ZONES
from ocpi_emsp.testing.strategies.schema import reading

FIRST, LAST = datetime(2015, 6, 29, 20, 39, 9, tzinfo=UTC), datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The range of all times: from the specification's example until before the day this was written."""
_SECONDS = int((LAST - FIRST).total_seconds())

_ALPHANUMERIC = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
remembered = lru_cache(maxsize=4096)
"""For functions that build a strategy from cached parts; the bound is for parts from callers."""

_PARTIES = ("TNM", "BEC", "ABC", "4EV", "E1X")


@cache
def moments(first: datetime = FIRST, last: datetime = LAST) -> st.SearchStrategy[datetime]:
    """Draw aware UTC timestamps in whole seconds; the first one is the simplest."""
    return st.integers(0, int((last - first).total_seconds())).map(lambda seconds: first + timedelta(seconds=seconds))


@remembered
def together(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Draw one of each, like ``st.tuples``."""
    return _together(parts)


@st.composite
def _together(draw: st.DrawFn, parts: tuple[st.SearchStrategy[Any], ...]) -> tuple[Any, ...]:
    return tuple([draw(part) for part in parts])


@cache
def amounts(most: int = 1000, places: int = 4) -> st.SearchStrategy[Decimal]:
    """Draw exact numbers from 0 to ``most`` with up to ``places`` decimals; whole ones are the simplest."""

    def amount(number: int) -> Decimal:
        if number <= most:
            return Decimal(number)
        digits, scale = divmod(number, places + 1)
        return Decimal(digits % (most * 10**scale + 1)).scaleb(-scale)

    return st.integers(0, (places + 1) * (most * 10**places + 1)).map(amount)


@cache
def identifiers(most: int) -> st.SearchStrategy[str]:
    """Draw printable ASCII ids of up to ``most`` characters: a number, a text, one of full length."""

    def identifier(number: int) -> str:
        rest, form = divmod(number, 3)
        if form == 0:
            return str(rest % (10 ** min(most, 5) - 1) + 1)
        if form == 1:
            return _in_letters(rest)[: min(most, 12)]
        return f"{rest % 9999 + 1:0{most}}"[:most]

    return st.integers(0, 3 * len(_ALPHANUMERIC) ** min(most, 8)).map(identifier)


def _in_letters(number: int) -> str:
    """Return a number to the base of the alphabet."""
    text = ""
    while number or not text:
        number, digit = divmod(number, len(_ALPHANUMERIC))
        text += _ALPHANUMERIC[digit]
    return text


@cache
def texts(most: int) -> st.SearchStrategy[str]:
    """Draw display text, sometimes non-ASCII, never blank, of up to ``most`` characters."""
    some = ("Gent Zuid", "Park & Charge", "Café de la Gare", "Münchner Straße", "Łódź", "充电站")
    letters = "ABÉñß中"
    return st.sampled_from([*(text[:most].strip() for text in some), *letters, *(letter * most for letter in letters)])


@cache
def urls(most: int = 255) -> st.SearchStrategy[str]:
    """Draw absolute https URLs of up to ``most`` characters."""
    host = "https://example.com/"
    some = ("https://www.example.org/ocpi/cpo", "https://example.com:8443/a/b.html?c=d")
    full = [host + letter * (most - len(host)) for letter in "abc"]
    return st.sampled_from([f"{host}1", *some, *full, *(f"{host}{number}" for number in range(2, 10))])


@cache
def evse_ids(country_code: str | None = None) -> st.SearchStrategy[str]:
    """Draw EVSE-IDs in the form of eMI3: country, operator, ``E``, the operator's own number."""
    countries = [country_code] if country_code else [place.country_code for place in PLACES]
    operators = st.sampled_from([f"{country}*{party}*E" for country in countries for party in _PARTIES])
    outlets = st.integers(1, 2 * 99999).map(lambda number: str(number) if number <= 99999 else f"{number:030}")
    return together(operators, outlets).map("".join)


@cache
def contract_ids() -> st.SearchStrategy[str]:
    """Draw contract ids of drivers (eMA-ID): country, provider, ``C`` and eight more; with or without dashes."""
    countries = [place.country_code for place in PLACES]
    providers = [f"{country}{dash}{party}{dash}C" for dash in ("", "-") for country in countries for party in _PARTIES]
    return together(st.sampled_from(providers), st.integers(1, 99_999_999).map("{:08}".format)).map("".join)


@cache
def party_ids() -> st.SearchStrategy[str]:
    """Draw three letters or digits."""
    return st.sampled_from(_PARTIES) | st.text(_LETTERS, min_size=3, max_size=3)


@cache
def coordinates(name: str, most: int) -> st.SearchStrategy[str]:
    """Draw latitudes or longitudes up to ``most``, as text with six decimals; towns first, then whole degrees."""
    towns = st.sampled_from([getattr(place, name) for place in PLACES])
    return (towns | st.integers(-most, most).map(lambda number: number * 10**6)).map(degrees)


def degrees(millionths: int) -> str:
    """Return a coordinate as written on the wire."""
    return f"{Decimal(millionths).scaleb(-6):.6f}"


@cache
def times_of_day() -> st.SearchStrategy[str]:
    """Draw ``HH:MM``."""
    return st.integers(0, 24 * 60 - 1).map(clock)


def clock(minutes: int) -> str:
    """Return minutes after midnight as ``HH:MM``."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


# --- by the name of the field ---------------------------------------------------------------------------------------

_Values = Callable[[int], st.SearchStrategy[str]]
"""Draws the usual content of a string field, given its maximum number of characters."""


def _of(*values: str) -> _Values:
    return lambda most: st.sampled_from([value for value in values if len(value) <= most])


_IDENTIFIERS = (
    "id uid location_id evse_uid connector_id session_id tariff_id evse_uids connector_ids meter_id token "
    "visual_number physical_reference"
)
_URLS = "url thumbnail website terms_and_conditions response_url tariff_alt_url"

SPECIAL: Mapping[str, _Values] = {
    "country": _of(*(place.country for place in PLACES)),
    "currency": _of(*CURRENCIES),
    "language": _of(*LANGUAGES),
    "time_zone": _of(*ZONES),
    "country_code": _of(*(place.country_code for place in PLACES)),
    "party_id": lambda _most: party_ids(),
    "auth_id": lambda _most: contract_ids(),
    "evse_id": lambda _most: evse_ids(),
    "latitude": lambda _most: coordinates("latitude", 90),
    "longitude": lambda _most: coordinates("longitude", 180),
    "start_date": _of("2015-06-29", "2019-02-28", "2024-02-29"),
    "end_date": _of("2024-12-31"),
    **dict.fromkeys(_URLS.split(), urls),
}
"""String fields whose text has a meaning: a longer text or another alphabet would break a semantic rule."""

NAMED: Mapping[str, _Values] = {
    **SPECIAL,
    **dict.fromkeys(_IDENTIFIERS.split(), identifiers),
    "city": _of(*(place.city for place in PLACES)),
    "postal_code": _of(*(place.postal_code for place in PLACES)),
    "address": _of(*(place.address for place in PLACES)),
    "floor_level": _of("1", "-1", "0", "P2"),
    "type": _of("jpeg", "png", "gif", "svg"),
    "issuer": _of("BeCharge", "TheNewMotion"),
    "supplier_name": _of("Greenpeace Energy eG", "EnergyOne"),
    "energy_product_name": _of("eco-power", "GreenEnergy"),
    "status_message": _of("Success", "Unknown token"),
}
"""String fields with a known likely text; every other field holds any text."""


def strings(node: inspect.StrType, name: str) -> st.SearchStrategy[str]:
    """Draw text for the field ``name``."""
    most = 100 if node.max_length is None else node.max_length
    return NAMED.get(name, texts)(most)


def integers(node: inspect.IntType) -> st.SearchStrategy[int]:
    """Draw integers from 1 on within the field's range; Hypothesis itself prefers the two ends."""
    least, most = 1 if node.ge is None else node.ge, 99999 if node.le is None else node.le
    return st.integers(int(max(least, 1)), int(most))


def scalars(node: inspect.Type, name: str, extra: inspect.Type | None = None) -> st.SearchStrategy[Any]:
    """Draw values of a scalar; ``extra`` is the node with its metadata, which may name a reading."""
    if reading(extra or node) == "time_of_day":
        return times_of_day()
    match node:
        case inspect.StrType():
            return strings(node, name)
        case inspect.IntType():
            return integers(node)
        case inspect.DecimalType():
            return amounts()
        case inspect.BoolType():
            return st.booleans()
        case inspect.DateTimeType():
            return moments()
        case inspect.EnumType(cls=cls):
            return st.sampled_from(list(cls))
        case inspect.RawType():
            return st.sampled_from((Raw(b"[]"), Raw(b"{}"), Raw(b'[{"id":"1"}]')))
    raise TypeError(f"no strategy for {node}")
