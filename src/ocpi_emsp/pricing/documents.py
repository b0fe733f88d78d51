"""Audit and quote of documents: bytes, text, parsed JSON or a model.

Rules of this module:
- a document is read permissively, as by :func:`ocpi_emsp.decode`; one that is unusable or not JSON raises
  InvalidObject;
- members unknown to 2.1.1 that concern money are ignored and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from attrs import evolve, fields_dict

from ocpi_emsp.codec import decode, parse
from ocpi_emsp.codec.documents import dumped
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import pointer
from ocpi_emsp.models import (
    Cdr,
    ChargingPeriod,
    Location,
    PriceComponent,
    Tariff,
    TariffElement,
    TariffRestrictions,
)
from ocpi_emsp.pricing.plausibility import Amounts, suspicions
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.result import Audit, Plan, Quote
from ocpi_emsp.pricing.session.zones import require_zone
from ocpi_emsp.pricing.verdict.estimate import estimate
from ocpi_emsp.pricing.verdict.judge import judge
from ocpi_emsp.scalars import given

T = TypeVar("T")
Document: TypeAlias = bytes | bytearray | memoryview | str | Mapping[str, Any]
"""An object of OCPI as JSON, or as parsed JSON."""

_DEFAULT: Final = Readings()


def audit(
    cdr: Cdr | Document,
    *,
    tariffs: Iterable[Tariff | Document] = (),
    location: Location | Document | None = None,
    readings: Readings = _DEFAULT,
    time_zone: str | None = None,
) -> Audit:
    """Audit a CDR: does its total follow from its tariff, line by line?

    ``tariffs`` are used if the CDR has none, as stored tariffs are; ``location`` is the one that the party published;
    ``time_zone`` is the IANA name of the party's zone. Works without an Emsp.
    Raises InvalidObject with findings for an unusable document; TypeError or ValueError for an invalid argument.
    """
    _require_readings(readings)
    require_zone(time_zone)
    document, notes = _read(Cdr, cdr, "cdr")
    others = list[Tariff]()
    for each in _several(tariffs):
        tariff, more = _read(Tariff, each, "tariffs")
        others.append(tariff)
        notes += [f"{note} (tariff {tariff.id})" for note in more]
    place = None if location is None else _read(Location, location, "location")[0]
    found = judge(document, tariffs=others, location=place, readings=readings, time_zone=time_zone, notes=notes)
    suspicious = suspicions(document, Amounts(found.low, found.high))
    return evolve(found, reasons=(*found.reasons, *suspicious)) if suspicious else found


def quote(
    tariff: Tariff | Document,
    plan: Plan,
    *,
    location: Location | Document | None = None,
    readings: Readings = _DEFAULT,
    time_zone: str | None = None,
) -> Quote:
    """Return what a charge would cost under a tariff, before a driver starts.

    ``location`` determines the zone and the connector; ``time_zone`` is the IANA name of the party's zone.
    Raises InvalidObject with findings for an unusable document; TypeError or ValueError for an invalid argument.
    """
    _require_readings(readings)
    require_zone(time_zone)
    if not isinstance(plan, Plan):
        raise TypeError(
            f"invalid plan '{given(plan)}': expected a Plan, for example Plan(start=datetime.now(UTC), ...)"
        )
    document, notes = _read(Tariff, tariff, "tariff")
    place = None if location is None else _read(Location, location, "location")[0]
    return estimate(document, plan, location=place, readings=readings, time_zone=time_zone, notes=notes)


def _require_readings(readings: object) -> None:
    if not isinstance(readings, Readings):
        raise TypeError(f"invalid readings '{given(readings)}': expected Readings, for example Readings(step='none')")


def _several(tariffs: object) -> Iterable[Any]:
    if isinstance(tariffs, Tariff | bytes | bytearray | memoryview | str | Mapping) or not isinstance(
        tariffs, Iterable
    ):
        raise TypeError(f"invalid tariffs '{_short(tariffs)}': expected a list of tariffs, for example [tariff]")
    return tariffs


def _short(value: object) -> str:
    return value[:64] if isinstance(value, str) else given(value)


def _read(kind: type[T], document: object, name: str) -> tuple[T, list[str]]:
    """Return the model, and a sentence for each ignored member."""
    if isinstance(document, kind):
        return document, []
    if not isinstance(document, bytes | bytearray | memoryview | str | Mapping):
        expected = f"expected bytes, text, a dict or a {kind.__name__}"
        raise TypeError(f"invalid {name} '{given(document)}': {expected}")
    try:
        data = _bytes(document)
        return decode(kind, data), list(unregarded(kind, data))
    except NotJson as error:
        raise InvalidObject(f"{kind.__name__} is not usable: {error.message}") from None


def _bytes(document: bytes | bytearray | memoryview | str | Mapping[str, Any]) -> bytes:
    if isinstance(document, str):
        try:
            return document.encode()
        except UnicodeEncodeError as error:
            raise NotJson(f"invalid UTF-8: {error.reason} at character {error.start}") from None
    return dumped(dict(document)) if isinstance(document, Mapping) else bytes(document)


# --- members of OCPI 2.2 or of a hub --------------------------------------------------------------------------------

_HINTS: Final = (
    b'vat"', b"tax", b"fee", b"_price", b"round", b"discount", b"credit", b"amount", b"_current", b"reservation",
    b"compensation", b"\\u",
)  # fmt: skip
"""Parts of the names of such members; searched in the bytes, so that nearly no document is read twice."""
_MONEY: Final = re.compile(
    r"cost|price|discount|credit|amount|reservation|compensation|(^|_)(vat|tax|fees?|round)|^(min|max)_"
    r"|^(start|end)_date_time$"
)
_PARTS: Final[Mapping[type[Any], tuple[tuple[str, type[Any]], ...]]] = {
    Cdr: (("tariffs", Tariff), ("charging_periods", ChargingPeriod)),
    Tariff: (("elements", TariffElement),),
    TariffElement: (("price_components", PriceComponent), ("restrictions", TariffRestrictions)),
}
"""Parts of a document in which such members are searched."""
_OTHER_NAMES: Final[Mapping[type[Any], frozenset[str]]] = {
    Cdr: frozenset({"end_date_time"}),  # it is read as stop_date_time
}
_MOST: Final = 20
"""Members that are reported at most."""


def unregarded(kind: type[Any], data: bytes) -> Iterator[str]:
    """Yield a sentence for each member of a CDR or tariff that concerns money and is unknown to 2.1.1.

    The document must have been read before.
    """
    if kind is Location or not (_hinted(data) or _is_dated(kind, data)):
        return
    for path, value in islice(_unknown(kind, parse(data), ()), _MOST):
        amount = f" ({value})" if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""
        how = " and may apply or not" if "restrictions" in path else " and was not regarded"
        yield f"{pointer(path)} is not of OCPI 2.1.1{how}{amount}"


def _hinted(data: bytes) -> bool:
    return data.count(b"_cost") > 1 or any(each in data for each in _HINTS)


def _is_dated(kind: type[Any], data: bytes) -> bool:
    """Return True if a tariff may have its own start or end; a CDR has one start, and one for each period."""
    if kind is Tariff:
        return b"_date_time" in data
    if b'"tariffs"' not in data:
        return False
    return b'"end_date_time"' in data or data.count(b'"start_date_time"') > 1 + data.count(b'"dimensions"')


def _unknown(
    kind: type[Any], document: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield place and value of each member that concerns money and is unknown to 2.1.1."""
    if isinstance(document, list):
        for index, each in enumerate(document):
            yield from _unknown(kind, each, (*path, index))
        return
    if not isinstance(document, dict):
        return
    known = fields_dict(kind)
    for name, value in document.items():
        if name not in known and value is not None and name not in _OTHER_NAMES.get(kind, ()) and _MONEY.search(name):
            yield (*path, name), value
        elif name == "total_cost" and isinstance(value, dict):
            yield from (((*path, name, each), value[each]) for each in value if each != "excl_vat")
    for name, part in _PARTS.get(kind, ()):
        yield from _unknown(part, document.get(name), (*path, name))
