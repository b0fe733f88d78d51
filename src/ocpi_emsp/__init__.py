"""The eMSP side of OCPI 2.1.1 as a library: receive, call, check.

>>> from ocpi_emsp import Emsp
>>> emsp = Emsp(country_code="IT", party_id="BEC", name="Be Charge",
...             url="https://ocpi.example.com/ocpi/emsp", store="memory")
>>> app = emsp.asgi()

More is in ``ocpi_emsp.models`` (enums and parts), ``.events``, ``.errors``, ``.resources`` (the resources of an Emsp),
``.settings`` and ``.ports``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from ocpi_emsp._extras import late as _late

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

if not TYPE_CHECKING:  # type checkers read the imports above; __getattr__ would make every name valid for them
    # The command's help, and pytest, which loads our plugin, need none of them.
    __getattr__ = _late(
        __name__,
        {
            "Allowed": "ocpi_emsp.models",
            "AuthorizationInfo": "ocpi_emsp.models",
            "AuthorizationRequest": "ocpi_emsp.flows.core.authorize_hook",
            "Cdr": "ocpi_emsp.models",
            "Connector": "ocpi_emsp.models",
            "Emsp": "ocpi_emsp.emsp",
            "Evse": "ocpi_emsp.models",
            "Finding": "ocpi_emsp.findings",
            "Limits": "ocpi_emsp.flows.core.settings",
            "Location": "ocpi_emsp.models",
            "OcpiError": "ocpi_emsp.errors",
            "PartyId": "ocpi_emsp.party_id",
            "Plan": "ocpi_emsp.pricing",
            "Policy": "ocpi_emsp.check",
            "Readings": "ocpi_emsp.pricing",
            "Report": "ocpi_emsp.findings",
            "Secret": "ocpi_emsp.secret",
            "Session": "ocpi_emsp.models",
            "SupportMatrix": "ocpi_emsp.support",
            "Tariff": "ocpi_emsp.models",
            "Token": "ocpi_emsp.models",
            "UrlPolicy": "ocpi_emsp.url_policy",
            "Verdict": "ocpi_emsp.pricing",
            "__version__": "ocpi_emsp._version",
            "audit": "ocpi_emsp.pricing",
            "check": "ocpi_emsp.check",
            "decode": "ocpi_emsp.codec",
            "encode": "ocpi_emsp.codec",
            "quote": "ocpi_emsp.pricing",
        },
        modules=(
            *("codec", "errors", "events", "models", "ports", "pricing"),
            *("report", "resources", "settings", "types", "wire"),
        ),
    )


class _Package(ModuleType):
    """This package: its ``check`` is the function, even after the subpackage ``check`` was imported, which would
    replace it.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name == "check" and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
