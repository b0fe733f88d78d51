"""types.md and transport_and_format.md: text, URLs, identifiers, dates and numbers, wherever they occur.

Rules of this module:
- the checked fields are data, which the tests compare with the specification's tables;
- a code that is too long was reported by the schema, and is not looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from ocpi_emsp.check.examples import broken
from ocpi_emsp.check.numbers import decimals
from ocpi_emsp.check.registry import NOTE, Chapter, Context, Hit
from ocpi_emsp.codec.iso639 import LANGUAGES
from ocpi_emsp.codec.iso4217 import CURRENCIES
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.rules import NOT_ASCII
from ocpi_emsp.models import (
    BusinessDetails,
    Cdr,
    CdrDimension,
    Connector,
    Credentials,
    DisplayText,
    Endpoint,
    EnergySource,
    EnvironmentalImpact,
    Evse,
    Image,
    Location,
    LocationReferences,
    PriceComponent,
    ReserveNow,
    Session,
    StartSession,
    StopSession,
    Tariff,
    TariffRestrictions,
    Token,
    UnlockConnector,
    Version,
)

TRANSPORT = Chapter("Transport and format", "transport_and_format.md")
TYPES = Chapter("Types", "types.md")

IDENTIFIERS: Mapping[type[Any], tuple[str, ...]] = {
    Location: ("id",),
    Evse: ("uid",),
    Connector: ("id", "tariff_id"),
    Session: ("id", "auth_id", "meter_id"),
    Cdr: ("id", "auth_id", "meter_id"),
    Tariff: ("id",),
    Token: ("uid", "auth_id"),
    LocationReferences: ("location_id", "evse_uids", "connector_ids"),
    ReserveNow: ("location_id", "evse_uid"),
    StartSession: ("location_id", "evse_uid"),
    StopSession: ("session_id",),
    UnlockConnector: ("location_id", "evse_uid", "connector_id"),
    Credentials: ("token",),
}
"""Text that systems compare and people do not read; ``evse_id``, ``party_id`` and codes have rules of their own."""

URLS: Mapping[type[Any], tuple[str, ...]] = {
    Image: ("url", "thumbnail"),
    BusinessDetails: ("website",),
    Connector: ("terms_and_conditions",),
    Tariff: ("tariff_alt_url",),
    Version: ("url",),
    Endpoint: ("url",),
    Credentials: ("url",),
    ReserveNow: ("response_url",),
    StartSession: ("response_url",),
    StopSession: ("response_url",),
    UnlockConnector: ("response_url",),
}
"""Fields of type URL (types.md 1.6)."""

API_URLS = (Version, Endpoint, Credentials, ReserveNow, StartSession, StopSession, UnlockConnector)
"""Models whose URL is called with a token."""

NUMBERS: Mapping[type[Any], tuple[str, ...]] = {
    EnergySource: ("percentage",),
    EnvironmentalImpact: ("amount",),
    Session: ("kwh", "total_cost"),
    CdrDimension: ("volume",),
    Cdr: ("total_cost", "total_energy", "total_time", "total_parking_time"),
    PriceComponent: ("price",),
    TariffRestrictions: ("min_kwh", "max_kwh", "min_power", "max_power"),
}
"""Fields of type number (types.md 1.4)."""

DATED = (Location, Evse, Connector, Session, Cdr, Tariff, Token)
"""Models with a ``last_updated``."""

_A_DAY = timedelta(days=1)
_MARKUP = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,15}(?:\s[^<>=]*=[^<>]*|\s*/?)>|<!--|&(?:#\d{1,7}|[A-Za-z]{2,10});")


def _values(value: Any, fields: Mapping[type[Any], tuple[str, ...]]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield place and value of each of these fields that is present, and of every item of a list."""
    named = next(fields[kind] for kind in type(value).__mro__ if kind in fields)  # UnreadRestrictions has a base class
    for name in named:
        found = getattr(value, name)
        if isinstance(found, tuple):
            for index, item in enumerate(found):
                yield (name, index), item
        elif found is not None:
            yield (name,), found


