"""What is recorded of a call to a partner: a log line, a span, and metrics.

Rules of this module:
- the partner's text is only recorded from a response without an envelope, bounded and without our token; no line
  identifies a driver;
- the duration is that of the whole call: with the wait for its turn, its retries and their waits, if the context has
  them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from attrs import define

from ocpi_emsp import logs
from ocpi_emsp.errors import InvalidObject, NotJson, OcpiError, PartnerError
from ocpi_emsp.flows.calls.redirects import redirected_to
from ocpi_emsp.flows.calls.request_log import OTHER, milliseconds
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.telemetry import GuardedSpan
from ocpi_emsp.flows.parties.extra_headers import secret_values
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.ports import CLIENT_DURATION, CLIENT_REQUESTS
from ocpi_emsp.routes import MODULES
from ocpi_emsp.wire import Request, Response, excerpt, from_base64, read_envelope, words_of

_HIDDEN: Final = "***"
_DRIVER: Final = re.compile(rb'"(?:uid|auth_id|visual_number)"\s*:\s*("(?:[^"\\]|\\.)*")')
"""Members that identify a driver in the body of a request: a token, or a command with one."""
_CODES: Final = frozenset({1000, *range(2000, 2005), *range(3000, 3004)})
"""Status codes that are recorded in metrics; a partner's own codes are only logged."""


@define
class LoggedCall:
    """A call in progress, and what is recorded of it."""

    context: Context
    request: Request
    module: str
    party: Party | None
    started: datetime
    status: int | None = None
    status_code: int | None = None

    @classmethod
    def begin(cls, context: Context, request: Request, party: Party | None, module: str) -> LoggedCall:
        """Return the record of a call that is about to be made."""
        return cls(context, request, module or _module(party, request.url), party, context.clock.now())

    def span(self) -> GuardedSpan:
        """Return a span for the duration of the call."""
        telemetry = self.context.telemetry
        if not telemetry.on:
            return telemetry.span("", "client", {})
        attributes = {
            "http.request.method": self.request.method,
            "ocpi.module": self.module or OTHER,
            "ocpi.correlation_id": self.request.headers.get("x-correlation-id", ""),
            "server.address": self._host,
        }
        if self.party is not None:
            attributes["ocpi.party"] = str(self.party)
        return telemetry.span(f"{self.request.method} {self.module}".rstrip(), "client", attributes)

    def answered(self, response: Response, span: GuardedSpan) -> None:
        """Record a response: a success, or an error on either layer (status_codes.md)."""
        self.status, self.status_code = response.status, _status_code(response)
        is_success = 200 <= response.status < 300 and 1000 <= (self.status_code or 0) < 2000
        if self.status_code is not None:
            self._note(span, "" if is_success else "PartnerRefused")
            return
        led = redirected_to(response)
        if led is not None:
            where = without_drivers(self.party, without_secrets(self.request, led))[:200]
            self._note(span, "PartnerRefused", f"a redirect to {where}")
            return
        words = answer_excerpt(self.request, response, of_drivers=False)
        self._note(span, "AnswerUnusable", words or None)

    def failed(self, error: OcpiError, span: GuardedSpan) -> None:
        """Record that there is no response."""
        self._note(span, type(error).__name__, self._reason(error))

    def _note(self, span: GuardedSpan, error: str, reason: str | None = None) -> None:
        seconds = (self.context.clock.now() - self.started).total_seconds()
        values: dict[str, Any] = {
            "party": self.party,
            "method": self.request.method,
            "module": self.module or None,
            "host": self._host,
            "status": self.status,
            "status_code": self.status_code,
            "error": error or None,
            "reason": reason,
            "ms": milliseconds(seconds),
            "correlation_id": self.request.headers.get("x-correlation-id"),
            "request_id": self.request.headers.get("x-request-id"),
        }
        if error:
            logs.warning("call.failed", **values)
        else:
            logs.info("call.answered", **values)
        if self.context.telemetry.on:
            self._count(span, seconds, error)

    def _count(self, span: GuardedSpan, seconds: float, error: str) -> None:
        attributes: dict[str, str | int | float | bool] = {
            "http.request.method": self.request.method,
            "ocpi.module": self.module or OTHER,
        }
        if self.status is not None:
            attributes["http.response.status_code"] = self.status
        code = self.status_code
        if code is not None and code in _CODES:
            attributes["ocpi.status_code"] = code
        if error:
            attributes["error.type"] = error
        self.context.telemetry.count(CLIENT_REQUESTS, 1, attributes)
        self.context.telemetry.duration(CLIENT_DURATION, seconds, attributes)
        span.set(attributes)

    @property
    def _host(self) -> str:
        try:
            return urlsplit(self.request.url).hostname or OTHER
        except ValueError:
            return OTHER

    def _reason(self, error: OcpiError) -> str:
        """Return the cause of a failure, without our token."""
        said = error.message
        if isinstance(error, PartnerError):
            said = said.removeprefix(f"{error.method} {error.url}: ")
        return without_drivers(self.party, without_secrets(self.request, said))


