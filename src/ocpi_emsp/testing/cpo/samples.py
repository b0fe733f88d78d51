"""Sample documents that are valid by the tables of OCPI 2.1.1.

Rules obeyed: `country` is ISO 3166-1 alpha-3 and coordinates are text with six decimals (mod_locations.md 3.1,
4.12); an updated EVSE or connector also updates its parents' `last_updated` (2.1.1 there); a session and a CDR hold
only the EVSE and the connector that were used (mod_sessions.md 3.1, mod_cdrs.md 3.1); a CDR has an id of its own;
energy is in kWh and time in hours (mod_cdrs.md 4.3); prices exclude VAT (mod_tariffs.md 4.2).

Every function returns a new plain document; change it with `{**location("LOC1"), "name": "Other"}`. Equal arguments
give equal documents. `index` only varies the content.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from attrs import frozen

from ocpi_emsp.testing.cpo.wire import Document, parse_timestamp, timestamp

BASE: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""The time of the first generated document."""
CHARGING: Final = timedelta(minutes=60)
PARKING: Final = timedelta(minutes=15)
ENERGY_PRICE: Final = Decimal("0.30")
PARKING_PRICE: Final = Decimal("2.00")

_CENT: Final = Decimal("0.01")
_FOUR_DECIMALS: Final = Decimal("0.0001")


@frozen
class Place:
    """A place for a location; coordinates in millionths of a degree."""

    city: str
    postal_code: str
    street: str
    country: str
    time_zone: str
    latitude: int
    longitude: int


PLACES: Final[dict[str, tuple[Place, ...]]] = {
    "NL": (
        Place("Amsterdam", "1012 AB", "Stationsplein", "NLD", "Europe/Amsterdam", 52378900, 4900500),
        Place("Utrecht", "3511 CE", "Vredenburg", "NLD", "Europe/Amsterdam", 52092900, 5113600),
        Place("Rotterdam", "3012 KA", "Coolsingel", "NLD", "Europe/Amsterdam", 51921700, 4481100),
    ),
    "BE": (
        Place("Gent", "9000", "F.Rooseveltlaan", "BEL", "Europe/Brussels", 51047599, 3729944),
        Place("Antwerpen", "2000", "Meir", "BEL", "Europe/Brussels", 51217900, 4409100),
    ),
    "DE": (
        Place("Berlin", "10557", "Europaplatz", "DEU", "Europe/Berlin", 52525100, 13369400),
        Place("Hamburg", "20095", "Hachmannplatz", "DEU", "Europe/Berlin", 53552700, 10006600),
    ),
    "FR": (Place("Lille", "59000", "Rue Faidherbe", "FRA", "Europe/Paris", 50636600, 3069600),),
}
"""By the party's country_code; a party of another country gets the places of "NL"."""

_LOCATION_TYPES = ("ON_STREET", "PARKING_GARAGE", "PARKING_LOT", "UNDERGROUND_GARAGE")
_STATUSES = ("AVAILABLE", "CHARGING", "AVAILABLE", "RESERVED")
_ALWAYS_OPEN: Final[Document] = {"twentyfourseven": True}


def _degrees(millionths: int) -> str:
    sign = "-" if millionths < 0 else ""
    return f"{sign}{abs(millionths) // 10**6}.{abs(millionths) % 10**6:06d}"


def coordinates(place: Place, index: int) -> Document:
    """Return coordinates near the place, another point for every index."""
    north, east = divmod(index % 10_000, 100)
    return {
        "latitude": _degrees(place.latitude + 250 * north),
        "longitude": _degrees(place.longitude + 250 * east),
    }


def _weekdays() -> Document:
    """Return regular hours without `twentyfourseven`: the table allows one of the two (mod_locations.md 4.13)."""
    days = [{"weekday": day, "period_begin": "08:00", "period_end": "20:00"} for day in range(1, 6)]
    return {"regular_hours": days}


def connector(
    connector_id: str = "1", *, index: int = 0, tariff_id: str | None = "TAR1", last_updated: datetime = BASE
) -> Document:
    """Return a Connector: 22 kW AC for an even index, 50 kW DC for an odd one."""
    direct = index % 2 == 1
    document: Document = {
        "id": connector_id,
        "standard": "IEC_62196_T2_COMBO" if direct else "IEC_62196_T2",
        "format": "CABLE" if direct else "SOCKET",
        "power_type": "DC" if direct else "AC_3_PHASE",
        "voltage": 400 if direct else 230,
        "amperage": 125 if direct else 32,
    }
    if tariff_id is not None:
        document["tariff_id"] = tariff_id
    return document | {"last_updated": timestamp(last_updated)}


