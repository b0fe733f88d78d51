"""CDRs and tariffs for the tests of the doors, as parsed JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

START, STOP = "2024-03-05T16:00:00Z", "2024-03-05T17:00:00Z"
_JSON = msgspec.json.Encoder(decimal_format="number")


def as_bytes(document: Any) -> bytes:
    """The JSON of a document, decimals as numbers."""
    return _JSON.encode(document)


def tariff(*elements: Any, **members: Any) -> dict[str, Any]:
    """A tariff; each element is its price components, or a pair of these and restrictions."""
    return {
        "id": "T1",
        "currency": "EUR",
        "elements": [_element(each) for each in elements or ([price("ENERGY", "0.30")],)],
        "last_updated": "2024-01-01T00:00:00Z",
        **members,
    }


def price(kind: str, amount: Decimal | str | int, step_size: int = 1, **members: Any) -> dict[str, Any]:
    """A price component."""
    return {"type": kind, "price": Decimal(amount), "step_size": step_size, **members}


def _element(given: Any) -> dict[str, Any]:
    components, restrictions = given if isinstance(given, tuple) else (given, None)
    return {"price_components": components} | ({"restrictions": restrictions} if restrictions else {})


def period(start: str = START, **volumes: str | int) -> dict[str, Any]:
    """A charging period: ENERGY in kWh, times in hours."""
    dimensions = [{"type": name, "volume": Decimal(volume)} for name, volume in volumes.items()]
    return {"start_date_time": start, "dimensions": dimensions}


def location(**members: Any) -> dict[str, Any]:
    """A location with one connector; a member that is ... is left out."""
    connector = {
        "id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE", "voltage": 230,
        "amperage": 32, "last_updated": START,
    }  # fmt: skip
    connector |= members.pop("connector", {})
    evse = {"uid": "3256", "status": "AVAILABLE", "connectors": [connector], "last_updated": START}
    found = {
        "id": "LOC1", "type": "ON_STREET", "address": "F.Rooseveltlaan 3A", "city": "Gent", "postal_code": "9000",
        "country": "BEL", "coordinates": {"latitude": "51.047599", "longitude": "3.729944"}, "evses": [evse],
        "time_zone": "Europe/Brussels", "last_updated": START,
    }  # fmt: skip
    return {name: value for name, value in (found | members).items() if value is not ...}


def cdr(total: Decimal | str | int, *tariffs: Any, **members: Any) -> dict[str, Any]:
    """A CDR of 10 kWh in an hour; with a tariff of 0.30 per kWh if none is given."""
    found = {
        "id": "CDR1",
        "start_date_time": START,
        "stop_date_time": STOP,
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "WHITELIST",
        "location": location(),
        "currency": "EUR",
        "tariffs": list(tariffs or [tariff()]),
        "charging_periods": [period(ENERGY=10, TIME=1)],
        "total_cost": Decimal(total),
        "total_energy": 10,
        "total_time": 1,
        "last_updated": STOP,
    }
    return {name: value for name, value in (found | members).items() if value is not ...}
