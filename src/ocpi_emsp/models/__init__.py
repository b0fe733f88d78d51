"""Every object and enum of OCPI 2.1.1; one module per chapter of the specification.

Rules of this package: ``__all__`` omits what the top level already exports (``ocpi_emsp.Location``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ocpi_emsp.models.cdrs import Cdr as Cdr, CdrDimension, ChargingPeriod
from ocpi_emsp.models.commands import CommandResponse, ReserveNow, StartSession, StopSession, UnlockConnector
from ocpi_emsp.models.common import BusinessDetails, DisplayText, Image
from ocpi_emsp.models.credentials import Credentials
from ocpi_emsp.models.enums import (
    Allowed as Allowed,
    AuthMethod,
    Capability,
    CdrDimensionType,
    CommandResponseType,
    CommandType,
    ConnectorFormat,
    ConnectorType,
    DayOfWeek,
    EnergySourceCategory,
    EnvironmentalImpactCategory,
    Facility,
    ImageCategory,
    LocationType,
    ModuleID,
    ParkingRestriction,
    PowerType,
    SessionStatus,
    Status,
    TariffDimensionType,
    TokenType,
    VersionNumber,
    WhitelistType,
)
from ocpi_emsp.models.envelope import Envelope
from ocpi_emsp.models.locations import (
    AdditionalGeoLocation,
    Connector as Connector,
    EnergyMix,
    EnergySource,
    EnvironmentalImpact,
    Evse as Evse,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    Location as Location,
    RegularHours,
    StatusSchedule,
)
from ocpi_emsp.models.sessions import Session as Session
from ocpi_emsp.models.tariffs import PriceComponent, Tariff as Tariff, TariffElement, TariffRestrictions
from ocpi_emsp.models.tokens import AuthorizationInfo as AuthorizationInfo, LocationReferences, Token as Token
from ocpi_emsp.models.versions import Endpoint, Version, VersionDetail

__all__ = [
    "OBJECTS_AND_ENUMS",
    "AdditionalGeoLocation",
    "AuthMethod",
    "BusinessDetails",
    "Capability",
    "CdrDimension",
    "CdrDimensionType",
    "ChargingPeriod",
    "CommandResponse",
    "CommandResponseType",
    "CommandType",
    "ConnectorFormat",
    "ConnectorType",
    "Credentials",
    "DayOfWeek",
    "DisplayText",
    "Endpoint",
    "EnergyMix",
    "EnergySource",
    "EnergySourceCategory",
    "Envelope",
    "EnvironmentalImpact",
    "EnvironmentalImpactCategory",
    "ExceptionalPeriod",
    "Facility",
    "GeoLocation",
    "Hours",
    "Image",
    "ImageCategory",
    "LocationReferences",
    "LocationType",
    "ModuleID",
    "ParkingRestriction",
    "PowerType",
    "PriceComponent",
    "RegularHours",
    "ReserveNow",
    "SessionStatus",
    "StartSession",
    "Status",
    "StatusSchedule",
    "StopSession",
    "TariffDimensionType",
    "TariffElement",
    "TariffRestrictions",
    "TokenType",
    "UnlockConnector",
    "Version",
    "VersionDetail",
    "VersionNumber",
    "WhitelistType",
]

OBJECTS_AND_ENUMS: Final[Mapping[str, type[Any]]] = {
    name: kind
    for name, kind in sorted(globals().items())
    if isinstance(kind, type) and kind.__module__.startswith(f"{__name__}.")
}
"""Every object and enum by name, including those that the top level exports."""
