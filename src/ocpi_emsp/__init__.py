"""The eMSP side of OCPI 2.1.1 as a library: receive, call, check.

>>> from ocpi_emsp import Emsp
>>> emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge",
...             url="https://ocpi.example.com/ocpi/emsp", store="memory")
>>> app = emsp.asgi()

More is in ``ocpi_emsp.models`` (enums and parts), ``.events``, ``.errors``, ``.resources`` (what an Emsp gives),
``.settings`` and ``.ports``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocpi_emsp._version import __version__ as __version__
    from ocpi_emsp.check import Policy, check
    from ocpi_emsp.codec import decode, encode
    from ocpi_emsp.emsp import Emsp
    from ocpi_emsp.errors import OcpiError
    from ocpi_emsp.findings import Finding, Report
    from ocpi_emsp.flows.core.authorize_hook import AuthorizationRequest
    from ocpi_emsp.flows.core.settings import Limits
    from ocpi_emsp.models import Allowed, AuthorizationInfo, Cdr, Connector, Evse, Location, Session, Tariff, Token
    from ocpi_emsp.party_id import PartyId
    from ocpi_emsp.pricing import Plan, Readings, Verdict, audit, quote
    from ocpi_emsp.secret import Secret
    from ocpi_emsp.support import SupportMatrix
    from ocpi_emsp.url_policy import UrlPolicy

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

_PLACES = {
    "Allowed": "models",
    "AuthorizationInfo": "models",
    "AuthorizationRequest": "flows.core.authorize_hook",
    "Cdr": "models",
    "Connector": "models",
    "Emsp": "emsp",
    "Evse": "models",
    "Finding": "findings",
    "Limits": "flows.core.settings",
    "Location": "models",
    "OcpiError": "errors",
    "PartyId": "party_id",
    "Plan": "pricing",
    "Policy": "check",
    "Readings": "pricing",
    "Report": "findings",
    "Secret": "secret",
    "Session": "models",
    "SupportMatrix": "support",
    "Tariff": "models",
    "Token": "models",
    "UrlPolicy": "url_policy",
    "Verdict": "pricing",
    "__version__": "_version",
    "audit": "pricing",
    "check": "check",
    "decode": "codec",
    "encode": "codec",
    "quote": "pricing",
}
"""The module of each name, which is imported when the name is first used: the help of the command, and pytest, which
loads our plugin, need none of them."""

_MODULES = frozenset(
    {"codec", "errors", "events", "models", "ports", "pricing", "report", "resources", "settings", "wire"}
)
"""Modules that are attributes of this package without an import of their own."""

if not TYPE_CHECKING:  # a type checker reads the imports above, and must not take every name for one of ours

    def __getattr__(name: str) -> object:
        if name in _PLACES:
            return globals().setdefault(name, getattr(import_module(f"{__name__}.{_PLACES[name]}"), name))
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


class _Package(ModuleType):
    """This package: its ``check`` is the function, whoever imports the subpackage of that name, which would be set."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "check" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
