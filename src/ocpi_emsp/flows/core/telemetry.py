"""The Telemetry port, guarded: its exceptions are logged once, and no request fails because of them.

Rules of this module:
- without a telemetry nothing is created or called; ``on`` is False then, and no attributes are collected;
- an exception of a block within a span is raised unchanged, whatever the telemetry does with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, TypeVar

from ocpi_emsp import logs
from ocpi_emsp.ports import Attributes, Measurement, Role, Span, Telemetry

T = TypeVar("T")

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
"""The name of a header (RFC 9110 5.6.2)."""


class GuardedTelemetry:
    """A telemetry, or none, that can be called anywhere."""

    def __init__(self, telemetry: Telemetry | None = None) -> None:
        self._telemetry = telemetry
        self._has_failed = False
        self.on = telemetry is not None

    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> GuardedSpan:
        """Return a span around a block; an empty one without a telemetry."""
        return GuardedSpan(self, name, role, attributes, headers) if self.on else NO_SPAN

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        """Add to a counter."""
        telemetry = self._telemetry
        if telemetry is not None:
            self.safely(lambda: telemetry.count(name, value, attributes), None)

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        """Record a duration; a negative one, after a clock was put back, counts as 0."""
        telemetry = self._telemetry
        if telemetry is not None:
            self.safely(lambda: telemetry.duration(name, max(seconds, 0.0), attributes), None)

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        """Register ``read`` as the source of a gauge; the gauge has no values if it raises."""
        telemetry, nothing = self._telemetry, tuple[Measurement, ...]()
        if telemetry is not None:
            self.safely(lambda: telemetry.gauge(name, lambda: self.safely(read, nothing)), None)

    def enter(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None
    ) -> tuple[AbstractContextManager[Span], Span] | None:
        """Return a span that has begun, if there is one."""
        if self._telemetry is None:
            return None
        manager = self._telemetry.span(name, role, attributes, headers)
        return manager, manager.__enter__()

    def safely(self, function: Callable[..., T], otherwise: T, *arguments: object) -> T:
        """Return the result of ``function``, or ``otherwise`` if it raises; the first exception is logged."""
        try:
            return function(*arguments)
        except Exception as error:  # noqa: BLE001 # whatever a telemetry raises: it is logged, and no request fails
            if not self._has_failed:
                self._has_failed = True
                logs.warning("telemetry.failed", trace=error, error=type(error).__name__)
            return otherwise


class GuardedSpan:
    """A span, if the telemetry provides one."""

    def __init__(
        self,
        telemetry: GuardedTelemetry,
        name: str = "",
        role: Role = "internal",
        attributes: Attributes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._what = name, role, attributes or {}, headers
        self._begun: tuple[AbstractContextManager[Span], Span] | None = None

    def __enter__(self) -> GuardedSpan:
        if self._telemetry.on:
            self._begun = self._telemetry.safely(self._telemetry.enter, None, *self._what)
        return self

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        begun = self._begun
        if begun is not None:
            self._telemetry.safely(lambda: begun[1].set(attributes), None)

    def headers(self) -> Mapping[str, str]:
        """Headers for the called partner, names in lower case; only those that an HTTP header can hold."""
        begun, nothing = self._begun, dict[str, str]()
        return nothing if begun is None else self._telemetry.safely(lambda: _usable(begun[1].headers()), nothing)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._begun is not None:
            manager, _ = self._begun
            self._begun = None
            self._telemetry.safely(lambda: manager.__exit__(kind, error, trace), None)


def _usable(headers: Mapping[str, str]) -> Mapping[str, str]:
    return {
        name.lower(): value
        for name, value in headers.items()
        if _NAME(name) and value.isascii() and value.isprintable()
    }


SILENT: Final = GuardedTelemetry()
"""The absence of a telemetry."""
NO_SPAN: Final = GuardedSpan(SILENT)
