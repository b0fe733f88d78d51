"""mod_sessions.md: Session. The rules of the package are in common.py."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from ocpi_emsp.models.cdrs import ChargingPeriod
from ocpi_emsp.models.enums import AuthMethod, SessionStatus
from ocpi_emsp.models.locations import Location
from ocpi_emsp.scalars import DateTime, Number, String3, String36, String255, aware_times


@frozen(kw_only=True, slots=False, field_transformer=aware_times)
class Session:
    """One charging session; an absent ``total_cost`` means no price information, not free of charge."""

    clause: ClassVar[str] = "mod_sessions.md#31-session-object"

    id: String36
    start_datetime: DateTime
    end_datetime: DateTime | None = None
    kwh: Number
    auth_id: String36
    auth_method: AuthMethod
    location: Location
    meter_id: String255 | None = None
    currency: String3
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_cost: Number | None = None
    status: SessionStatus
    last_updated: DateTime
