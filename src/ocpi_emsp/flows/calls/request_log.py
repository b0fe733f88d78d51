"""What is recorded of a served request: its ids, a log line, a span, and metrics.

Rules of this module:
- X-Correlation-ID and X-Request-ID are those of the request if they are short and printable, otherwise new ones;
- a metric has few different attributes: no path, no id, and no method outside HTTP;
- no token, payload, query or rejection message is recorded: only the rejection's kind, and the rule of the worst
  finding; a token in a path is hidden.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import define

from ocpi_emsp import logs
from ocpi_emsp.errors import Refusal, TooManyRequests
from ocpi_emsp.findings import Finding, worst
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.core.telemetry import GuardedSpan, GuardedTelemetry
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.ports import FINDINGS, SERVER_DURATION, SERVER_LIMITED, SERVER_REQUESTS, Attributes
from ocpi_emsp.routes import VERSION, Match, Route, match
from ocpi_emsp.wire import Request, Response, from_base64, to_base64
from ocpi_emsp.wire.redaction import HIDDEN, path_without, without

LONGEST_ID: Final = 128
_SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Headers that no tracer gets; any other may carry a trace, depending on the propagator."""
_LONG_SEGMENT: Final = re.compile(r"[^/]{20,}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_IDS: Final = random.Random()
"""Generates ids, which name a request and are no secret, in a tenth of the time of ``secrets``. The random module's own
functions belong to the host, which may seed them alike in every process.
"""
if hasattr(os, "register_at_fork"):  # not available on Windows
    os.register_at_fork(after_in_child=_IDS.seed)
OTHER: Final = "_OTHER"
"""Stands for an unknown value, as in OpenTelemetry."""


@define
class LoggedRequest:
    """A request in progress, and what is recorded of it."""

    context: Context
    request: Request
    correlation_id: str
    request_id: str
    matched: Match | None
    started: datetime
    party: Party | None = None
    deviations: Sequence[Finding] = ()
    """Findings that were accepted."""
    refusal: Refusal | None = None
    notice: TooManyRequests | None = None
    """A notice of a limit that rejects nothing, and is not logged for each request."""
    status_code: int = 1000

    @classmethod
    def begin(cls, context: Context, request: Request) -> LoggedRequest:
        """Return the record of a request that was just received."""
        request_id = _given(request, "x-request-id")
        made = _IDS.randbytes(24).hex()
        correlation_id = _given(request, "x-correlation-id") or request_id or made[:24]
        return cls(context, request, correlation_id, request_id or made[24:], match(request.url), context.clock.now())

    def span(self) -> GuardedSpan:
        """Return a span for the duration of the request."""
        telemetry = self.context.telemetry
        if not telemetry.on:
            return telemetry.span("", "server", {})
        method, route = self._method, self._route
        attributes: dict[str, str] = {
            "http.request.method": method,
            "ocpi.module": self._module,
            "ocpi.correlation_id": self.correlation_id,
        }
        name = method
        if route is not None:
            attributes["http.route"] = _template(route)
            name = f"{method} {attributes['http.route']}"
        headers = {name: value for name, value in self.request.headers.items() if name not in _SECRET_HEADERS}
        return telemetry.span(name, "server", attributes, headers)

    def refused(self, refusal: Refusal) -> None:
        """Record that it was rejected."""
        self.refusal, self.status_code = refusal, refusal.status_code
        limited = self.notice or refusal
        if isinstance(limited, TooManyRequests) and limited.limit:
            self._limited(limited)
            return
        finding = worst(refusal.findings)
        logs.warning(
            "request.refused",
            method=self.request.method,
            path=self._path,
            party=self.party,
            status=refusal.http_status,
            status_code=refusal.status_code,
            error=type(refusal).__name__,
            rule=finding.rule if finding else None,
            pointer=without(finding.pointer, self._secrets) if finding else None,
            findings=len(refusal.findings) or None,
            correlation_id=self.correlation_id,
        )

    def _limited(self, refusal: TooManyRequests) -> None:
        """Record one of many rejections: only the first of an episode is logged."""
        if self.notice is None:
            self.context.telemetry.count(SERVER_LIMITED, 1, {"ocpi.limit": refusal.limit})
        if refusal.is_news:
            logs.warning(
                "inbound.limited",
                party=self.party,
                peer=None if self.party else self.request.peer,
                limit=refusal.limit,
                retry_after=refusal.retry_after,
                correlation_id=self.correlation_id,
            )

    @property
    def _is_no_news(self) -> bool:
        limited = self.notice or self.refusal
        return isinstance(limited, TooManyRequests) and not limited.is_news

    def failed(self, error: Exception, *, trace: bool) -> None:
        """Record that it failed by our fault; ``trace`` for an error whose message is not enough."""
        self.status_code = 3000
        logs.error(
            "request.failed",
            trace=error if trace else None,
            method=self.request.method,
            path=self._path,
            party=self.party,
            correlation_id=self.correlation_id,
            error=error,
        )

    def done(self, response: Response, span: GuardedSpan) -> Response:
        """Return the response with the ids, and record it."""
        if logs.shows_info() and not self._is_no_news:
            self._log(response)
        if self.context.telemetry.on:
            self._count(response, span)
        ids = ("x-correlation-id", self.correlation_id), ("x-request-id", self.request_id)
        response.headers = [*response.headers, *ids]
        return response

    def _log(self, response: Response) -> None:
        logs.info(
            "request.answered",
            method=self.request.method,
            path=self._path,
            status=response.status,
            status_code=self.status_code,
            party=self.party,
            module=self._module,
            ms=milliseconds(self._seconds),
            correlation_id=self.correlation_id,
            request_id=self.request_id,
        )

    def _count(self, response: Response, span: GuardedSpan) -> None:
        telemetry = self.context.telemetry
        attributes: Attributes = {
            "http.request.method": self._method,
            "ocpi.module": self._module,
            "http.response.status_code": response.status,
            "ocpi.status_code": self.status_code,
        }
        telemetry.count(SERVER_REQUESTS, 1, attributes)
        telemetry.duration(SERVER_DURATION, self._seconds, attributes)
        findings = [*self.deviations, *(self.refusal.findings if self.refusal else ())]
        count_findings(telemetry, self._module, findings)
        whose = {"ocpi.party": str(self.party)} if self.party is not None else {}
        # A partner's mistake is not an error of the server.
        error = {"error.type": str(self.status_code)} if self.status_code >= 3000 else {}
        span.set({**attributes, **whose, **error})

    @property
    def _seconds(self) -> float:
        return (self.context.clock.now() - self.started).total_seconds()

    @property
    def _secrets(self) -> tuple[str, ...]:
        """Return the token that the request carries, in its readings, and in base64."""
        sent = self.request.headers.get("authorization", "").partition(" ")[2].strip()
        return sent, from_base64(sent) or "", to_base64(sent)

    @property
    def _path(self) -> str:
        """Return the path without the token that the request carries; for an unknown route, without any possible
        token.
        """
        path = path_without(self.request.url, self._secrets)
        return path if self.matched is not None else _LONG_SEGMENT.sub(HIDDEN, path)

    @property
    def _method(self) -> str:
        return self.request.method if self.request.method in _METHODS else OTHER

    @property
    def _route(self) -> Route | None:
        return self.matched.routes.get(self.request.method) if self.matched is not None else None

    @property
    def _module(self) -> str:
        routes = self.matched.routes if self.matched is not None else {}
        return next((route.module for route in routes.values()), OTHER)


def count_findings(telemetry: GuardedTelemetry, module: str, findings: Sequence[Finding]) -> None:
    """Count the findings of an object that a party sent."""
    if not telemetry.on:
        return
    for (rule, severity), number in Counter((finding.rule, finding.severity.value) for finding in findings).items():
        attributes: Attributes = {"ocpi.rule": rule, "ocpi.severity": severity, "ocpi.module": module}
        telemetry.count(FINDINGS, number, attributes)


def _given(request: Request, name: str) -> str:
    """Return an id from the caller; empty if it could break a line or a header, or if it is its token."""
    given = request.headers.get(name)
    if not given:
        return ""
    if len(given) > LONGEST_ID or not (given.isascii() and given.isprintable()):
        return ""
    return "" if given in request.headers.get("authorization", "").split() else given


def milliseconds(seconds: float) -> str:
    """Return a duration as a log line shows it; 0 if the clock was put back meanwhile."""
    return f"{max(seconds, 0.0) * 1000:.1f}"


def _template(route: Route) -> str:
    start = (VERSION,) if route.module not in ("versions", VERSION) else ()
    return "/" + "/".join((*start, route.module, *route.path))
