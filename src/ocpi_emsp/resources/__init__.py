"""The resources of :class:`ocpi_emsp.Emsp`, and what they give: ``emsp.tokens`` is a Tokens, and so on.

Rules of this package:
- a method is written once, as a flow (modes.py), and is a line or two over those of ``flows``;
- a party is given as ``"NL-TNM"`` or a PartyId, and checked at the call.
"""

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
