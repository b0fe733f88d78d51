"""The resources of :class:`ocpi_emsp.Emsp`, and the objects that they return: ``emsp.tokens`` is a Tokens, and so on.

Rules of this package:
- a method is written once, as a flow (modes.py), and is a line or two over those of ``flows``;
- a party is given as ``"NL-TNM"`` or a PartyId, and validated at the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp._extras import late

if TYPE_CHECKING:
    from ocpi_emsp.codec.extensions import authorization_id_of
    from ocpi_emsp.flows.cdrs.fit_readings import ReadingsStep, ReadingsSuggestion
    from ocpi_emsp.flows.cdrs.reconcile_report import (
        CdrDifference,
        CdrMatch,
        CdrSummary,
        ConflictingCdr,
        Reconciliation,
        SessionSummary,
        SuspiciousCdr,
        UnreadableDocument,
    )
    from ocpi_emsp.flows.cdrs.stored_audits import StoredAudit
    from ocpi_emsp.flows.commands.reservations import Reservation, ReservationState
    from ocpi_emsp.flows.commands.states import CommandState, SentCommand
    from ocpi_emsp.flows.core.authorize_hook import ExtendedAuthorizationInfo
    from ocpi_emsp.flows.events.admin import PendingEvent
    from ocpi_emsp.flows.parties.party import Party, PartyState, Profile, SentCredentials
    from ocpi_emsp.flows.partner_health.diagnosis import Check, CheckOutcome, Diagnosis
    from ocpi_emsp.flows.partner_health.profile_suggestions import Suggestion
    from ocpi_emsp.flows.serving.rejections import Rejection
    from ocpi_emsp.flows.serving.retention import Pruned
    from ocpi_emsp.flows.sync.report import ModuleReport, RejectedObject, SyncEnded, SyncProgress, SyncReport
    from ocpi_emsp.flows.sync.run import MODULES, require_modules
    from ocpi_emsp.flows.tokens.authorization_records import Decision
    from ocpi_emsp.flows.tokens.push.fan_out import WaitingPush
    from ocpi_emsp.flows.tokens.push.report import TokenFailure, TokensPushed
    from ocpi_emsp.flows.tokens.store import FailedToken
    from ocpi_emsp.listing import AsyncItems, AsyncListing, Items, Listing
    from ocpi_emsp.resources.audit_report import AsyncAuditReport, AuditReport
    from ocpi_emsp.resources.audits import AsyncAudits, Audits
    from ocpi_emsp.resources.authorizations import AsyncAuthorizations, Authorizations
    from ocpi_emsp.resources.cdrs import AsyncCdrs, Cdrs
    from ocpi_emsp.resources.client import AsyncClient, Client
    from ocpi_emsp.resources.commands import AsyncCommands, AsyncPendingCommand, Commands, PendingCommand
    from ocpi_emsp.resources.events import AsyncEvents, Events
    from ocpi_emsp.resources.locations import AsyncEvses, AsyncLocations, Evses, Locations
    from ocpi_emsp.resources.parties import AsyncParties, Invitation, Parties
    from ocpi_emsp.resources.partner import AsyncPartner, Partner
    from ocpi_emsp.resources.rejections import AsyncRejections, Rejections
    from ocpi_emsp.resources.relay import AsyncRelay, Relay
    from ocpi_emsp.resources.reservations import AsyncReservations, Reservations
    from ocpi_emsp.resources.sessions import AsyncSessions, Sessions
    from ocpi_emsp.resources.stored import ReceivedDocument
    from ocpi_emsp.resources.tariffs import AsyncTariffs, Tariffs, TariffVersion
    from ocpi_emsp.resources.tokens import AsyncTokens, Tokens

__all__ = [
    "MODULES",
    "AsyncAuditReport",
    "AsyncAudits",
    "AsyncAuthorizations",
    "AsyncCdrs",
    "AsyncClient",
    "AsyncCommands",
    "AsyncEvents",
    "AsyncEvses",
    "AsyncItems",
    "AsyncListing",
    "AsyncLocations",
    "AsyncParties",
    "AsyncPartner",
    "AsyncPendingCommand",
    "AsyncRejections",
    "AsyncRelay",
    "AsyncReservations",
    "AsyncSessions",
    "AsyncTariffs",
    "AsyncTokens",
    "AuditReport",
    "Audits",
    "Authorizations",
    "CdrDifference",
    "CdrMatch",
    "CdrSummary",
    "Cdrs",
    "Check",
    "CheckOutcome",
    "Client",
    "CommandState",
    "Commands",
    "ConflictingCdr",
    "Decision",
    "Diagnosis",
    "Events",
    "Evses",
    "ExtendedAuthorizationInfo",
    "FailedToken",
    "Invitation",
    "Items",
    "Listing",
    "Locations",
    "ModuleReport",
    "Parties",
    "Partner",
    "Party",
    "PartyState",
    "PendingCommand",
    "PendingEvent",
    "Profile",
    "Pruned",
    "ReadingsStep",
    "ReadingsSuggestion",
    "ReceivedDocument",
    "Reconciliation",
    "RejectedObject",
    "Rejection",
    "Rejections",
    "Relay",
    "Reservation",
    "ReservationState",
    "Reservations",
    "SentCommand",
    "SentCredentials",
    "SessionSummary",
    "Sessions",
    "StoredAudit",
    "Suggestion",
    "SuspiciousCdr",
    "SyncEnded",
    "SyncProgress",
    "SyncReport",
    "TariffVersion",
    "Tariffs",
    "TokenFailure",
    "Tokens",
    "TokensPushed",
    "UnreadableDocument",
    "WaitingPush",
    "authorization_id_of",
    "require_modules",
]

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    __getattr__ = late(
        __name__,
        {
            "MODULES": "ocpi_emsp.flows.sync.run",
            "AsyncAuditReport": "ocpi_emsp.resources.audit_report",
            "AsyncAudits": "ocpi_emsp.resources.audits",
            "AsyncAuthorizations": "ocpi_emsp.resources.authorizations",
            "AsyncCdrs": "ocpi_emsp.resources.cdrs",
            "AsyncClient": "ocpi_emsp.resources.client",
            "AsyncCommands": "ocpi_emsp.resources.commands",
            "AsyncEvents": "ocpi_emsp.resources.events",
            "AsyncEvses": "ocpi_emsp.resources.locations",
            "AsyncItems": "ocpi_emsp.listing",
            "AsyncListing": "ocpi_emsp.listing",
            "AsyncLocations": "ocpi_emsp.resources.locations",
            "AsyncParties": "ocpi_emsp.resources.parties",
            "AsyncPartner": "ocpi_emsp.resources.partner",
            "AsyncPendingCommand": "ocpi_emsp.resources.commands",
            "AsyncRejections": "ocpi_emsp.resources.rejections",
            "AsyncRelay": "ocpi_emsp.resources.relay",
            "AsyncReservations": "ocpi_emsp.resources.reservations",
            "AsyncSessions": "ocpi_emsp.resources.sessions",
            "AsyncTariffs": "ocpi_emsp.resources.tariffs",
            "AsyncTokens": "ocpi_emsp.resources.tokens",
            "AuditReport": "ocpi_emsp.resources.audit_report",
            "Audits": "ocpi_emsp.resources.audits",
            "Authorizations": "ocpi_emsp.resources.authorizations",
            "CdrDifference": "ocpi_emsp.flows.cdrs.reconcile_report",
            "CdrMatch": "ocpi_emsp.flows.cdrs.reconcile_report",
            "CdrSummary": "ocpi_emsp.flows.cdrs.reconcile_report",
            "Cdrs": "ocpi_emsp.resources.cdrs",
            "Check": "ocpi_emsp.flows.partner_health.diagnosis",
            "CheckOutcome": "ocpi_emsp.flows.partner_health.diagnosis",
            "Client": "ocpi_emsp.resources.client",
            "CommandState": "ocpi_emsp.flows.commands.states",
            "Commands": "ocpi_emsp.resources.commands",
            "ConflictingCdr": "ocpi_emsp.flows.cdrs.reconcile_report",
            "Decision": "ocpi_emsp.flows.tokens.authorization_records",
            "Diagnosis": "ocpi_emsp.flows.partner_health.diagnosis",
            "Events": "ocpi_emsp.resources.events",
            "Evses": "ocpi_emsp.resources.locations",
            "ExtendedAuthorizationInfo": "ocpi_emsp.flows.core.authorize_hook",
            "FailedToken": "ocpi_emsp.flows.tokens.store",
            "Invitation": "ocpi_emsp.resources.parties",
            "Items": "ocpi_emsp.listing",
            "Listing": "ocpi_emsp.listing",
            "Locations": "ocpi_emsp.resources.locations",
            "ModuleReport": "ocpi_emsp.flows.sync.report",
            "Parties": "ocpi_emsp.resources.parties",
            "Partner": "ocpi_emsp.resources.partner",
            "Party": "ocpi_emsp.flows.parties.party",
            "PartyState": "ocpi_emsp.flows.parties.party",
            "PendingCommand": "ocpi_emsp.resources.commands",
            "PendingEvent": "ocpi_emsp.flows.events.admin",
            "Profile": "ocpi_emsp.flows.parties.party",
            "Pruned": "ocpi_emsp.flows.serving.retention",
            "ReadingsStep": "ocpi_emsp.flows.cdrs.fit_readings",
            "ReadingsSuggestion": "ocpi_emsp.flows.cdrs.fit_readings",
            "ReceivedDocument": "ocpi_emsp.resources.stored",
            "Reconciliation": "ocpi_emsp.flows.cdrs.reconcile_report",
            "RejectedObject": "ocpi_emsp.flows.sync.report",
            "Rejection": "ocpi_emsp.flows.serving.rejections",
            "Rejections": "ocpi_emsp.resources.rejections",
            "Relay": "ocpi_emsp.resources.relay",
            "Reservation": "ocpi_emsp.flows.commands.reservations",
            "ReservationState": "ocpi_emsp.flows.commands.reservations",
            "Reservations": "ocpi_emsp.resources.reservations",
            "SentCommand": "ocpi_emsp.flows.commands.states",
            "SentCredentials": "ocpi_emsp.flows.parties.party",
            "SessionSummary": "ocpi_emsp.flows.cdrs.reconcile_report",
            "Sessions": "ocpi_emsp.resources.sessions",
            "StoredAudit": "ocpi_emsp.flows.cdrs.stored_audits",
            "Suggestion": "ocpi_emsp.flows.partner_health.profile_suggestions",
            "SuspiciousCdr": "ocpi_emsp.flows.cdrs.reconcile_report",
            "SyncEnded": "ocpi_emsp.flows.sync.report",
            "SyncProgress": "ocpi_emsp.flows.sync.report",
            "SyncReport": "ocpi_emsp.flows.sync.report",
            "TariffVersion": "ocpi_emsp.resources.tariffs",
            "Tariffs": "ocpi_emsp.resources.tariffs",
            "TokenFailure": "ocpi_emsp.flows.tokens.push.report",
            "Tokens": "ocpi_emsp.resources.tokens",
            "TokensPushed": "ocpi_emsp.flows.tokens.push.report",
            "UnreadableDocument": "ocpi_emsp.flows.cdrs.reconcile_report",
            "WaitingPush": "ocpi_emsp.flows.tokens.push.fan_out",
            "authorization_id_of": "ocpi_emsp.codec.extensions",
            "require_modules": "ocpi_emsp.flows.sync.run",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
