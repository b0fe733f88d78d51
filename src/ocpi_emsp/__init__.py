"""The eMSP side of OCPI 2.1.1 as a library: receive, call, check.

>>> from ocpi_emsp import Emsp
>>> from ocpi_emsp.storage import MemoryStore
>>> emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge",
...             url="https://ocpi.example.com/ocpi/emsp", store=MemoryStore())
>>> app = emsp.asgi()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ocpi_emsp.check import Policy, check
from ocpi_emsp.codec import decode, encode
from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    InvalidObject,
    MissingEndpoints,
    NotEnoughInformation,
    NotJson,
    NotRegistered,
    NotSupported,
    OcpiError,
    PartnerError,
    PartnerRefused,
    Refusal,
    RegistrationFailed,
    SchemaMismatch,
    StoreFailed,
    TransportFailed,
    UnsafeUrl,
    UnsupportedVersion,
)
from ocpi_emsp.findings import Finding, Report, Severity
from ocpi_emsp.models import (
    AdditionalGeoLocation,
    Allowed,
    AuthMethod,
    AuthorizationInfo,
    BusinessDetails,
    Capability,
    Cdr,
    CdrDimension,
    CdrDimensionType,
    ChargingPeriod,
    CommandResponse,
    CommandResponseType,
    CommandType,
    Connector,
    ConnectorFormat,
    ConnectorType,
    Credentials,
    DayOfWeek,
    DisplayText,
    Endpoint,
    EnergyMix,
    EnergySource,
    EnergySourceCategory,
    Envelope,
    EnvironmentalImpact,
    EnvironmentalImpactCategory,
    Evse,
    ExceptionalPeriod,
    Facility,
    GeoLocation,
    Hours,
    Image,
    ImageCategory,
    Location,
    LocationReferences,
    LocationType,
    ModuleID,
    ParkingRestriction,
    PowerType,
    PriceComponent,
    RegularHours,
    ReserveNow,
    Session,
    SessionStatus,
    StartSession,
    Status,
    StatusSchedule,
    StopSession,
    Tariff,
    TariffDimensionType,
    TariffElement,
    TariffRestrictions,
    Token,
    TokenType,
    UnlockConnector,
    Version,
    VersionDetail,
    VersionNumber,
    WhitelistType,
)
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Request, Response

if TYPE_CHECKING:
    from ocpi_emsp.client import AsyncClient, AsyncListing, Client, Listing
    from ocpi_emsp.emsp import Emsp, Invitation
    from ocpi_emsp.events import (
        CdrConflict,
        CdrReceived,
        CommandResultReceived,
        Event,
        EvseReceived,
        EvseRemoved,
        LocationReceived,
        PartyRegistered,
        PartyUnregistered,
        PartyUpdated,
        RelayedEvent,
        ResyncWanted,
        SessionReceived,
        TariffDeleted,
        TariffReceived,
    )
    from ocpi_emsp.flows.command import SentCommand
    from ocpi_emsp.flows.context import Limits
    from ocpi_emsp.flows.journal import PendingEvent
    from ocpi_emsp.flows.parties import Party
    from ocpi_emsp.kept import AsyncRelay, Relay

__all__ = [
    "AdditionalGeoLocation",
    "Allowed",
    "AnswerUnusable",
    "AsyncClient",
    "AsyncListing",
    "AsyncRelay",
    "AuthMethod",
    "AuthorizationInfo",
    "BusinessDetails",
    "CannotUseApi",
    "Capability",
    "Cdr",
    "CdrConflict",
    "CdrDimension",
    "CdrDimensionType",
    "CdrReceived",
    "ChargingPeriod",
    "Client",
    "CommandResponse",
    "CommandResponseType",
    "CommandResultReceived",
    "CommandType",
    "Connector",
    "ConnectorFormat",
    "ConnectorType",
    "Credentials",
    "DayOfWeek",
    "DisplayText",
    "Emsp",
    "Endpoint",
    "EnergyMix",
    "EnergySource",
    "EnergySourceCategory",
    "Envelope",
    "EnvironmentalImpact",
    "EnvironmentalImpactCategory",
    "Event",
    "Evse",
    "EvseReceived",
    "EvseRemoved",
    "ExceptionalPeriod",
    "Facility",
    "Finding",
    "GeoLocation",
    "Hours",
    "Image",
    "ImageCategory",
    "InvalidObject",
    "Invitation",
    "Limits",
    "Listing",
    "Location",
    "LocationReceived",
    "LocationReferences",
    "LocationType",
    "MissingEndpoints",
    "ModuleID",
    "NotEnoughInformation",
    "NotJson",
    "NotRegistered",
    "NotSupported",
    "OcpiError",
    "ParkingRestriction",
    "PartnerError",
    "PartnerRefused",
    "Party",
    "PartyRegistered",
    "PartyUnregistered",
    "PartyUpdated",
    "PendingEvent",
    "Policy",
    "PowerType",
    "PriceComponent",
    "Refusal",
    "RegistrationFailed",
    "RegularHours",
    "Relay",
    "RelayedEvent",
    "Report",
    "Request",
    "ReserveNow",
    "Response",
    "ResyncWanted",
    "SchemaMismatch",
    "SentCommand",
    "Session",
    "SessionReceived",
    "SessionStatus",
    "Severity",
    "StartSession",
    "Status",
    "StatusSchedule",
    "StopSession",
    "StoreFailed",
    "SupportMatrix",
    "Tariff",
    "TariffDeleted",
    "TariffDimensionType",
    "TariffElement",
    "TariffReceived",
    "TariffRestrictions",
    "Token",
    "TokenType",
    "TransportFailed",
    "UnlockConnector",
    "UnsafeUrl",
    "UnsupportedVersion",
    "Version",
    "VersionDetail",
    "VersionNumber",
    "WhitelistType",
    "check",
    "decode",
    "encode",
]

_SERVING = (
    "ocpi_emsp.events",
    "ocpi_emsp.flows.command",
    "ocpi_emsp.flows.context",
    "ocpi_emsp.flows.journal",
    "ocpi_emsp.flows.parties",
    "ocpi_emsp.kept",
    "ocpi_emsp.client",
    "ocpi_emsp.emsp",
)
"""Modules whose names are imported when they are first used: checking documents needs no HTTP client."""

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take every name for one of ours

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in map(import_module, _SERVING):
                if name in vars(module):
                    return globals().setdefault(name, vars(module)[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