def evse(
    uid: str = "LOC1-E1",
    *,
    evse_id: str = "NL*TNM*E000001*1",
    index: int = 0,
    status: str | None = None,
    tariff_id: str | None = "TAR1",
    last_updated: datetime = BASE,
) -> Document:
    """Return an EVSE with one connector; its status depends on `index` unless given."""
    return {
        "uid": uid,
        "evse_id": evse_id,
        "status": status or _STATUSES[index % len(_STATUSES)],
        "capabilities": ["REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER", "UNLOCK_CAPABLE"],
        "connectors": [connector(index=index, tariff_id=tariff_id, last_updated=last_updated)],
        "floor_level": str(-(index % 3)),
        "physical_reference": str(index + 1),
        "parking_restrictions": ["EV_ONLY"],
        "last_updated": timestamp(last_updated),
    }


def location(
    location_id: str = "LOC1",
    *,
    evses: int = 2,
    index: int = 0,
    country_code: str = "NL",
    party_id: str = "TNM",
    operator: str = "The New Motion",
    tariff_ids: Sequence[str] = ("TAR1",),
    last_updated: datetime = BASE,
) -> Document:
    """Return a Location with `evses` EVSEs, named `{location_id}-E1` and so on."""
    places = PLACES.get(country_code, PLACES["NL"])
    place = places[index % len(places)]
    return {
        "id": location_id,
        "type": _LOCATION_TYPES[index % len(_LOCATION_TYPES)],
        "name": f"{place.city} {index + 1}",
        "address": f"{place.street} {index % 200 + 1}",
        "city": place.city,
        "postal_code": place.postal_code,
        "country": place.country,
        "coordinates": coordinates(place, index),
        "evses": [
            evse(
                f"{location_id}-E{number + 1}",
                evse_id=f"{country_code}*{party_id}*E{index + 1:06d}*{number + 1}",
                index=index + number,
                tariff_id=tariff_ids[(index + number) % len(tariff_ids)] if tariff_ids else None,
                last_updated=last_updated,
            )
            for number in range(evses)
        ],
        "directions": [{"language": "en", "text": f"Enter from {place.street}."}],
        "operator": {"name": operator},
        "facilities": ["WIFI"],
        "time_zone": place.time_zone,
        "opening_times": _ALWAYS_OPEN.copy() if index % 2 == 0 else _weekdays(),
        "charging_when_closed": True,
        "energy_mix": {
            "is_green_energy": False,
            "energy_sources": [
                {"source": "WIND", "percentage": Decimal("60.5")},
                {"source": "GAS", "percentage": Decimal("39.5")},
            ],
        },
        "last_updated": timestamp(last_updated),
    }


def relevant(at: Document, evse_uid: str | None = None) -> Document:
    """Return the location `at` with only one EVSE (the first unless given) and its first connector."""
    used = next(each for each in at["evses"] if evse_uid is None or each["uid"] == evse_uid)
    return at | {"evses": [used | {"connectors": used["connectors"][:1]}]}


def tariff(
    tariff_id: str = "TAR1",
    *,
    currency: str = "EUR",
    energy_price: Decimal = ENERGY_PRICE,
    parking_price: Decimal = PARKING_PRICE,
    last_updated: datetime = BASE,
) -> Document:
    """Return a Tariff: a price per kWh and one per hour of parking; higher from 150 kW upwards."""
    energy = {"type": "ENERGY", "price": energy_price, "step_size": 1}
    parking = {"type": "PARKING_TIME", "price": parking_price, "step_size": 300}
    fast = {"type": "ENERGY", "price": energy_price + Decimal("0.20"), "step_size": 1}
    return {
        "id": tariff_id,
        "currency": currency,
        "tariff_alt_text": [
            {"language": "en", "text": f"{energy_price} {currency} per kWh, parking {parking_price} per hour"}
        ],
        "elements": [
            {"price_components": [fast, parking.copy()], "restrictions": {"min_power": Decimal("150.00")}},
            {"price_components": [energy, parking]},
        ],
        "last_updated": timestamp(last_updated),
    }


def prices(of: Document | None) -> tuple[Decimal, Decimal]:
    """Return the prices of energy and parking in the last element, the one without restrictions."""
    if of is None:
        return ENERGY_PRICE, PARKING_PRICE
    prices = {part["type"]: Decimal(part["price"]) for part in of["elements"][-1]["price_components"]}
    return prices["ENERGY"], prices["PARKING_TIME"]


def _hours(duration: timedelta) -> Decimal:
    return (Decimal(int(duration.total_seconds())) / 3600).quantize(_FOUR_DECIMALS)


