"""mod_locations.md: Location, EVSE, Connector. The classes of chapter 4 are in places.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from ocpi_emsp.check.examples import Example, broken, broken_at
from ocpi_emsp.check.registry import Chapter, Hit, repeated
from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.codec.readings import UNSAID, shown, time_zones
from ocpi_emsp.models import Connector, ConnectorType, Evse, GeoLocation, Location, PowerType

LOCATIONS = Chapter("Locations", "mod_locations.md")

_EVSE = "mod_locations.md#32-evse-object"
_CONNECTOR = "mod_locations.md#33-connector-object"

_COUNTRIES = frozenset(ALPHA3.values())
_BOXES: dict[str, tuple[int, int, int, int]] = {
    "AUT": (46, 50, 9, 18),
    "BEL": (49, 52, 2, 7),
    "CHE": (45, 48, 5, 11),
    "CZE": (48, 52, 12, 19),
    "DEU": (47, 56, 5, 16),
    "DNK": (54, 58, 8, 16),
    "ESP": (27, 44, -19, 5),
    "FIN": (59, 71, 19, 32),
    "FRA": (41, 52, -6, 10),
    "GBR": (49, 61, -9, 2),
    "HUN": (45, 49, 16, 23),
    "IRL": (51, 56, -11, -5),
    "ITA": (35, 48, 6, 19),
    "LUX": (49, 51, 5, 7),
    "NLD": (50, 54, 3, 8),
    "NOR": (57, 72, 4, 32),
    "POL": (48, 55, 14, 25),
    "PRT": (30, 43, -32, -6),
    "SVN": (45, 47, 13, 17),
    "SWE": (55, 70, 10, 25),
}
"""Whole degrees around a country: south, north, west, east. Coarse on purpose: only a swap must be detected."""

EVSE_ID = re.compile(
    r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}"
    r"|[A-Z]{2}-?[A-Z0-9]{3}-?E[A-Z0-9*-]{1,30}",  # with hyphens, as in the specification's own examples
    re.ASCII | re.IGNORECASE,  # eMI3 compares case-insensitively
)
_DIRECT_CURRENT = (ConnectorType.CHADEMO, ConnectorType.IEC_62196_T1_COMBO, ConnectorType.IEC_62196_T2_COMBO)


@LOCATIONS.rule(
    "location.country.unknown",
    "The country has three letters but is not an ISO 3166-1 alpha-3 code.",
    broken(Location, country="XYZ"),
)
def country_unknown(location: Location) -> Iterator[Hit]:
    country = location.country
    if len(country) == 3 and country not in _COUNTRIES:
        known = f": expected {shown(country.upper())}" if country.upper() in _COUNTRIES else ""
        yield ("country",), f"{shown(country)} is not an ISO 3166-1 alpha-3 code{known}"


@LOCATIONS.rule(
    "location.coordinates.swapped",
    "Latitude and longitude seem to be swapped: only swapped they lie in the location's country.",
    Example(Location, {"/coordinates/latitude": "3.729944", "/coordinates/longitude": "51.047599"}),
    clause="mod_locations.md#412-geolocation-class",
)
def coordinates_swapped(location: Location) -> Iterator[Hit]:
    box = _BOXES.get(location.country.upper())
    if box and not _inside(location.coordinates, box) and _inside(_swapped(location.coordinates), box):
        point = f"{location.coordinates.latitude}, {location.coordinates.longitude}"
        yield ("coordinates",), f"latitude and longitude {point} seem to be swapped for {location.country}"


def _inside(point: GeoLocation, box: tuple[int, int, int, int]) -> bool:
    south, north, west, east = box
    if not (point.latitude and point.longitude):  # a location copy without coordinates
        return False
    return south <= Decimal(point.latitude) <= north and west <= Decimal(point.longitude) <= east


def _swapped(point: GeoLocation) -> GeoLocation:
    return GeoLocation(latitude=point.longitude, longitude=point.latitude)


@LOCATIONS.rule(
    "evse.uid.unique",
    "Two EVSEs of a location have the same uid.",
    broken_at(Location, "/evses/1/uid", "3256"),
    clause=_EVSE,
)
def evse_uid_unique(location: Location) -> Iterator[Hit]:
    for index in repeated(evse.uid for evse in location.evses):
        yield ("evses", index, "uid"), f"an earlier EVSE already has the uid {shown(location.evses[index].uid)}"


@LOCATIONS.rule(
    "evse.evse_id.unique",
    "Two EVSEs of a location have the same evse_id; an EVSE whose EVSE-ID was reassigned is sent without one.",
    broken_at(Location, "/evses/1/evse_id", "BE*BEC*E041503001"),
    clause=_EVSE,
)
def evse_id_unique(location: Location) -> Iterator[Hit]:
    for index in repeated(evse.evse_id for evse in location.evses):
        message = f"an earlier EVSE already has the evse_id {shown(location.evses[index].evse_id)}"
        yield ("evses", index, "evse_id"), message


@LOCATIONS.rule(
    "location.time_zone.unknown",
    "The time zone is not in the IANA time zone database.",
    broken(Location, time_zone="CEST"),
)
def time_zone_unknown(location: Location) -> Iterator[Hit]:
    if location.time_zone is not None and location.time_zone not in time_zones():
        yield ("time_zone",), f"{shown(location.time_zone)} is not an IANA time zone"


@LOCATIONS.rule(
    "location.last_updated.rollup",
    "An EVSE was updated after its location, whose last_updated covers its EVSEs.",
    broken(Location, last_updated="2015-06-29T20:39:08Z"),
)
def location_rollup(location: Location) -> Iterator[Hit]:
    newest = max(location.evses, key=lambda evse: evse.last_updated, default=None)
    if newest is not None and newest.last_updated > location.last_updated:
        yield ("last_updated",), f"EVSE {shown(newest.uid)} was updated later"


@LOCATIONS.rule(
    "evse.evse_id.form",
    "The evse_id is not an eMI3 EVSE-ID such as BE*BEC*E041503001.",
    broken(Evse, evse_id="041503001"),
)
def evse_id_form(evse: Evse) -> Iterator[Hit]:
    if evse.evse_id is not None and not EVSE_ID.fullmatch(evse.evse_id):
        yield ("evse_id",), f"{shown(evse.evse_id)} is not an eMI3 EVSE-ID"


@LOCATIONS.rule(
    "connector.id.unique",
    "Two connectors of an EVSE have the same id.",
    broken_at(Evse, "/connectors/1/id", "1"),
    clause=_CONNECTOR,
)
def connector_id_unique(evse: Evse) -> Iterator[Hit]:
    for index in repeated(connector.id for connector in evse.connectors):
        yield ("connectors", index, "id"), f"an earlier connector already has the id {shown(evse.connectors[index].id)}"


@LOCATIONS.rule(
    "evse.last_updated.rollup",
    "A connector was updated after its EVSE, whose last_updated covers its connectors.",
    broken(Evse, last_updated="2015-06-29T20:39:08Z"),
)
def evse_rollup(evse: Evse) -> Iterator[Hit]:
    newest = max(evse.connectors, key=lambda connector: connector.last_updated, default=None)
    if newest is not None and newest.last_updated > evse.last_updated:
        yield ("last_updated",), f"connector {shown(newest.id)} was updated later"


@LOCATIONS.rule(
    "connector.power_type.direct",
    "A connector with a direct current standard has an alternating current power_type.",
    broken(Connector, standard="CHADEMO"),
    clause="mod_locations.md#44-connectortype-enum",
)
def power_type_direct(connector: Connector) -> Iterator[Hit]:
    if connector.standard in _DIRECT_CURRENT and connector.power_type in (PowerType.AC_1_PHASE, PowerType.AC_3_PHASE):
        yield ("power_type",), f"{connector.standard} is for direct current, not for {connector.power_type}"


@LOCATIONS.rule(
    "connector.voltage.positive", "The voltage of a connector is zero or negative.", broken(Connector, voltage=0)
)
def voltage_positive(connector: Connector) -> Iterator[Hit]:
    if connector.voltage <= 0 and connector.voltage is not UNSAID:
        yield ("voltage",), f"the voltage is {shown(connector.voltage)} V"


@LOCATIONS.rule(
    "connector.amperage.positive", "The amperage of a connector is zero or negative.", broken(Connector, amperage=-16)
)
def amperage_positive(connector: Connector) -> Iterator[Hit]:
    if connector.amperage <= 0 and connector.amperage is not UNSAID:
        yield ("amperage",), f"the amperage is {shown(connector.amperage)} A"
