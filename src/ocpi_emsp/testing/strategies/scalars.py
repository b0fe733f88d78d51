"""Values of the wire's scalar types, as a partner has them.

Rules of this module:
- a value keeps the constraints of its annotation, which are read from the annotation; a field's name only says which
  of the possible values is a likely one (a city for ``city``);
- the simplest value comes first: a short number for an id, the specification's own example for a place;
- a strategy is built once: Hypothesis looks through every new one when it is first drawn from;
- the boundaries of a length are hit: a text of one character and one of exactly as many as the field allows;
- a scalar is one choice where it can be: Hypothesis shrinks choice by choice. ``st.builds`` and ``st.tuples`` are not
  used: after a failure, Hypothesis draws hundreds of new values for each of their parts, to comment on them.
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
"""When everything happens: from the specification's example until before the day this was written."""
_SECONDS = int((LAST - FIRST).total_seconds())

_ALPHANUMERIC = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
remembered = lru_cache(maxsize=4096)
"""For what builds a strategy of parts that are remembered themselves; the bound is for those of callers."""

_PARTIES = ("TNM", "BEC", "ABC", "4EV", "E1X")


@cache
def moments(first: datetime = FIRST, last: datetime = LAST) -> st.SearchStrategy[datetime]:
    """Aware UTC timestamps in whole seconds; the first one is the simplest."""
    return st.integers(0, int((last - first).total_seconds())).map(lambda seconds: first + timedelta(seconds=seconds))


@remembered
def together(*parts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """One of each, as ``st.tuples`` draws them."""
    return _together(parts)


@st.composite
def _together(draw: st.DrawFn, parts: tuple[st.SearchStrategy[Any], ...]) -> tuple[Any, ...]:
    return tuple([draw(part) for part in parts])


@cache
def amounts(most: int = 1000, places: int = 4) -> st.SearchStrategy[Decimal]:
    """Exact numbers from 0 to ``most`` with up to ``places`` decimals; whole ones are the simplest."""

    def amount(number: int) -> Decimal:
        if number <= most:
            return Decimal(number)
        digits, scale = divmod(number, places + 1)
        return Decimal(digits % (most * 10**scale + 1)).scaleb(-scale)

    return st.integers(0, (places + 1) * (most * 10**places + 1)).map(amount)


@cache
def identifiers(most: int) -> st.SearchStrategy[str]:
    """Printable ASCII that a partner uses as an id, of up to ``most`` characters: a number, a text, a full one."""

    def identifier(number: int) -> str:
        rest, form = divmod(number, 3)
        if form == 0:
            return str(rest % (10 ** min(most, 5) - 1) + 1)
        if form == 1:
            return _in_letters(rest)[: min(most, 12)]
        return f"{rest % 9999 + 1:0{most}}"[:most]

    return st.integers(0, 3 * len(_ALPHANUMERIC) ** min(most, 8)).map(identifier)


def _in_letters(number: int) -> str:
    """A number to the base of the alphabet."""
    text = ""
    while number or not text:
        number, digit = divmod(number, len(_ALPHANUMERIC))
        text += _ALPHANUMERIC[digit]
    return text


@cache
def texts(most: int) -> st.SearchStrategy[str]:
    """Text to be shown, non-ASCII at times, never blank, of up to ``most`` characters."""
    some = ("Gent Zuid", "Park & Charge", "Café de la Gare", "Münchner Straße", "Łódź", "充电站")
    letters = "ABÉñß中"
    return st.sampled_from([*(text[:most].strip() for text in some), *letters, *(letter * most for letter in letters)])


@cache
def urls(most: int = 255) -> st.SearchStrategy[str]:
    """Absolute https URLs of up to ``most`` characters."""
    host = "https://example.com/"
    some = ("https://www.example.org/ocpi/cpo", "https://example.com:8443/a/b.html?c=d")
    full = [host + letter * (most - len(host)) for letter in "abc"]
    return st.sampled_from([f"{host}1", *some, *full, *(f"{host}{number}" for number in range(2, 10))])


@cache
def evse_ids(country_code: str | None = None) -> st.SearchStrategy[str]:
    """EVSE-IDs in the form of eMI3: country, operator, ``E``, a number of the operator's own."""
    countries = [country_code] if country_code else [place.country_code for place in PLACES]
    operators = st.sampled_from([f"{country}*{party}*E" for country in countries for party in _PARTIES])
    outlets = st.integers(1, 2 * 99999).map(lambda number: str(number) if number <= 99999 else f"{number:030}")
    return together(operators, outlets).map("".join)


@cache
def contract_ids() -> st.SearchStrategy[str]:
    """Contract ids of drivers (eMA-ID): country, provider, ``C`` and eight more; dashes between them or none."""
    countries = [place.country_code for place in PLACES]
    providers = [f"{country}{dash}{party}{dash}C" for dash in ("", "-") for country in countries for party in _PARTIES]
    return together(st.sampled_from(providers), st.integers(1, 99_999_999).map("{:08}".format)).map("".join)


@cache
def party_ids() -> st.SearchStrategy[str]:
    """Three letters or digits."""
    return st.sampled_from(_PARTIES) | st.text(_LETTERS, min_size=3, max_size=3)


@cache
def coordinates(name: str, most: int) -> st.SearchStrategy[str]:
    """Latitudes or longitudes up to ``most``, as text with six decimals; towns first, then whole degrees."""
    towns = st.sampled_from([getattr(place, name) for place in PLACES])
    return (towns | st.integers(-most, most).map(lambda number: number * 10**6)).map(degrees)


def degrees(millionths: int) -> str:
    """A coordinate as the wire has it."""
    return f"{Decimal(millionths).scaleb(-6):.6f}"


@cache
def times_of_day() -> st.SearchStrategy[str]:
    """``HH:MM``."""
    return st.integers(0, 24 * 60 - 1).map(clock)


def clock(minutes: int) -> str:
    """Minutes after midnight as ``HH:MM``."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


# --- by the name of the field ---------------------------------------------------------------------------------------

_Values = Callable[[int], st.SearchStrategy[str]]
"""What a string field usually holds, by the most characters it allows."""


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
"""String fields whose text means something: a longer text or another alphabet would break a semantic rule."""

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
"""String fields for which a likely text is known; every other one holds any text."""


def strings(node: inspect.StrType, name: str) -> st.SearchStrategy[str]:
    """Text for the field ``name``."""
    most = 100 if node.max_length is None else node.max_length
    return NAMED.get(name, texts)(most)


def integers(node: inspect.IntType) -> st.SearchStrategy[int]:
    """Integers from 1 on within the field's range; Hypothesis itself likes the two ends."""
    least, most = 1 if node.ge is None else node.ge, 99999 if node.le is None else node.le
    return st.integers(int(max(least, 1)), int(most))


def scalars(node: inspect.Type, name: str, extra: inspect.Type | None = None) -> st.SearchStrategy[Any]:
    """Values of a scalar; ``extra`` is the node with its metadata, which may name a reading."""
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
