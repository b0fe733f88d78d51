"""Types in the signatures of public classes and functions, for users' annotations.

Rules of this module: tests/test_exports.py finds every such type; a type with another natural module is listed there
instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocpi_emsp._extras import late

if TYPE_CHECKING:
    from ocpi_emsp.adapters.asgi import AsgiApp
    from ocpi_emsp.adapters.lifespan import AsgiApplication
    from ocpi_emsp.adapters.wsgi import WsgiApp, WsgiApplication
    from ocpi_emsp.codec.weight import Bounds
    from ocpi_emsp.events import PublishFunction
    from ocpi_emsp.findings import Rule, Severity
    from ocpi_emsp.flows.calls.fetch_one import FetchedPage, RejectedItem
    from ocpi_emsp.flows.cdrs.audit import GivenReadings
    from ocpi_emsp.flows.cdrs.reconcile_report import Bounded, How, What
    from ocpi_emsp.flows.commands.states import CommandChange
    from ocpi_emsp.flows.core.authorize_hook import AuthorizeFallback
    from ocpi_emsp.flows.events.admin import Topic
    from ocpi_emsp.flows.parties.extra_headers import ExtraHeader
    from ocpi_emsp.flows.parties.party import IssuedToken, RuleAction
    from ocpi_emsp.flows.partner_health.diagnosis import ExpectedSupport, Works
    from ocpi_emsp.flows.sync.run import Stop, Watch
    from ocpi_emsp.flows.tokens.authorization_records import DecidedBy
    from ocpi_emsp.flows.tokens.push.report import Ended
    from ocpi_emsp.party_id import PartyLike
    from ocpi_emsp.pricing.documents import Document
    from ocpi_emsp.pricing.places import ChargingPlace
    from ocpi_emsp.pricing.plausibility.surroundings import Amounts, KnownPlace, KnownSession, KnownToken, Neighbour
    from ocpi_emsp.redact.places import Place
    from ocpi_emsp.report.render_text import Table
    from ocpi_emsp.report.samples import Quoted
    from ocpi_emsp.storage.listeners import Listener
    from ocpi_emsp.support import SupportRow
    from ocpi_emsp.transports.httpx import AsyncClientFactory, ClientFactory
    from ocpi_emsp.url_policy import Network

__all__ = [
    "Amounts",
    "AsgiApp",
    "AsgiApplication",
    "AsyncClientFactory",
    "AuthorizeFallback",
    "Bounded",
    "Bounds",
    "ChargingPlace",
    "ClientFactory",
    "CommandChange",
    "DecidedBy",
    "Document",
    "Ended",
    "ExpectedSupport",
    "ExtraHeader",
    "FetchedPage",
    "GivenReadings",
    "How",
    "IssuedToken",
    "KnownPlace",
    "KnownSession",
    "KnownToken",
    "Listener",
    "Neighbour",
    "Network",
    "PartyLike",
    "Place",
    "PublishFunction",
    "Quoted",
    "RejectedItem",
    "Rule",
    "RuleAction",
    "Severity",
    "Stop",
    "SupportRow",
    "Table",
    "Topic",
    "Watch",
    "What",
    "Works",
    "WsgiApp",
    "WsgiApplication",
]

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    __getattr__ = late(
        __name__,
        {
            "Amounts": "ocpi_emsp.pricing.plausibility.surroundings",
            "AsgiApp": "ocpi_emsp.adapters.asgi",
            "AsgiApplication": "ocpi_emsp.adapters.lifespan",
            "AsyncClientFactory": "ocpi_emsp.transports.httpx",
            "AuthorizeFallback": "ocpi_emsp.flows.core.authorize_hook",
            "Bounded": "ocpi_emsp.flows.cdrs.reconcile_report",
            "Bounds": "ocpi_emsp.codec.weight",
            "ChargingPlace": "ocpi_emsp.pricing.places",
            "ClientFactory": "ocpi_emsp.transports.httpx",
            "CommandChange": "ocpi_emsp.flows.commands.states",
            "DecidedBy": "ocpi_emsp.flows.tokens.authorization_records",
            "Document": "ocpi_emsp.pricing.documents",
            "Ended": "ocpi_emsp.flows.tokens.push.report",
            "ExpectedSupport": "ocpi_emsp.flows.partner_health.diagnosis",
            "ExtraHeader": "ocpi_emsp.flows.parties.extra_headers",
            "FetchedPage": "ocpi_emsp.flows.calls.fetch_one",
            "GivenReadings": "ocpi_emsp.flows.cdrs.audit",
            "How": "ocpi_emsp.flows.cdrs.reconcile_report",
            "IssuedToken": "ocpi_emsp.flows.parties.party",
            "KnownPlace": "ocpi_emsp.pricing.plausibility.surroundings",
            "KnownSession": "ocpi_emsp.pricing.plausibility.surroundings",
            "KnownToken": "ocpi_emsp.pricing.plausibility.surroundings",
            "Listener": "ocpi_emsp.storage.listeners",
            "Neighbour": "ocpi_emsp.pricing.plausibility.surroundings",
            "Network": "ocpi_emsp.url_policy",
            "PartyLike": "ocpi_emsp.party_id",
            "Place": "ocpi_emsp.redact.places",
            "PublishFunction": "ocpi_emsp.events",
            "Quoted": "ocpi_emsp.report.samples",
            "RejectedItem": "ocpi_emsp.flows.calls.fetch_one",
            "Rule": "ocpi_emsp.findings",
            "RuleAction": "ocpi_emsp.flows.parties.party",
            "Severity": "ocpi_emsp.findings",
            "Stop": "ocpi_emsp.flows.sync.run",
            "SupportRow": "ocpi_emsp.support",
            "Table": "ocpi_emsp.report.render_text",
            "Topic": "ocpi_emsp.flows.events.admin",
            "Watch": "ocpi_emsp.flows.sync.run",
            "What": "ocpi_emsp.flows.cdrs.reconcile_report",
            "Works": "ocpi_emsp.flows.partner_health.diagnosis",
            "WsgiApp": "ocpi_emsp.adapters.wsgi",
            "WsgiApplication": "ocpi_emsp.adapters.wsgi",
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