def without_secrets(request: Request, said: str) -> str:
    """Return a text without the secrets of a request: its token, that of its body, and the values of extra headers,
    each raw and in base64.
    """
    for secret in _secrets(request):
        said = said.replace(secret, _HIDDEN)
    return said


def answer_excerpt(request: Request, response: Response, *, of_drivers: bool = True) -> str:
    """Return the text of a response without an envelope, bounded and escaped, without the token that was sent.

    ``of_drivers=False``: also without the ids of drivers in the request, for a log.
    """
    words = without_secrets(request, words_of(response.body))
    if not of_drivers:
        for driver in _drivers(request):
            words = words.replace(driver, "*")
    return excerpt(words)


def _drivers(request: Request) -> list[str]:
    """Return what identifies a driver in a request: the ids in its body, and the last part of a token's URL."""
    found = [msgspec.json.decode(match[1], type=str) for match in _DRIVER.finditer(request.body)]
    if "/tokens/" in request.url:
        last = request.url.partition("?")[0].rstrip("/").rpartition("/")[2]
        found += [last, unquote(last)]
    return sorted(filter(None, found), key=len, reverse=True)


def without_drivers(party: Party | None, said: str) -> str:
    """Return a text without the path below a party's tokens endpoint, which holds the uid of a driver's token."""
    endpoint = party.endpoint("tokens") if party is not None else None
    if endpoint is None:
        return said
    base = endpoint.partition("?")[0].rstrip("/")
    return re.sub(rf"({re.escape(base)}/)[^\s?#]+", r"\1*", said)


def _secrets(request: Request) -> list[str]:
    """Return the token of the header, that of credentials in the body, and the values of extra headers: the longest
    first.
    """
    sent = request.headers.get("authorization", "").partition(" ")[2]
    found = [sent, from_base64(sent) or "", *secret_values(request.headers)]
    if b'"token"' in request.body:
        with suppress(msgspec.MsgspecError):
            found.append(msgspec.json.decode(request.body, type=_WithToken).token)
    found += [b64encode(secret.encode()).decode() for secret in found]
    return sorted(filter(None, found), key=len, reverse=True)


class _WithToken(msgspec.Struct):
    """Credentials; another object with a member ``token`` is not read."""

    token: str


def _status_code(response: Response) -> int | None:
    try:
        return read_envelope(response.body).status_code
    except (NotJson, InvalidObject):
        return None


def _module(party: Party | None, url: str) -> str:
    """Return the OCPI module whose endpoint contains a URL; a party may invent any number of others."""
    endpoints = party.all_endpoints if party is not None else ()
    known = ((each.url.partition("?")[0].rstrip("/"), each.identifier.lower()) for each in endpoints)
    under = [(base, name) for base, name in known if name in MODULES and re.match(rf"{re.escape(base)}(?![^/?#])", url)]
    return max(under, default=("", ""), key=lambda each: len(each[0]))[1]
