"""mod_cdrs.md: CDR and its parts. The rules of the package are in common.py."""

from __future__ import annotations

from typing import Annotated, ClassVar

from attrs import frozen
from msgspec import Meta

from ocpi_emsp.models.enums import AuthMethod, CdrDimensionType
from ocpi_emsp.models.locations import Location
from ocpi_emsp.models.tariffs import Tariff
from ocpi_emsp.scalars import CiString36, DateTime, Number, String3, String36, String255, aware_times


@frozen(kw_only=True)
class CdrDimension:
    """A volume: kWh, A, or hours, by its type."""

    clause: ClassVar[str] = "mod_cdrs.md#42-cdrdimension-class"

    type: CdrDimensionType
    volume: Number


@frozen(kw_only=True, field_transformer=aware_times)
class ChargingPeriod:
    """A part of a session; a period ends where the next one starts."""

    clause: ClassVar[str] = "mod_cdrs.md#44-chargingperiod-class"

    start_date_time: DateTime
    dimensions: Annotated[tuple[CdrDimension, ...], Meta(min_length=1)]


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Cdr:
    """A charge detail record (CDR object), the only billing-relevant object: kWh, hours, cost excluding VAT."""

    clause: ClassVar[str] = "mod_cdrs.md#31-cdr-object"

    id: CiString36
    start_date_time: DateTime
    stop_date_time: DateTime
    auth_id: String36
    auth_method: AuthMethod
    location: Location
    meter_id: String255 | None = None
    currency: String3
    tariffs: tuple[Tariff, ...] = ()
    charging_periods: Annotated[tuple[ChargingPeriod, ...], Meta(min_length=1)]
    total_cost: Number
    total_energy: Number
    total_time: Number
    total_parking_time: Number | None = None
    remark: String255 | None = None
    last_updated: DateTime
