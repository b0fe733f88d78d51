"""The exception tree: whose fault it is, which HTTP status and which OCPI status_code answer it.

Rules of this module:
- an exception carries its reply; nothing sniffs an exception by its text;
- ``Refusal``: a partner's request that we answer with an error; ``PartnerError``: our request that a partner failed;
- statuses follow status_codes.md and the status table of docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from ocpi_emsp.findings import Finding


class OcpiError(Exception):
    """Every error that this library raises on purpose."""

    http_status: ClassVar[int] = 500
    status_code: ClassVar[int] = 3000

    def __init__(self, message: str, *, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings: tuple[Finding, ...] = tuple(findings)


class StoreFailed(OcpiError):
    """The store cannot be reached, or failed: nothing of the transaction is written, as far as we know."""

    command_uid: str | None = None
    """Of a command that was sent, and whose answer could not be stored: it is not to be sent again."""


class SchemaMismatch(StoreFailed):
    """The database's schema is not the one of this version of the library."""


# --- a partner's request that is refused ----------------------------------------------------------------------------


class Refusal(OcpiError):
    """A request from a partner that cannot be served; answered with its statuses (status_codes.md)."""

    http_status = 400
    status_code = 2000

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers that the answer needs beside the envelope."""
        return ()


class NotJson(Refusal):
    """The bytes are no JSON document that can be read (status_codes.md: HTTP 400)."""


class InvalidObject(Refusal):
    """Readable JSON that is not a usable object; ``findings`` names every deviation (2001)."""

    http_status = 200
    status_code = 2001

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {finding}" for finding in self.findings)])


class CannotStore(InvalidObject):
    """An object, key or entry that the store cannot hold: nothing of its transaction is kept."""


class AlreadyRegistered(InvalidObject):
    """There is a registration with this party: it can be renewed or ended, not replaced."""


class InvalidParameter(InvalidObject):
    """A query parameter that cannot be read (2001)."""


class NotAuthenticated(Refusal):
    """No token, or a token that belongs to nobody (transport_and_format.md, request format: HTTP 401)."""

    http_status = 401

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("www-authenticate", "Token"),)


class UnknownObject(Refusal):
    """The addressed object does not exist here, or belongs to another party (HTTP 404)."""

    http_status = 404


class UnknownLocation(UnknownObject):
    """The addressed location does not exist here (HTTP 404, 2003)."""

    status_code = 2003


class MethodNotAllowed(Refusal):
    """The path exists, the method is not served on it (HTTP 405 with Allow)."""

    http_status = 405

    def __init__(self, message: str, *, allow: Sequence[str]) -> None:
        super().__init__(message)
        self.allow = tuple(allow)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("allow", ", ".join(self.allow)),)


class BodyTooLarge(Refusal):
    """The request's body is over the configured limit (HTTP 413)."""

    http_status = 413


class NotEnoughInformation(Refusal):
    """An authorization request that says too little; an authorize hook may raise it (mod_tokens.md 2.2.2: 2002)."""

    http_status = 200
    status_code = 2002


# --- registration that fails ----------------------------------------------------------------------------------------


class RegistrationFailed(Refusal):
    """The credentials handshake cannot be completed (credentials.md 3.5, 3.6)."""

    http_status = 200
    status_code = 3001


class CannotUseApi(RegistrationFailed):
    """A request to the partner's API during the handshake failed (3001)."""


class UnsupportedVersion(RegistrationFailed):
    """The partner does not offer OCPI 2.1.1 (3002)."""

    status_code = 3002


class MissingEndpoints(RegistrationFailed):
    """The partner's version details lack endpoints that are needed (3003)."""

    status_code = 3003


# --- our own requests ----------------------------------------------------------------------------------------------


class NotSupported(OcpiError):
    """The support matrix switches this call off; nothing was sent."""


class NotRegistered(OcpiError):
    """There is no completed registration with this party, so there is nothing to call."""


class UnknownCommand(OcpiError):
    """We have sent this party no command with this id, or it was deleted."""


class UnsafeUrl(OcpiError):
    """A URL that the url policy forbids (plain http, or another origin); nothing was sent to it."""


class PartnerError(OcpiError):
    """A call to a partner that did not do what it should. ``http_status`` is what we would answer ourselves."""

    def __init__(self, message: str, *, method: str = "", url: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, findings=findings)
        self.method = method
        self.url = url
        self.command_uid: str | None = None
        """Of the command that the call was about, which may have arrived: ``emsp.commands.pending(country_code,
        party_id, uid)`` awaits what becomes of it. None where the call was about no command."""


class TransportFailed(PartnerError):
    """No answer: connection, TLS, timeout, or an answer larger than the limit.

    ``retryable``: the same GET may succeed a little later, as after a reset or a timeout; not after a refused
    certificate, or an answer over a limit.
    """

    def __init__(self, message: str, *, method: str = "", url: str = "", retryable: bool = False) -> None:
        super().__init__(message, method=method, url=url)
        self.retryable = retryable


class PartnerUnavailable(TransportFailed):
    """Not called for now: the partner failed too often in a row, asked for a longer rest, or has no free slot.

    ``until``: when it may be called again, where that is known.
    """

    def __init__(self, message: str, *, method: str = "", url: str = "", until: datetime | None = None) -> None:
        super().__init__(message, method=method, url=url)
        self.until = until


class AnswerUnusable(PartnerError):
    """An answer that is no OCPI envelope, or whose data cannot be read."""


class PartnerRefused(PartnerError):
    """The partner answered with an HTTP or OCPI error (both layers are judged)."""

    def __init__(
        self, message: str, *, method: str, url: str, answered_http: int, answered_code: int | None, data: bytes = b""
    ) -> None:
        super().__init__(message, method=method, url=url)
        self.answered_http = answered_http
        self.answered_code = answered_code
        self.data = data
