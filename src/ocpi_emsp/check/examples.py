"""Examples that break one rule each: a small valid document and the change that breaks it.

Rules of this module:
- a base document is valid and free of findings at any time; it is data, and each part of it is the base of its model;
- a change maps a pointer to its new value; ``...`` removes the member; an index one past the end appends;
- only an example that no change can produce (syntax, repeated members) is given as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any

from attrs import frozen

from ocpi_emsp import models
from ocpi_emsp.codec.documents import dump, parse

_CONNECTOR = """{"id": "1", "standard": "IEC_62196_T2", "format": "SOCKET", "power_type": "AC_3_PHASE", "voltage": 230,
 "amperage": 16, "tariff_id": "12", "terms_and_conditions": "https://cpo.example.com/terms",
 "last_updated": "2015-06-29T20:39:09Z"}"""

_EVSE = f"""{{"uid": "3256", "evse_id": "BE*BEC*E041503001", "status": "AVAILABLE", "status_schedule": [{{
   "period_begin": "2015-07-01T00:00:00Z", "period_end": "2015-07-02T00:00:00Z", "status": "INOPERATIVE"}}],
 "capabilities": ["RFID_READER"], "connectors": [{_CONNECTOR}], "floor_level": "-1", "physical_reference": "1",
 "coordinates": {{"latitude": "51.047600", "longitude": "3.729950"}}, "last_updated": "2015-06-29T20:39:09Z"}}"""

_PLACE = f"""{{"id": "LOC1", "type": "ON_STREET", "name": "Gent Zuid", "address": "F.Rooseveltlaan 3A", "city": "Gent",
 "postal_code": "9000", "country": "BEL", "coordinates": {{"latitude": "51.047599", "longitude": "3.729944"}},
 "evses": [{_EVSE}], "time_zone": "Europe/Brussels", "last_updated": "2015-06-29T20:39:09Z"}}"""

_ANOTHER_CONNECTOR = """{"id": "2", "standard": "IEC_62196_T2_COMBO", "format": "CABLE", "power_type": "DC",
 "voltage": 400, "amperage": 125, "last_updated": "2015-03-18T08:12:01Z"}"""

_ANOTHER_EVSE = f"""{{"uid": "3257", "evse_id": "BE-BEC-E041503002", "status": "CHARGING",
 "connectors": [{_CONNECTOR}], "last_updated": "2015-06-29T20:39:09Z"}}"""

_MORE_OF_A_LOCATION = """{
 "related_locations": [{"latitude": "51.047700", "longitude": "3.730000", "name": {"language": "nl", "text": "Inrit"}}],
 "directions": [{"language": "en", "text": "Behind the library"}],
 "operator": {"name": "BeCharged", "website": "https://cpo.example.com", "logo": {
   "url": "https://cpo.example.com/logo.png", "thumbnail": "https://cpo.example.com/logo-128.png",
   "category": "OPERATOR", "type": "png", "width": 512, "height": 512}},
 "opening_times": {
   "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "12:00"},
                     {"weekday": 1, "period_begin": "13:00", "period_end": "20:00"}],
   "exceptional_openings": [{"period_begin": "2014-06-21T09:00:00Z", "period_end": "2014-06-21T12:00:00Z"}],
   "exceptional_closings": [{"period_begin": "2014-06-24T00:00:00Z", "period_end": "2014-06-25T00:00:00Z"}]},
 "energy_mix": {"is_green_energy": true,
   "energy_sources": [{"source": "SOLAR", "percentage": 60}, {"source": "WIND", "percentage": 40}],
   "environ_impact": [{"source": "NUCLEAR_WASTE", "amount": 0}, {"source": "CARBON_DIOXIDE", "amount": 0}]}}"""

_TWO_EVSES = _PLACE.replace(_EVSE, f"{_EVSE}, {_ANOTHER_EVSE}")
_TWO_CONNECTORS = _TWO_EVSES.replace(_CONNECTOR, f"{_CONNECTOR}, {_ANOTHER_CONNECTOR}", 1)
_LOCATION = f"{_TWO_CONNECTORS[:-1]}, {_MORE_OF_A_LOCATION[1:]}"

_PERIODS = """[
 {"start_date_time": "2015-06-29T21:00:00Z", "dimensions": [{"type": "ENERGY", "volume": 15.342},
                                                            {"type": "TIME", "volume": 1.5}]},
 {"start_date_time": "2015-06-29T22:30:00Z", "dimensions": [{"type": "PARKING_TIME", "volume": 0.5}]}]"""

_SESSION = f"""{{"id": "101", "start_datetime": "2015-06-29T21:00:00Z", "end_datetime": "2015-06-29T23:00:00Z",
 "kwh": 15.342, "auth_id": "DE8ACC12E46L89", "auth_method": "WHITELIST", "location": {_PLACE}, "currency": "EUR",
 "charging_periods": {_PERIODS}, "total_cost": 8.5, "status": "COMPLETED", "last_updated": "2015-06-29T23:01:00Z"}}"""

_TARIFF = """{"id": "12", "currency": "EUR", "tariff_alt_url": "https://cpo.example.com/tariffs/12", "elements": [
 {"price_components": [{"type": "ENERGY", "price": 0.25, "step_size": 1}], "restrictions": {
   "start_time": "09:00", "end_time": "18:00", "start_date": "2015-01-01", "end_date": "2016-01-01",
   "min_kwh": 1, "max_kwh": 50, "min_power": 3.7, "max_power": 22, "min_duration": 60, "max_duration": 7200,
   "day_of_week": ["MONDAY"]}},
 {"price_components": [{"type": "ENERGY", "price": 0.3, "step_size": 1},
                       {"type": "PARKING_TIME", "price": 5, "step_size": 300}]}],
 "last_updated": "2015-06-29T20:39:09Z"}"""

_CDR = f"""{{"id": "12345", "start_date_time": "2015-06-29T21:00:00Z", "stop_date_time": "2015-06-29T23:00:00Z",
 "auth_id": "DE8ACC12E46L89", "auth_method": "WHITELIST", "location": {_PLACE}, "meter_id": "M1", "currency": "EUR",
 "tariffs": [{_TARIFF}], "charging_periods": {_PERIODS}, "total_cost": 7.1, "total_energy": 15.342, "total_time": 2,
 "total_parking_time": 0.5, "last_updated": "2015-06-29T23:01:00Z"}}"""

_TOKEN = """{"uid": "012345678", "type": "RFID", "auth_id": "DE8ACC12E46L89", "issuer": "TheNewMotion", "valid": true,
 "whitelist": "ALLOWED", "language": "de", "last_updated": "2015-06-29T22:39:09Z"}"""

_AUTHORIZATION = """{"allowed": "ALLOWED",
 "location": {"location_id": "LOC1", "evse_uids": ["3256"], "connector_ids": ["1"]},
 "info": {"language": "en", "text": "Welcome"}}"""

_TO_AN_EVSE = f""""response_url": "https://emsp.example.com/commands/1", "token": {_TOKEN}, "location_id": "LOC1",
 "evse_uid": "3256" """

_CREDENTIALS = """{"token": "ebf3b399-779f-4497-9b9d-ac6ad3cc44d2", "url": "https://cpo.example.com/ocpi/versions",
 "business_details": {"name": "Example Operator"}, "party_id": "EXA", "country_code": "NL"}"""

_TEXTS: dict[type[Any], str] = {
    models.Envelope: '{"status_code": 1000, "timestamp": "2015-06-30T21:59:59Z"}',
    models.Version: '{"version": "2.1.1", "url": "https://cpo.example.com/ocpi/2.1.1"}',
    models.VersionDetail: """{"version": "2.1.1", "endpoints": [
      {"identifier": "credentials", "url": "https://cpo.example.com/ocpi/2.1.1/credentials"},
      {"identifier": "locations", "url": "https://cpo.example.com/ocpi/2.1.1/locations"}]}""",
    models.Credentials: _CREDENTIALS,
    models.Location: _LOCATION,
    models.Session: _SESSION,
    models.Cdr: _CDR,
    models.Tariff: _TARIFF,
    models.Token: _TOKEN,
    models.AuthorizationInfo: _AUTHORIZATION,
    models.CommandResponse: '{"result": "ACCEPTED"}',
    models.ReserveNow: f'{{{_TO_AN_EVSE}, "expiry_date": "2999-12-31T00:00:00Z", "reservation_id": 1}}',
    models.StartSession: f"{{{_TO_AN_EVSE}}}",
    models.StopSession: '{"response_url": "https://emsp.example.com/commands/1", "session_id": "101"}',
    models.UnlockConnector: """{"response_url": "https://emsp.example.com/commands/1", "location_id": "LOC1",
      "evse_uid": "3256", "connector_id": "1"}""",
}

_PARTS: dict[type[Any], tuple[type[Any], str]] = {
    models.Endpoint: (models.VersionDetail, "/endpoints/0"),
    models.Evse: (models.Location, "/evses/0"),
    models.Connector: (models.Location, "/evses/0/connectors/0"),
    models.AdditionalGeoLocation: (models.Location, "/related_locations/0"),
    models.BusinessDetails: (models.Location, "/operator"),
    models.EnergyMix: (models.Location, "/energy_mix"),
    models.EnergySource: (models.Location, "/energy_mix/energy_sources/0"),
    models.EnvironmentalImpact: (models.Location, "/energy_mix/environ_impact/0"),
    models.ExceptionalPeriod: (models.Location, "/opening_times/exceptional_openings/0"),
    models.GeoLocation: (models.Location, "/coordinates"),
    models.Hours: (models.Location, "/opening_times"),
    models.Image: (models.Location, "/operator/logo"),
    models.RegularHours: (models.Location, "/opening_times/regular_hours/0"),
    models.StatusSchedule: (models.Location, "/evses/0/status_schedule/0"),
    models.ChargingPeriod: (models.Cdr, "/charging_periods/0"),
    models.CdrDimension: (models.Cdr, "/charging_periods/0/dimensions/0"),
    models.PriceComponent: (models.Tariff, "/elements/0/price_components/0"),
    models.TariffElement: (models.Tariff, "/elements/0"),
    models.TariffRestrictions: (models.Tariff, "/elements/0/restrictions"),
    models.LocationReferences: (models.AuthorizationInfo, "/location"),
    models.DisplayText: (models.AuthorizationInfo, "/info"),
}
"""Models that are parts of others: the surrounding model, and the place in it."""

KINDS: tuple[type[Any], ...] = (*_TEXTS, *_PARTS)
"""Every model that has a base document."""


def base(kind: type[Any]) -> Any:
    """Return a valid document of this kind, free of findings; a new one each time, which the caller may change."""
    if kind in _TEXTS:
        return parse(_TEXTS[kind])
    whole, place = _PARTS[kind]
    part = base(whole)
    for step in _steps(place):
        part = part[int(step)] if isinstance(part, list) else part[step]
    return part


def _steps(place: str) -> list[str]:
    return place.split("/")[1:]


@frozen
class Example:
    """A document that breaks one rule: the base document of ``kind`` with ``changes``, or a text."""

    kind: type[Any]
    changes: Mapping[str, Any] = {}
    text: str | None = None

    @property
    def document(self) -> bytes:
        """The JSON of the example."""
        if self.text is not None:
            return self.text.encode()
        document = base(self.kind)
        for place, value in self.changes.items():
            _change(document, place, value)
        return dump(document)

    def __str__(self) -> str:
        """Return the example for people: ``Location with /country "XYZ"``."""
        if self.text is not None:
            return f"{self.kind.__name__} {self.text}"
        changes = " and ".join(f"{place} {_written(value)}" for place, value in self.changes.items())
        return f"{self.kind.__name__} with {changes}"


def _written(value: Any) -> str:
    return "left out" if value is ... else dump(value).decode()


def _change(document: Any, place: str, value: Any | EllipsisType) -> None:
    *path, last = _steps(place)
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    if isinstance(document, list):
        index = int(last)
        document[index : index + 1] = [] if value is ... else [value]
    elif value is ...:
        del document[last]
    else:
        document[last] = value


def broken(kind: type[Any], /, **changes: Any) -> Example:
    """Return an example that changes members of the object itself."""
    return Example(kind, {f"/{name}": value for name, value in changes.items()})


def broken_at(kind: type[Any], place: str, value: Any) -> Example:
    """Return an example that changes the value at one pointer."""
    return Example(kind, {place: value})
