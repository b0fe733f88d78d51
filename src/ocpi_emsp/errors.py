"""The exception tree: whose fault an error is, and its HTTP status and OCPI status_code.

Rules of this module:
- an exception carries its response; no code inspects an exception's text;
- ``Refusal``: a partner's request that we answer with an error; ``PartnerError``: our request that a partner failed;
- statuses follow status_codes.md and the table of docs/reference/answers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from ocpi_emsp.findings import Finding, counted, with_reason, worst_first

_MOST_SHOWN = 20
"""Findings in the text of an exception, the worst first."""


class OcpiError(Exception):
    """Base class of every error of this library."""

    http_status: ClassVar[int] = 500
    status_code: ClassVar[int] = 3000

    def __init__(self, message: str, *, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.findings: tuple[Finding, ...] = tuple(findings)

    @property
    def reason(self) -> str:
        """The message with the worst finding, and the number of further findings."""
        return with_reason(self.message, self.findings)


class StoreFailed(OcpiError):
    """The store is unreachable or failed; its transaction was most likely not committed."""

    command_uid: str | None = None
    """The command that was sent but whose response could not be stored; do not send it again."""


class SchemaMismatch(StoreFailed):
    """The schema of the database does not match this version of the library."""


# --- rejected requests of a partner ---------------------------------------------------------------------------------


class Refusal(OcpiError):
    """A request of a partner that we answer with an error (status_codes.md)."""

    http_status = 400
    status_code = 2000

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of the response in addition to those of the envelope."""
        return ()


class NotJson(Refusal):
    """The bytes are not a readable JSON document (status_codes.md: HTTP 400)."""


class InvalidObject(Refusal):
    """Valid JSON that is not a usable object; ``findings`` lists every deviation (2001)."""

    http_status = 200
    status_code = 2001

    def __str__(self) -> str:
        lines = [self.message, *(f"  {finding}" for finding in worst_first(self.findings)[:_MOST_SHOWN])]
        if len(self.findings) > _MOST_SHOWN:
            lines.append(f"  and {counted(len(self.findings) - _MOST_SHOWN, 'more finding')}")
        return "\n".join(lines)


class CannotStore(InvalidObject):
    """An object, key or entry that the store cannot save; its transaction is rolled back."""


class AlreadyRegistered(InvalidObject):
    """The party is already registered: renew or end the registration instead."""


class InvalidParameter(InvalidObject):
    """An invalid query parameter (2001)."""


class NotAuthenticated(Refusal):
    """The token is missing or unknown (transport_and_format.md, request format: HTTP 401)."""

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
    """The path does not support the method (HTTP 405 with Allow)."""

    http_status = 405

    def __init__(self, message: str, *, allow: Sequence[str]) -> None:
        super().__init__(message)
        self.allow = tuple(allow)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("allow", ", ".join(self.allow)),)


class BodyTooLarge(Refusal):
    """The request body exceeds the configured limit (HTTP 413)."""

    http_status = 413


class TooManyRequests(Refusal):
    """A limit of ours is reached for now (HTTP 429, RFC 6585 4).

    ``retry_after``: the seconds to wait; ``limit``: the name of the setting, for a limit that may reject every request
    for a while; ``is_news``: True for the first such request.
    """

    http_status = 429

    def __init__(self, message: str, *, retry_after: int, limit: str = "", is_news: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.limit = limit
        self.is_news = is_news

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("retry-after", str(self.retry_after)),)


class BodyTooSlow(Refusal):
    """The request body did not arrive in time (HTTP 408)."""

    http_status = 408


class CallerGone(Refusal):
    """The connection ended before the request body was complete: no response can be sent."""


class QuotaExceeded(Refusal):
    """The party has reached one of its storage quotas; 2000, since OCPI has no status for that."""

    http_status = 200

    def __init__(self, message: str, *, quota: str, limit: int) -> None:
        super().__init__(message)
        self.quota = quota
        """The setting, such as ``QuotaLimits.objects``."""
        self.limit = limit


class UnsupportedEncoding(Refusal):
    """The request body is compressed (HTTP 415, RFC 9110 15.5.16)."""

    http_status = 415

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("accept-encoding", "identity"),)


class NotEnoughInformation(Refusal):
    """An authorization request lacks information; an authorize hook may raise it (mod_tokens.md 2.2.2: 2002)."""

    http_status = 200
    status_code = 2002


# --- failed registrations -------------------------------------------------------------------------------------------


class RegistrationFailed(Refusal):
    """The credentials handshake cannot be completed (credentials.md 3.5, 3.6).

    ``said``: the message in the response to the partner. The exception's own message is for us: it may reveal what a
    URL leads to.
    """

    http_status = 200
    status_code = 3001

    def __init__(self, message: str, *, said: str = "cannot use your API", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, findings=findings)
        self.said = said


class CannotUseApi(RegistrationFailed):
    """A request to the partner's API during the handshake failed (3001)."""


class UnsupportedVersion(RegistrationFailed):
    """The partner does not offer OCPI 2.1.1 (3002)."""

    status_code = 3002


class MissingEndpoints(RegistrationFailed):
    """The partner's version details lack required endpoints (3003)."""

    status_code = 3003


# --- our own requests ----------------------------------------------------------------------------------------------


class NotSupported(OcpiError):
    """The support matrix disables this call; nothing was sent."""


class NotRegistered(OcpiError):
    """The party is not registered, so it cannot be called."""


class UnknownCommand(OcpiError):
    """No command with this id was sent to the party, or it was deleted."""


class UnsafeUrl(OcpiError):
    """A URL that the URL policy forbids, or that is outside the party's allowed places; nothing was sent to it."""


class InvalidEnvironment(OcpiError):
    """An environment variable that calls depend on is invalid, such as ``SSL_CERT_FILE`` or ``HTTPS_PROXY``."""


class PartnerError(OcpiError):
    """A call to a partner failed. ``http_status`` is our own status if a request to us depends on the call."""

    def __init__(self, message: str, *, method: str = "", url: str = "", findings: Sequence[Finding] = ()) -> None:
        super().__init__(message, findings=findings)
        self.method = method
        self.url = url
        self.command_uid: str | None = None
        """Of the command that the call was about, which may have arrived: ``emsp.commands.pending(country_code,
        party_id, uid)`` awaits what becomes of it. None if the call was about no command."""


class TransportFailed(PartnerError):
    """No response: connection, TLS, timeout, or a response larger than the limit.

    ``retryable``: the same GET may succeed later, for example after a reset or a timeout; not after a rejected
    certificate or a response over a limit.
    """

    def __init__(self, message: str, *, method: str = "", url: str = "", retryable: bool = False) -> None:
        super().__init__(message, method=method, url=url)
        self.retryable = retryable


class PartnerUnavailable(TransportFailed):
    """Calls to the partner are suspended: repeated failures, a Retry-After, or no free slot of its rate limit.

    ``until``: when calls resume, if known.
    """

    def __init__(self, message: str, *, method: str = "", url: str = "", until: datetime | None = None) -> None:
        super().__init__(message, method=method, url=url)
        self.until = until


class AnswerUnusable(PartnerError):
    """A response that is not an OCPI envelope, or whose data is unusable."""


class PartnerRefused(PartnerError):
    """The partner responded with an HTTP or an OCPI error."""

    def __init__(
        self, message: str, *, method: str, url: str, answered_http: int, answered_code: int | None, data: bytes = b""
    ) -> None:
        super().__init__(message, method=method, url=url)
        self.answered_http = answered_http
        self.answered_code = answered_code
        self.data = data
