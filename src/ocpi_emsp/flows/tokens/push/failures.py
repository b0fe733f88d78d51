"""Why a token could not be pushed, and whether that concerns the token or the party.

Rules of this module: a log contains neither the partner's text nor a URL, since both may name a driver's token.
"""

from __future__ import annotations

from ocpi_emsp.errors import AnswerUnusable, OcpiError, PartnerError, PartnerRefused, TransportFailed, UnsafeUrl
from ocpi_emsp.report.escapes import printable

_OUTAGES = (429, 502, 503, 504)
"""HTTP statuses that concern the party's server, not the token (RFC 9110 15.6, RFC 6585 4)."""
_LONGEST_ERROR = 500
"""Characters of an error that are stored: a partner's message has no bound."""


def is_unauthorized(error: PartnerError) -> bool:
    """Return True if the party does not accept our token: no other request would succeed."""
    return isinstance(error, PartnerRefused) and error.answered_http == 401


def is_outage(error: PartnerError) -> bool:
    """Return True if the party did not answer, or its server could not process any request."""
    is_of_server = isinstance(error, PartnerRefused) and error.answered_http in _OUTAGES
    return is_of_server or isinstance(error, TransportFailed)


def reason_of(error: OcpiError) -> str:
    """Return why a request failed, in a form that a log may contain."""
    if isinstance(error, PartnerRefused):
        code = "not an OCPI envelope" if error.answered_code is None else f"status_code {error.answered_code}"
        return f"the partner answered HTTP {error.answered_http}, {code}"
    if isinstance(error, AnswerUnusable):
        return "the partner's answer cannot be read"
    if isinstance(error, UnsafeUrl):
        return "the URL policy forbids the partner's tokens endpoint"
    call = f"{error.method} {error.url}: " if isinstance(error, PartnerError) else ""
    return error.message.removeprefix(call)


def short(text: str) -> str:
    """Return an error as it is stored: printable, and bounded."""
    return printable(text)[:_LONGEST_ERROR]
