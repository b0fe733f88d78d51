"""mod_locations.md: Location, EVSE, Connector and their parts. The rules of the package are in common.py."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen
from msgspec import Meta

from ocpi_emsp.models.common import BusinessDetails, DisplayText, Image
from ocpi_emsp.models.enums import (
    Capability,
    ConnectorFormat,
    ConnectorType,
    EnergySourceCategory,
    EnvironmentalImpactCategory,
    Facility,
    LocationType,
    ParkingRestriction,
    PowerType,
    Status,
)
from ocpi_emsp.scalars import (
    CountryAlpha3,
    DateTime,
    Latitude,
    Longitude,
    Number,
    String4,
    String10,
    String16,
    String36,
    String39,
    String45,
    String48,
    String64,
    String255,
    TimeOfDay,
    Url,
    Weekday,
    aware_times,
)


@frozen(kw_only=True)
class GeoLocation:
    """WGS 84 coordinates as decimal text."""

    clause: ClassVar[str] = "mod_locations.md#412-geolocation-class"

    latitude: Latitude
    longitude: Longitude


@frozen(kw_only=True, slots=False)
class AdditionalGeoLocation:
    """A related point, with an optional name."""

    clause: ClassVar[str] = "mod_locations.md#41-additionalgeolocation-class"

    latitude: Latitude
    longitude: Longitude
    name: DisplayText | None = None


@frozen(kw_only=True)
class EnergySource:
    """One energy source and its share; ``percentage`` is 0 to 100."""

    clause: ClassVar[str] = "mod_locations.md#46-energysource-class"

    source: EnergySourceCategory
    percentage: Number


@frozen(kw_only=True)
class EnvironmentalImpact:
    """Waste or emission in g/kWh."""

    clause: ClassVar[str] = "mod_locations.md#48-environmentalimpact-class"

    source: EnvironmentalImpactCategory
    amount: Number


@frozen(kw_only=True, slots=False)
class EnergyMix:
    """The energy supplied at a location or in a tariff."""

    clause: ClassVar[str] = "mod_locations.md#45-energymix-class"

    is_green_energy: bool
    energy_sources: tuple[EnergySource, ...] = ()
    environ_impact: tuple[EnvironmentalImpact, ...] = ()
    supplier_name: String64 | None = None
    energy_product_name: String64 | None = None


@frozen(kw_only=True)
class RegularHours:
    """Hours of one weekday; ``period_end`` is later than ``period_begin``."""

    clause: ClassVar[str] = "mod_locations.md#419-regularhours-class"

    weekday: Weekday
    period_begin: TimeOfDay
    period_end: TimeOfDay


@frozen(kw_only=True, field_transformer=aware_times)
class ExceptionalPeriod:
    """One exceptional opening or closing."""

    clause: ClassVar[str] = "mod_locations.md#410-exceptionalperiod-class"

    period_begin: DateTime
    period_end: DateTime


@frozen(kw_only=True, slots=False)
class Hours:
    """Opening hours: either ``regular_hours`` or ``twentyfourseven``, with exceptions."""

    clause: ClassVar[str] = "mod_locations.md#413-hours-class"

    regular_hours: tuple[RegularHours, ...] = ()
    twentyfourseven: bool | None = None
    exceptional_openings: tuple[ExceptionalPeriod, ...] = ()
    exceptional_closings: tuple[ExceptionalPeriod, ...] = ()


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class StatusSchedule:
    """A planned status of an EVSE; informational only."""

    clause: ClassVar[str] = "mod_locations.md#421-statusschedule-class"

    period_begin: DateTime
    period_end: DateTime | None = None
    status: Status


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Connector:
    """A socket or cable of an EVSE; ``voltage`` in V, ``amperage`` in A."""

    clause: ClassVar[str] = "mod_locations.md#33-connector-object"

    id: String36
    standard: ConnectorType
    format: ConnectorFormat
    power_type: PowerType
    voltage: int
    amperage: int
    tariff_id: String36 | None = None
    terms_and_conditions: Url | None = None
    last_updated: DateTime


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Evse:
    """One EVSE (EVSE object): the part of a charge point that charges one vehicle at a time."""

    clause: ClassVar[str] = "mod_locations.md#32-evse-object"

    uid: String39
    evse_id: String48 | None = None
    status: Status
    status_schedule: tuple[StatusSchedule, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    connectors: Annotated[tuple[Connector, ...], Meta(min_length=1)]
    floor_level: String4 | None = None
    coordinates: GeoLocation | None = None
    physical_reference: String16 | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[ParkingRestriction, ...] = ()
    images: tuple[Image, ...] = ()
    last_updated: DateTime


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Location:
    """A charging location with its EVSEs; an absent ``charging_when_closed`` means true."""

    clause: ClassVar[str] = "mod_locations.md#31-location-object"

    id: String39
    type: LocationType
    name: String255 | None = None
    address: String45
    city: String45
    postal_code: String10
    country: CountryAlpha3
    coordinates: GeoLocation
    related_locations: tuple[AdditionalGeoLocation, ...] = ()
    evses: tuple[Evse, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: tuple[Facility, ...] = ()
    time_zone: String255 | None = None
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    last_updated: DateTime
