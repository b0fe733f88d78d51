"""Documents that break each semantic rule, with the place, and near misses."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from ocpi_emsp.check.examples import base
from ocpi_emsp.models import (
    AdditionalGeoLocation,
    AuthorizationInfo,
    BusinessDetails,
    Cdr,
    CdrDimension,
    Connector,
    Credentials,
    DisplayText,
    Endpoint,
    EnergyMix,
    EnergySource,
    EnvironmentalImpact,
    Evse,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    Location,
    LocationReferences,
    PriceComponent,
    RegularHours,
    ReserveNow,
    Session,
    StartSession,
    StatusSchedule,
    StopSession,
    Tariff,
    TariffRestrictions,
    Token,
    UnlockConnector,
    Version,
    VersionDetail,
)

Changes: TypeAlias = Mapping[str, Any]
"""Pointer to new value; ``...`` leaves the member out (see Example)."""

ENERGY, TIME = "/charging_periods/0/dimensions/0/volume", "/charging_periods/0/dimensions/1/volume"
PARKING, PERIOD = "/charging_periods/1/dimensions/0", "/charging_periods/1/start_date_time"
FLAT = {"type": "FLAT", "price": 0, "step_size": 0}
PRICES = "/elements/0/price_components"


def hours(begin: str, end: str, weekday: int = 1) -> dict[str, Any]:
    return {"weekday": weekday, "period_begin": begin, "period_end": end}


def period(begin: str, end: str) -> dict[str, Any]:
    return {"period_begin": f"2014-06-{begin}:00:00Z", "period_end": f"2014-06-{end}:00:00Z"}


HITS: dict[str, list[tuple[type[Any], Changes, str]]] = {
    "url.https": [
        (Credentials, {"/url": "http://cpo.example.com"}, "/url"),
        (Version, {"/url": "HTTP://cpo.example.com/2.1.1"}, "/url"),
        (StopSession, {"/response_url": "http://localhost:8080/1"}, "/response_url"),
        (VersionDetail, {"/endpoints/1/url": "http://cpo.example.com"}, "/endpoints/1/url"),
    ],
    "identifier.empty": [
        (Evse, {"/uid": " "}, "/uid"),
        (LocationReferences, {"/evse_uids": ["3256", ""]}, "/evse_uids/1"),
        (Credentials, {"/token": ""}, "/token"),
        (Cdr, {"/tariffs/0/id": ""}, "/tariffs/0/id"),
        (UnlockConnector, {"/connector_id": ""}, "/connector_id"),
    ],
    "identifier.ascii": [
        (Credentials, {"/token": "geh\u00e9im"}, "/token"),
        (Evse, {"/connectors/0/id": "1\t"}, "/connectors/0/id"),
        (LocationReferences, {"/connector_ids": ["1", "\u00e9"]}, "/connector_ids/1"),
        (Session, {"/meter_id": "Z\u00e4hler"}, "/meter_id"),
    ],
    "last_updated.future": [
        (Location, {"/last_updated": "9998-01-01T00:00:00Z"}, "/last_updated"),
        (ReserveNow, {"/token/last_updated": "9998-01-01T00:00:00Z"}, "/token/last_updated"),
    ],
    "language.unknown": [
        (DisplayText, {"/language": "XX"}, "/language"),
        (DisplayText, {"/language": ""}, "/language"),
        (DisplayText, {"/language": "sh"}, "/language"),  # withdrawn
        (Token, {"/language": "xx"}, "/language"),
        (Location, {"/directions/0/language": "u"}, "/directions/0/language"),
    ],
    "text.markup": [
        (DisplayText, {"/text": "first<br/>second"}, "/text"),
        (DisplayText, {"/text": "caf&eacute;"}, "/text"),
        (DisplayText, {"/text": 'see <a href="https://example.com">here</a>'}, "/text"),
    ],
    "number.decimals": [
        (
            Cdr,
            {"/tariffs/0/elements/1/price_components/0/price": Decimal("0.30001")},
            "/tariffs/0/elements/1/price_components/0/price",
        ),
        (CdrDimension, {"/volume": Decimal("1E-999999")}, "/volume"),
    ],
    "url.form": [
        (Tariff, {"/tariff_alt_url": "/tariffs/12"}, "/tariff_alt_url"),
        (Endpoint, {"/url": "ftp://cpo.example.com"}, "/url"),
        (Endpoint, {"/url": "https://"}, "/url"),
        (Endpoint, {"/url": "https://cpo.example.com:port/"}, "/url"),
        (Endpoint, {"/url": "https://[::1/"}, "/url"),
        (Location, {"/operator/logo/thumbnail": "https://cpo.example.com/my logo.png"}, "/operator/logo/thumbnail"),
        (Connector, {"/terms_and_conditions": ""}, "/terms_and_conditions"),
    ],
    "currency.unknown": [
        (Tariff, {"/currency": "eur"}, "/currency"),
        (Tariff, {"/currency": ""}, "/currency"),
        (Tariff, {"/currency": "DEM"}, "/currency"),  # withdrawn
        (Session, {"/currency": "ABC"}, "/currency"),
    ],
    "version.deprecated": [(VersionDetail, {"/version": "2.1"}, "/version")],
    "version_detail.credentials": [(VersionDetail, {"/endpoints/0/identifier": "cdrs"}, "/endpoints")],
    "endpoint.identifier.unique": [
        (VersionDetail, {"/endpoints/1/identifier": "CREDENTIALS"}, "/endpoints/1/identifier")
    ],
    "credentials.token.whitespace": [(Credentials, {"/token": " ebf3b399"}, "/token")],
    "credentials.party_id.form": [
        (Credentials, {"/party_id": "EX"}, "/party_id"),
        (Credentials, {"/party_id": ""}, "/party_id"),
    ],
    "credentials.country_code.unknown": [(Credentials, {"/country_code": "N"}, "/country_code")],
    "location.country.unknown": [
        (Location, {"/country": "bel"}, "/country"),
        (Session, {"/location/country": "ROM"}, "/location/country"),  # withdrawn
    ],
    "evse.uid.unique": [(Session, {"/location/evses/1": base(Evse) | {"evse_id": None}}, "/location/evses/1/uid")],
    "evse.evse_id.unique": [(Location, {"/evses/1/evse_id": "BE*BEC*E041503001"}, "/evses/1/evse_id")],
    "connector.id.unique": [(Location, {"/evses/0/connectors/1/id": "1"}, "/evses/0/connectors/1/id")],
    "location.time_zone.unknown": [
        (Location, {"/time_zone": "europe/brussels"}, "/time_zone"),
        (Location, {"/time_zone": "../../etc/passwd"}, "/time_zone"),
        (Location, {"/time_zone": ""}, "/time_zone"),
    ],
    "location.last_updated.rollup": [(Location, {"/evses/1/last_updated": "2015-06-29T20:39:10Z"}, "/last_updated")],
    "evse.last_updated.rollup": [
        (Evse, {"/connectors/1/last_updated": "2015-06-29T20:39:10Z"}, "/last_updated"),
    ],
    "evse.evse_id.form": [
        (Evse, {"/evse_id": ""}, "/evse_id"),
        (Evse, {"/evse_id": "BE*BEC*X041503001"}, "/evse_id"),
        (Evse, {"/evse_id": "BE*BEC*E"}, "/evse_id"),
        (Evse, {"/evse_id": "BEC*E041503001"}, "/evse_id"),
        (Location, {"/evses/1/evse_id": "BE BEC E1"}, "/evses/1/evse_id"),
    ],
    "connector.power_type.direct": [
        (Evse, {"/connectors/1/power_type": "AC_1_PHASE"}, "/connectors/1/power_type"),
    ],
    "connector.voltage.positive": [(Connector, {"/voltage": -230}, "/voltage")],
    "connector.amperage.positive": [(Connector, {"/amperage": 0}, "/amperage")],
    "energy_mix.green": [(EnergyMix, {"/environ_impact/1/amount": Decimal("0.1")}, "/is_green_energy")],
    "energy_mix.sources.sum": [
        (EnergyMix, {"/energy_sources/0/percentage": Decimal("61.01")}, "/energy_sources"),
        (EnergyMix, {"/energy_sources/0/percentage": Decimal("1E+999999")}, "/energy_sources"),
    ],
    "energy_mix.sources.unique": [
        (Location, {"/energy_mix/energy_sources/1/source": "SOLAR"}, "/energy_mix/energy_sources/1/source")
    ],
    "energy_source.percentage.range": [(EnergySource, {"/percentage": Decimal("-0.1")}, "/percentage")],
    "energy_mix.impact.unique": [
        (EnergyMix, {"/environ_impact/0/source": "CARBON_DIOXIDE"}, "/environ_impact/1/source")
    ],
    "environmental_impact.negative": [(EnergyMix, {"/environ_impact/0/amount": -1}, "/environ_impact/0/amount")],
    "exceptional_period.order": [
        (ExceptionalPeriod, {"/period_end": "2014-06-21T09:00:00Z"}, "/period_end"),
        (Hours, {"/exceptional_closings/0": period("25T00", "24T00")}, "/exceptional_closings/0/period_end"),
    ],
    "coordinate.range": [
        (GeoLocation, {"/latitude": "-90.000001"}, "/latitude"),
        (GeoLocation, {"/longitude": "180.000001"}, "/longitude"),
        (AdditionalGeoLocation, {"/longitude": "-999.000000"}, "/longitude"),
        (Evse, {"/coordinates/latitude": "91.000000"}, "/coordinates/latitude"),
    ],
    "coordinate.zero": [(AdditionalGeoLocation, {"/latitude": "-0.000000", "/longitude": "000.000000"}, "")],
    "hours.regular.overlap": [
        (Hours, {"/regular_hours": [hours("12:00", "20:00"), hours("08:00", "00:00")]}, "/regular_hours/0"),
        (Hours, {"/regular_hours": [hours("08:00", "20:00"), hours("08:00", "20:00")]}, "/regular_hours/1"),
        (
            Hours,
            {"/regular_hours": [hours("08:00", "20:00"), hours("09:00", "10:00"), hours("20:00", "21:00")]},
            "/regular_hours/1",
        ),
    ],
    "hours.exceptional.overlap": [
        (
            Hours,
            {
                "/exceptional_openings": [period("01T00", "30T00"), period("02T00", "03T00")],
                "/exceptional_closings": [period("24T00", "25T00")],
            },
            "/exceptional_closings/0",
        ),
    ],
    "regular_hours.order": [
        (RegularHours, {"/period_end": "08:00"}, "/period_end"),
        (Hours, {"/regular_hours/1/period_end": "12:59"}, "/regular_hours/1/period_end"),
    ],
    "status_schedule.order": [
        (Evse, {"/status_schedule/0/period_end": "2015-07-01T00:00:00Z"}, "/status_schedule/0/period_end"),
    ],
    "session.end.order": [(Session, {"/end_datetime": "2015-06-29T20:59:59Z"}, "/end_datetime")],
    "session.negative": [(Session, {"/kwh": -1}, "/kwh")],
    "session.location.evse": [
        (Session, {"/location/evses": []}, "/location/evses"),
        (Session, {"/location/evses/0/connectors/1": base(Connector) | {"id": "2"}}, "/location/evses/0/connectors"),
    ],
    "session.periods.order": [
        (
            Session,
            {PERIOD: "2015-06-29T21:00:00Z", "/charging_periods/0/start_date_time": "2015-06-29T21:00:01Z"},
            PERIOD,
        )
    ],
    "session.periods.repeated": [(Session, {PERIOD: "2015-06-29T23:00:00+02:00"}, PERIOD)],
    "session.periods.outside": [(Session, {PERIOD: "2015-06-29T23:00:01Z"}, PERIOD)],
    "session.completed.end": [(Session, {"/end_datetime": None}, "/end_datetime")],
    "session.running.end": [(Session, {"/status": "PENDING", "/kwh": 0}, "/end_datetime")],
    "session.pending.energy": [(Session, {"/status": "PENDING"}, "/kwh")],
    "cdr.stop.order": [(Cdr, {"/stop_date_time": "2015-06-29T20:59:59Z"}, "/stop_date_time")],
    "cdr.location.evse": [
        (Cdr, {"/location/evses/0/connectors": []}, "/location/evses/0/connectors"),
        (Cdr, {"/location/evses/1": base(Evse) | {"uid": "3257", "evse_id": None}}, "/location/evses"),
    ],
    "cdr.currency.tariff": [(Cdr, {"/tariffs/1": base(Tariff) | {"currency": "SEK"}}, "/tariffs/1/currency")],
    "cdr.negative": [
        (Cdr, {"/total_time": -2}, "/total_time"),
        (Cdr, {"/total_energy": -2}, "/total_energy"),
        (Cdr, {"/total_cost": -1, f"{PARKING}/volume": Decimal("-0.5")}, "/total_cost"),  # volumes of both signs
    ],
    "cdr.energy.total": [
        (Cdr, {"/total_energy": Decimal("15.36")}, "/total_energy"),
        (Cdr, {"/total_energy": 0}, "/total_energy"),
        (Cdr, {ENERGY: Decimal("9E+999999"), "/total_energy": Decimal("8E+999999")}, "/total_energy"),
    ],
    "cdr.energy.unit": [
        (Cdr, {"/total_energy": 15342}, "/total_energy"),
        (Cdr, {"/total_energy": Decimal("1E+99999999")}, "/total_energy"),
        (Cdr, {ENERGY: Decimal("1E+999999")}, ENERGY),
    ],
    "cdr.time.total": [
        (Cdr, {"/total_time": 120}, "/total_time"),
        (Cdr, {"/total_time": 7200}, "/total_time"),
        (Cdr, {"/total_time": Decimal("1.85")}, "/total_time"),
    ],
    "cdr.time.dimensions": [
        (Cdr, {TIME: 1}, "/charging_periods"),
        (Cdr, {f"{PARKING}/volume": 1800}, "/charging_periods"),
        (Cdr, {f"{PARKING}/type": "FLAT", TIME: 3}, "/charging_periods"),  # more than there is
    ],
    "cdr.parking.total": [
        (Cdr, {"/total_parking_time": 3}, "/total_parking_time"),
        (Cdr, {"/total_parking_time": 0}, "/total_parking_time"),
    ],
    "cdr_dimension.negative": [(Cdr, {f"{PARKING}/volume": -1}, f"{PARKING}/volume")],
    "cdr.periods.order": [(Cdr, {"/charging_periods/0/start_date_time": "2015-06-29T22:30:01Z"}, PERIOD)],
    "cdr.periods.repeated": [(Cdr, {"/charging_periods/0/start_date_time": "2015-06-29T22:30:00Z"}, PERIOD)],
    "cdr.periods.outside": [
        (Cdr, {"/charging_periods/0/start_date_time": "2015-06-29T20:59:59Z"}, "/charging_periods/0/start_date_time")
    ],
    "tariff.elements.hidden": [
        (Tariff, {"/elements/0/restrictions": {}}, "/elements/1/price_components/0"),
        (
            Tariff,
            {"/elements/0": base(Tariff)["elements"][1]}
            | {"/elements/1/price_components": [FLAT, {"type": "PARKING_TIME", "price": 1, "step_size": 1}]},
            "/elements/1/price_components/1",
        ),
    ],
    "tariff.elements.default": [
        (Tariff, {"/elements/1/restrictions": {"max_power": 22}}, "/elements/1/restrictions"),
    ],
    "tariff.elements.repeated": [(Tariff, {"/elements/0": base(Tariff)["elements"][1]}, "/elements/1")],
    "tariff.components.repeated": [
        (Tariff, {"/elements/1/price_components/1/type": "ENERGY"}, "/elements/1/price_components/1/type")
    ],
    "tariff.free_of_charge": [(Tariff, {"/elements": [{"price_components": [FLAT | {"type": "TIME"}]}]}, "/elements")],
    "price.negative": [(Tariff, {f"{PRICES}/0/price": Decimal("-1E-999999")}, f"{PRICES}/0/price")],
    "price.step_size.negative": [(PriceComponent, {"/step_size": -(10**25)}, "/step_size")],
    "price.step_size.zero": [(PriceComponent, {"/type": "TIME", "/step_size": 0}, "/step_size")],
    "restrictions.never": [
        (TariffRestrictions, {"/max_power": Decimal("3.7")}, "/max_power"),
        (TariffRestrictions, {"/max_duration": 59}, "/max_duration"),
        (TariffRestrictions, {"/min_kwh": None, "/max_kwh": 0}, "/max_kwh"),
    ],
    "restrictions.negative": [(TariffRestrictions, {"/min_duration": -1}, "/min_duration")],
    "restrictions.times.equal": [(TariffRestrictions, {"/start_time": "18:00"}, "/end_time")],
    "restrictions.date.form": [
        (TariffRestrictions, {"/end_date": "2015-02-29"}, "/end_date"),
        (TariffRestrictions, {"/end_date": "2015-1-1"}, "/end_date"),
        (TariffRestrictions, {"/end_date": ""}, "/end_date"),
        (TariffRestrictions, {"/end_date": "20151224"}, "/end_date"),
    ],
    "restrictions.dates.order": [(TariffRestrictions, {"/start_date": "2016-01-02"}, "/end_date")],
    "authorization.location": [(AuthorizationInfo, {"/allowed": "NO_CREDIT"}, "/location")],
    "token.auth_id.form": [
        (Token, {"/auth_id": ""}, "/auth_id"),
        (StartSession, {"/token/auth_id": "DE8ACC12E46L899999"}, "/token/auth_id"),
    ],
    "token.always.invalid": [(StartSession, {"/token/whitelist": "ALWAYS", "/token/valid": False}, "/token/valid")],
    "location_references.connectors": [
        (AuthorizationInfo, {"/location/evse_uids": []}, "/location/connector_ids"),
    ],
    "reserve_now.expired": [(ReserveNow, {"/expiry_date": "0001-01-01T00:00:00Z"}, "/expiry_date")],
}
"""Rule, and documents beside its example that break it, with the place of the finding."""

MISSES: dict[str, list[tuple[type[Any], Changes]]] = {
    "url.https": [
        (Endpoint, {"/url": "HTTPS://cpo.example.com"}),
        (BusinessDetails, {"/website": "http://example.com"}),  # for people, no API
    ],
    "identifier.empty": [(Connector, {"/tariff_id": None}), (LocationReferences, {"/evse_uids": ["0"]})],
    "identifier.ascii": [
        (Location, {"/name": "Caf\u00e9"}),
        (Token, {"/visual_number": "\u2116 1", "/issuer": "Stromf\u00f6rderer"}),
        (Location, {"/id": "a b~!"}),
    ],
    "last_updated.future": [(Tariff, {"/last_updated": "1970-01-01T00:00:00Z"})],
    "language.unknown": [
        (DisplayText, {"/language": "nb"}),
        (DisplayText, {"/language": "EN"}),  # no code has a case
        (Token, {"/language": "De"}),
        (DisplayText, {"/language": "eng"}),
        (Token, {"/language": None}),
    ],
    "text.markup": [
        (DisplayText, {"/text": "< 22 kW & > 11 kW; R&D, a<b and c>d"}),
        (DisplayText, {"/text": "&" + "<a" * 1000}),
    ],
    "number.decimals": [
        (Session, {"/kwh": Decimal("15.3420"), "/total_cost": Decimal("8.50000000")}),
        (Cdr, {"/total_cost": Decimal("0E-9")}),
        (Cdr, {"/total_cost": Decimal("9" * 40 + ".1234")}),
    ],
    "url.form": [
        (Endpoint, {"/url": "https://user@[::1]:8443/a?b=c#d"}),
        (BusinessDetails, {"/website": None}),
        (BusinessDetails, {"/website": "HTTP://EXAMPLE.COM"}),
    ],
    "currency.unknown": [(Tariff, {"/currency": "SEK"}), (Tariff, {"/currency": "EURO"})],  # too long: string.length
    "version.deprecated": [(Version, {"/version": "2.0"}), (Version, {"/version": "2.2"})],
    "version_detail.credentials": [(VersionDetail, {"/endpoints/0/identifier": "Credentials"})],
    "endpoint.identifier.unique": [(VersionDetail, {"/endpoints/1/identifier": "nltnm-credentials"})],
    "credentials.token.whitespace": [(Credentials, {"/token": "IpbJOXxkxOAuKR92z0nEcmVF3Qw09VG7I7d/WCg0koM="})],
    "credentials.party_id.form": [(Credentials, {"/party_id": "8aC"}), (Credentials, {"/party_id": "EXAM"})],
    "credentials.country_code.unknown": [(Credentials, {"/country_code": "be"})],
    "location.country.unknown": [(Location, {"/country": "KEN"}), (Location, {"/country": "XY"})],
    "location.time_zone.unknown": [
        (Location, {"/time_zone": zone}) for zone in ("Europe/Oslo", "America/Argentina/Ushuaia", "UTC", None)
    ],
    "evse.uid.unique": [(Location, {"/evses/1/uid": "3256 "})],
    "evse.evse_id.unique": [(Location, {"/evses/0/evse_id": None, "/evses/1/evse_id": None})],
    "connector.id.unique": [(Location, {"/evses/1/connectors/0/id": "2"})],
    "location.last_updated.rollup": [(Location, {"/last_updated": "2015-06-29T20:39:09Z"}), (Location, {"/evses": []})],
    "evse.last_updated.rollup": [(Evse, {"/last_updated": "2015-06-29T20:39:09Z"}), (Evse, {"/connectors": []})],
    "evse.evse_id.form": [
        (Evse, {"/evse_id": text})
        for text in ("BEBECE041503001", "BE*BEC*E1", "BE-BEC-E041503001", "be*bec*e1*2", "DE*8AA*E1", None)
    ],
    "connector.power_type.direct": [
        (Connector, {"/standard": "IEC_62196_T2", "/power_type": "DC"}),
        (Connector, {"/standard": "CHADEMO", "/power_type": "DC"}),
    ],
    "connector.voltage.positive": [(Connector, {"/voltage": 1})],
    "connector.amperage.positive": [(Connector, {"/amperage": 1})],
    "energy_mix.green": [
        (EnergyMix, {"/is_green_energy": False, "/energy_sources/0/source": "COAL"}),
        (EnergyMix, {"/energy_sources/2": {"source": "GAS", "percentage": 0}}),
    ],
    "energy_mix.sources.sum": [
        (EnergyMix, {"/energy_sources": []}),
        (EnergyMix, {"/energy_sources/0/percentage": 61}),
        (EnergyMix, {"/energy_sources/0/percentage": Decimal("59.0")}),
    ],
    "energy_mix.sources.unique": [(EnergyMix, {"/energy_sources/1/source": "WATER"})],
    "energy_source.percentage.range": [(EnergySource, {"/percentage": 0}), (EnergySource, {"/percentage": 100})],
    "energy_mix.impact.unique": [(EnergyMix, {"/environ_impact/1": ...})],
    "environmental_impact.negative": [(EnvironmentalImpact, {"/amount": Decimal("-0.0")})],
    "exceptional_period.order": [(ExceptionalPeriod, {"/period_end": "2014-06-21T09:00:01Z"})],
    "coordinate.range": [(GeoLocation, {"/latitude": "-90.000000", "/longitude": "180.000000"})],
    "coordinate.zero": [(GeoLocation, {"/latitude": "0.000000"}), (GeoLocation, {"/longitude": "0.000001"})],
    "hours.regular.overlap": [
        (Hours, {"/regular_hours/1/period_begin": "12:00"}),
        (Hours, {"/regular_hours/1": hours("08:00", "20:00", weekday=2)}),
        (Hours, {"/regular_hours": [hours("13:00", "20:00"), hours("08:00", "13:00")]}),
    ],
    "hours.exceptional.overlap": [
        (Hours, {"/exceptional_closings/0": period("21T12", "21T13")}),
        (Hours, {"/exceptional_closings/0": period("21T08", "21T09")}),
        (Hours, {"/exceptional_openings": []}),
    ],
    "regular_hours.order": [(RegularHours, {"/period_end": "08:01"}), (RegularHours, {"/period_end": "00:00"})],
    "status_schedule.order": [(StatusSchedule, {"/period_end": None}), (StatusSchedule, {"/period_end": ...})],
    "session.end.order": [(Session, {"/end_datetime": "2015-06-29T21:00:00Z"})],
    "session.negative": [(Session, {"/kwh": 0, "/total_cost": 0}), (Session, {"/total_cost": None})],
    "session.location.evse": [(Session, {"/location/evses/0/uid": "1"})],
    "session.periods.order": [(Session, {PERIOD: "2015-06-29T21:00:00Z"}), (Session, {"/charging_periods": []})],
    "session.periods.repeated": [(Session, {PERIOD: "2015-06-29T21:00:01Z"})],
    "session.periods.outside": [
        (Session, {PERIOD: "2015-06-29T23:00:00Z"}),
        (Session, {"/end_datetime": None, "/status": "ACTIVE", PERIOD: "2015-06-30T23:00:00Z"}),
        (Session, {"/end_datetime": "2015-06-29T20:00:00Z"}),  # reported as such
    ],
    "session.completed.end": [
        (Session, {"/status": status, "/end_datetime": None}) for status in ("ACTIVE", "INVALID")
    ],
    "session.running.end": [(Session, {"/status": "INVALID"}), (Session, {"/status": "ACTIVE", "/end_datetime": ...})],
    "session.pending.energy": [(Session, {"/status": "PENDING", "/kwh": 0})],
    "cdr.stop.order": [(Cdr, {"/stop_date_time": "2015-06-29T21:00:00Z"})],
    "cdr.location.evse": [(Cdr, {"/location/evses/0/status": "CHARGING"})],
    "cdr.currency.tariff": [(Cdr, {"/tariffs": []}), (Cdr, {"/currency": "SEK", "/tariffs/0/currency": "SEK"})],
    "cdr.negative": [(Cdr, {"/total_cost": 0, "/total_parking_time": None}), (Cdr, {"/total_cost": -1})],
    "cdr.energy.total": [
        (Cdr, {"/total_energy": Decimal("15.34")}),
        (Cdr, {"/total_energy": Decimal("15.343")}),
        (Cdr, {"/total_energy": Decimal("15.3")}),
        (Cdr, {ENERGY: Decimal("15.342000000000001")}),
        (Cdr, {"/total_energy": 15342}),  # the unit
        (Cdr, {"/charging_periods/0/dimensions/0/type": "MAX_CURRENT", "/total_energy": 16}),
    ],
    "cdr.energy.unit": [
        (Cdr, {"/total_energy": Decimal("1534.2")}),
        (Cdr, {"/total_energy": 0, ENERGY: 15342}),
        (Cdr, {"/total_energy": Decimal("-1E+99999999"), ENERGY: Decimal("1E+99999999")}),
    ],
    "cdr.time.total": [
        (Cdr, {"/total_time": Decimal("2.0005")}),
        (Cdr, {"/stop_date_time": "2015-06-29T22:59:59.5Z"}),
        (Cdr, {"/stop_date_time": "2015-06-29T22:55:00Z"}),  # 2 may stand for 1.9 to 2.1
    ],
    "cdr.time.dimensions": [
        (Cdr, {"/charging_periods/1": ..., TIME: Decimal("1.5")}),  # the parking time may be left out
        (Cdr, {"/charging_periods/1": ..., TIME: 2}),
        (Cdr, {"/charging_periods/0/dimensions/1": ...}),  # no TIME: the parking is not all
        (Cdr, {f"{PARKING}/type": "FLAT", TIME: 1}),  # a period that leaves its time out (mod_cdrs.md: relevant values)
        (Cdr, {TIME: Decimal("1.4999")}),
    ],
    "cdr.parking.total": [
        (Cdr, {"/total_parking_time": Decimal("0.5001")}),
        (Cdr, {"/total_parking_time": None}),
        (Cdr, {f"{PARKING}/type": "FLAT", "/total_parking_time": 2}),
    ],
    "cdr_dimension.negative": [(CdrDimension, {"/volume": 0})],
    "cdr.periods.order": [(Cdr, {"/charging_periods/0/start_date_time": "2015-06-29T22:30:00Z"})],
    "cdr.periods.repeated": [(Cdr, {PERIOD: "2015-06-29T21:00:00.5Z"})],
    "cdr.periods.outside": [
        (Cdr, {PERIOD: "2015-06-29T23:00:00Z"}),
        (Cdr, {"/stop_date_time": "2015-06-29T20:00:00Z"}),
    ],
    "tariff.elements.hidden": [
        (Tariff, {"/elements/0/restrictions": ..., f"{PRICES}/0/type": "FLAT"}),
        (Tariff, {"/elements/1/price_components/1/type": "ENERGY"}),  # both in one element
    ],
    "tariff.elements.default": [(Tariff, {"/elements/1/restrictions": {"day_of_week": []}})],
    "tariff.elements.repeated": [(Tariff, {"/elements/0/restrictions": ...})],
    "tariff.components.repeated": [(Tariff, {f"{PRICES}/0/type": "FLAT"})],
    "tariff.free_of_charge": [
        (Tariff, {"/elements": [{"price_components": [FLAT]}]}),
        (Tariff, {"/elements/1/price_components/0/price": 0}),
    ],
    "price.negative": [(PriceComponent, {"/price": 0})],
    "price.step_size.negative": [(PriceComponent, {"/step_size": 0})],
    "price.step_size.zero": [(PriceComponent, {"/type": "FLAT", "/step_size": 0}), (PriceComponent, {"/step_size": 1})],
    "restrictions.never": [
        (TariffRestrictions, {"/min_kwh": Decimal("49.9999")}),
        (TariffRestrictions, {"/max_kwh": None, "/min_power": None, "/max_duration": None}),
    ],
    "restrictions.negative": [(TariffRestrictions, {"/min_kwh": 0, "/min_duration": 0})],
    "restrictions.times.equal": [(TariffRestrictions, {"/start_time": "22:00", "/end_time": "06:00"})],
    "restrictions.date.form": [
        (TariffRestrictions, {"/start_date": "2012-02-29"}),
        (TariffRestrictions, {"/start_date": None, "/end_date": None}),
        (TariffRestrictions, {"/start_date": "2015-01-01T00:00:00Z"}),  # too long: string.length
    ],
    "restrictions.dates.order": [
        (TariffRestrictions, {"/end_date": "2015-01-02"}),
        (TariffRestrictions, {"/start_date": "2016-13-01"}),
    ],
    "authorization.location": [(AuthorizationInfo, {"/allowed": "BLOCKED", "/location": None})],
    "token.auth_id.form": [
        (Token, {"/auth_id": text})
        for text in ("DE-8AC-C12E46L89-5", "NL-TNM-012204-5", "NLTNM012204", "de8acc12e46l89")
    ],
    "token.always.invalid": [(Token, {"/whitelist": "ALWAYS"}), (Token, {"/valid": False})],
    "location_references.connectors": [(LocationReferences, {"/evse_uids": ..., "/connector_ids": ...})],
    "reserve_now.expired": [(ReserveNow, {"/expiry_date": "9999-12-31T23:59:59Z"})],
}
"""Rule, and documents that nearly break it."""