def session(
    session_id: str = "SES1",
    *,
    at: Document | None = None,
    auth_id: str = "DE8ACC12E46L89",
    auth_method: str = "WHITELIST",
    start: datetime = BASE,
    kwh: Decimal = Decimal("12.5000"),
    tariff: Document | None = None,
    status: str = "COMPLETED",
) -> Document:
    """Return a Session: an hour of charging and, when COMPLETED, a quarter of an hour of parking after it.

    `at` is the location with only the EVSE used (see `relevant`); the costs follow `tariff`.
    """
    energy_price, parking_price = prices(tariff)
    parked, stop = start + CHARGING, start + CHARGING + PARKING
    completed = status == "COMPLETED"
    cost = kwh * energy_price + (_hours(PARKING) * parking_price if completed else 0)
    periods = [_period(start, ENERGY=kwh, TIME=_hours(CHARGING))]
    if completed:
        periods.append(_period(parked, PARKING_TIME=_hours(PARKING)))
    return {
        "id": session_id,
        "start_datetime": timestamp(start),
        **({"end_datetime": timestamp(stop)} if completed else {}),
        "kwh": kwh,
        "auth_id": auth_id,
        "auth_method": auth_method,
        "location": relevant(location()) if at is None else at,
        "meter_id": "METER-1",
        "currency": "EUR" if tariff is None else tariff["currency"],
        "charging_periods": periods,
        "total_cost": cost.quantize(_CENT),
        "status": status,
        "last_updated": timestamp(stop),
    }


def started_session(session_id: str, *, at: Document, auth_id: str, start: datetime) -> Document:
    """Return an ACTIVE Session that has just begun: nothing charged yet, no price yet."""
    document = session(session_id, at=at, auth_id=auth_id, auth_method="AUTH_REQUEST", start=start)
    for name in ("end_datetime", "total_cost", "charging_periods"):
        del document[name]
    return document | {"kwh": Decimal("0.0000"), "status": "ACTIVE", "last_updated": timestamp(start)}


def completion(of: Document, *, now: datetime) -> Document:
    """Return the changes that complete an ACTIVE session: one charging period, 5 kWh if nothing was measured yet."""
    kwh = of["kwh"] or Decimal("5.0000")
    start, stop = parse_timestamp(of["start_datetime"]), parse_timestamp(of["last_updated"]) if of["kwh"] else now
    return {
        "status": "COMPLETED",
        "end_datetime": timestamp(stop),
        "kwh": kwh,
        "charging_periods": [_period(start, ENERGY=kwh, TIME=_hours(stop - start))],
        "total_cost": of.get("total_cost", (kwh * ENERGY_PRICE).quantize(_CENT)),
        "last_updated": timestamp(now),
    }


def _period(start: datetime, **volumes: Decimal) -> Document:
    dimensions = [{"type": kind, "volume": volume} for kind, volume in volumes.items()]
    return {"start_date_time": timestamp(start), "dimensions": dimensions}


def cdr(
    cdr_id: str = "CDR1", *, of: Document | None = None, tariffs: Sequence[Document] = (), remark: str = ""
) -> Document:
    """Return the CDR of a completed session `of`, created five minutes after the session ended."""
    ended = session() if of is None else of
    start, stop = parse_timestamp(ended["start_datetime"]), parse_timestamp(ended["end_datetime"])
    document: Document = {
        "id": cdr_id,
        "start_date_time": timestamp(start),
        "stop_date_time": timestamp(stop),
        "auth_id": ended["auth_id"],
        "auth_method": ended["auth_method"],
        "location": ended["location"],
        "meter_id": ended["meter_id"],
        "currency": ended["currency"],
        "charging_periods": ended["charging_periods"],
        "total_cost": ended["total_cost"],
        "total_energy": ended["kwh"],
        "total_time": _hours(stop - start),
        "total_parking_time": _parking_time(ended["charging_periods"]),
        "last_updated": timestamp(stop + timedelta(minutes=5)),
    }
    if tariffs:
        document["tariffs"] = list(tariffs)
    return document | ({"remark": remark} if remark else {})


def _parking_time(periods: Sequence[Document]) -> Decimal:
    volumes = [
        dimension["volume"]
        for period in periods
        for dimension in period["dimensions"]
        if dimension["type"] == "PARKING_TIME"
    ]
    return sum(volumes, start=Decimal("0.0000"))


def token(
    uid: str = "012345678",
    *,
    auth_id: str = "DE8ACC12E46L89",
    valid: bool = True,
    whitelist: str = "ALLOWED",
    last_updated: datetime = BASE,
) -> Document:
    """Return a Token, as an eMSP sends it."""
    return {
        "uid": uid,
        "type": "RFID",
        "auth_id": auth_id,
        "visual_number": "DF000-2001-8999",
        "issuer": "TheNewMotion",
        "valid": valid,
        "whitelist": whitelist,
        "last_updated": timestamp(last_updated),
    }
