"""The vectors of tests/vectors/pricing: CDRs in short form, with the amount that was reckoned by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "vectors" / "pricing"
USED = "2024-01-01T00:00:00Z"
CENT = Decimal("0.01")


def vectors() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every vector with its file's name before its own."""
    for file in sorted(FOLDER.glob("*.json")):
        for each in json.loads(file.read_text(encoding="utf-8"), parse_float=Decimal):
            yield f"{file.stem}: {each['name']}", each


def cdr(vector: Mapping[str, Any]) -> dict[str, Any]:
    """The whole CDR of a vector; numbers are Decimals and ints."""
    start, stop = vector["session"]
    periods = [{"start_date_time": moment, "dimensions": _dimensions(given)} for moment, given in vector["periods"]]
    sums = {name: _sum(periods, name) for name in ("ENERGY", "PARKING_TIME")}
    length = datetime.fromisoformat(stop) - datetime.fromisoformat(start)
    document: dict[str, Any] = {
        "id": "CDR1",
        "start_date_time": start,
        "stop_date_time": stop,
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "WHITELIST",
        "location": _location(vector, start),
        "currency": vector.get("currency", "EUR"),
        "tariffs": [
            {**_tariff(name, elements, vector), **vector.get("tariff_patch", {})}
            for name, elements in vector.get("tariffs", {"T1": vector.get("elements")}).items()
        ],
        "charging_periods": periods,
        "total_cost": claimed(vector),
        "total_energy": sums["ENERGY"],
        "total_time": max(Decimal(0), hours(int(length.total_seconds()))),
        "last_updated": max(stop, start),
    }
    if sums["PARKING_TIME"]:
        document["total_parking_time"] = sums["PARKING_TIME"]
    document.update(vector.get("patch", {}))
    return document


def given(vector: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tariffs that are known beside those of the CDR."""
    updated = vector.get("given_updated", USED)
    return [_tariff(name, each, vector, updated) for name, each in vector.get("given", {}).items()]


def claimed(vector: Mapping[str, Any]) -> Decimal:
    """The total of the CDR: what the vector says, else the expected amount in cents, else the middle of its bounds."""
    if "claimed" in vector:
        return Decimal(vector["claimed"])
    amount = amounts(vector)[0]
    assert amount is not None
    if "expected" not in vector:
        high = amounts(vector)[1]
        assert high is not None
        amount = (amount + high) / 2
    return decimal(amount).quantize(CENT, ROUND_HALF_UP)


def amounts(vector: Mapping[str, Any]) -> tuple[Fraction | None, Fraction | None]:
    """The bounds of what the CDR costs; equal where the amount is certain, None for no bound."""
    low, high = (vector.get(name, vector.get("expected")) for name in ("low", "high"))
    if "high" in vector and vector["high"] is None:
        high = None
    return (None if low is None else Fraction(low)), (None if high is None else Fraction(high))


def verdict(vector: Mapping[str, Any]) -> str:
    """What the audit must say."""
    return str(vector.get("verdict", "right" if "expected" in vector else "undecidable"))


def decimal(number: Fraction) -> Decimal:
    """A fraction to as many digits as a Decimal has."""
    return Decimal(number.numerator) / Decimal(number.denominator)


def hours(seconds: int) -> Decimal:
    """Hours with four decimals, as CPOs write them."""
    return (Decimal(seconds) / 3600).quantize(Decimal("0.0001"))


def _dimensions(given: Any) -> list[dict[str, Any]]:
    pairs = given.items() if isinstance(given, Mapping) else given
    return [{"type": name, "volume": _volume(value)} for name, value in pairs]


def _volume(value: Any) -> Decimal:
    return hours(int(value.removesuffix(" min")) * 60) if isinstance(value, str) else Decimal(value)


def _sum(periods: list[dict[str, Any]], name: str) -> Decimal:
    volumes = [one["volume"] for each in periods for one in each["dimensions"] if one["type"] == name]
    return sum(volumes, Decimal(0))


def _location(vector: Mapping[str, Any], start: str) -> dict[str, Any]:
    connector = {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": "AC_1_PHASE",
        "voltage": 230,
        "amperage": 32,
        "last_updated": start,
    }
    evse = {"uid": "3256", "evse_id": "BE*BEC*E041503001", "status": "AVAILABLE", "last_updated": start}
    location = {
        "id": "LOC1",
        "type": "ON_STREET",
        "name": "Gent Zuid",
        "address": "F.Rooseveltlaan 3A",
        "city": "Gent",
        "postal_code": "9000",
        "country": vector.get("country", "GBR"),
        "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
        "evses": [{**evse, "connectors": [{**connector, **vector.get("connector", {})}]}],
        "last_updated": start,
    }
    zone = vector.get("zone", "Europe/London")
    return location if zone is None else {**location, "time_zone": zone}


def _tariff(name: str, elements: Any, vector: Mapping[str, Any], updated: str = USED) -> dict[str, Any]:
    currency = vector.get("currency", "EUR")
    return {
        "id": name,
        "currency": currency,
        "elements": [_element(each) for each in elements],
        "last_updated": updated,
    }


def _element(short: Mapping[str, Any]) -> dict[str, Any]:
    listed = short.get("components") or [[name, *pair] for name, pair in short.items() if name != "if"]
    components = [{"type": name, "price": price, "step_size": step} for name, price, step in listed]
    return {"price_components": components} | ({"restrictions": short["if"]} if "if" in short else {})
