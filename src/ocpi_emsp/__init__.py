"""The eMSP side of OCPI 2.1.1 as a library: receive, call, check.

>>> from ocpi_emsp import Emsp
>>> emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge",
...             url="https://ocpi.example.com/ocpi/emsp", store="memory")
>>> app = emsp.asgi()

More is in ``ocpi_emsp.models`` (enums and parts), ``.events``, ``.errors``, ``.resources`` (what an Emsp gives),
``.settings`` and ``.ports``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ocpi_emsp.check import Policy, check
from ocpi_emsp.codec import decode, encode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.findings import Finding, Report
from ocpi_emsp.models import Allowed, AuthorizationInfo, Cdr, Connector, Evse, Location, Session, Tariff, Token
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.secret import Secret
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.url_policy import UrlPolicy

if TYPE_CHECKING:
    from ocpi_emsp.emsp import Emsp
    from ocpi_emsp.flows.core.authorize_hook import AuthorizationRequest
    from ocpi_emsp.flows.core.settings import Limits
    from ocpi_emsp.pricing import Plan, Readings, Verdict, audit, quote

__all__ = [
    "Allowed",
    "AuthorizationInfo",
    "AuthorizationRequest",
    "Cdr",
    "Connector",
    "Emsp",
    "Evse",
    "Finding",
    "Limits",
    "Location",
    "OcpiError",
    "PartyId",
    "Plan",
    "Policy",
    "Readings",
    "Report",
    "Secret",
    "Session",
    "SupportMatrix",
    "Tariff",
    "Token",
    "UrlPolicy",
    "Verdict",
    "audit",
    "check",
    "decode",
    "encode",
    "quote",
]

_SERVING = {
    "AuthorizationRequest": "ocpi_emsp.flows.core.authorize_hook",
    "Emsp": "ocpi_emsp.emsp",
    "Limits": "ocpi_emsp.flows.core.settings",
    "Plan": "ocpi_emsp.pricing",
    "Readings": "ocpi_emsp.pricing",
    "Verdict": "ocpi_emsp.pricing",
    "audit": "ocpi_emsp.pricing",
    "quote": "ocpi_emsp.pricing",
}
"""Names that are imported when they are first used: checking documents needs no HTTP client, and no prices."""

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take every name for one of ours

    def __getattr__(name: str) -> object:
        if name in _SERVING:
            return globals().setdefault(name, getattr(import_module(_SERVING[name]), name))
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