@TRANSPORT.rule(
    "url.https",
    "An API URL does not use https; OCPI interfaces are protected by SSL.",
    broken(Endpoint, url="http://cpo.example.com/ocpi/2.1.1/locations"),
    *API_URLS,
    severity=NOTE,
    clause="transport_and_format.md#security-and-authentication",
)
def url_https(value: Any) -> Iterator[Hit]:
    for path, url in _values(value, URLS):
        if url[:5].lower() == "http:":
            yield path, f"{shown(url)} does not use https"


@TRANSPORT.rule(
    "identifier.empty",
    "An identifier is empty, so the object cannot be addressed by URL.",
    broken(Location, id=""),
    *IDENTIFIERS,
    clause="transport_and_format.md#client-owned-object-push",
)
def identifier_empty(value: Any) -> Iterator[Hit]:
    for path, text in _values(value, IDENTIFIERS):
        if not text.strip():
            yield path, "the identifier is empty"


@TYPES.rule(
    "last_updated.future",
    "last_updated is more than one day in the future.",
    broken(Tariff, last_updated="9998-12-31T00:00:00Z"),
    *DATED,
    clause="",
    with_context=True,
)
def last_updated_future(value: Any, context: Context) -> Iterator[Hit]:
    if value.last_updated - context.now > _A_DAY:
        yield ("last_updated",), f"{value.last_updated:%Y-%m-%dT%H:%M:%SZ} is in the future"


@TYPES.rule(
    "language.unknown", "The language is not an ISO 639-1 code.", broken(DisplayText, language="xx"), DisplayText, Token
)
def language_unknown(value: DisplayText | Token) -> Iterator[Hit]:
    language = value.language
    if language is not None and len(language) <= 2 and language.lower() not in LANGUAGES:
        yield ("language",), f"{shown(language)} is not an ISO 639-1 language code"


@TYPES.rule(
    "text.markup", "A display text contains markup, which is not allowed.", broken(DisplayText, text="<b>Welcome</b>")
)
def text_markup(value: DisplayText) -> Iterator[Hit]:
    if _MARKUP.search(value.text):
        yield ("text",), f"{shown(value.text)} contains markup"


@TYPES.rule(
    "number.decimals",
    "A number has more than four decimals.",
    broken(Session, total_cost=Decimal("8.50001")),
    *NUMBERS,
    severity=NOTE,
    clause="types.md#14-number-type",
)
def number_decimals(value: Any) -> Iterator[Hit]:
    for path, number in _values(value, NUMBERS):
        if decimals(number) > 4:
            yield path, f"{shown(number)} has more than four decimals"


@TYPES.rule(
    "identifier.ascii",
    "An identifier contains characters outside printable ASCII.",
    broken(Tariff, id="\u20ac12"),
    *IDENTIFIERS,
    clause="types.md#15-string-type",
    hides=NOT_ASCII.id,
)
def identifier_ascii(value: Any) -> Iterator[Hit]:
    for path, text in _values(value, IDENTIFIERS):
        if not text.isascii() or not text.isprintable():
            quoted = "the token" if path == ("token",) else shown(text)
            yield path, f"the identifier {quoted} contains characters outside printable ASCII"


@TYPES.rule(
    "url.form",
    "A URL is not an absolute http or https URL without spaces.",
    broken(BusinessDetails, website="www.example.com"),
    *URLS,
    clause="types.md#16-url-type",
)
def url_form(value: Any) -> Iterator[Hit]:
    for path, url in _values(value, URLS):
        if not _is_url(url):
            yield path, f"{shown(url)} is not an absolute http or https URL"


def _is_url(text: str) -> bool:
    if any(character.isspace() or character in '<>"' for character in text) or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


@TYPES.rule(
    "currency.unknown",
    "The currency is not an active ISO 4217 code.",
    broken(Tariff, currency="EU"),
    Session,
    Cdr,
    Tariff,
    clause="",
)
def currency_unknown(value: Session | Cdr | Tariff) -> Iterator[Hit]:
    if len(value.currency) <= 3 and value.currency not in CURRENCIES:
        known = f": expected {shown(value.currency.upper())}" if value.currency.upper() in CURRENCIES else ""
        yield ("currency",), f"{shown(value.currency)} is not an ISO 4217 currency code{known}"
