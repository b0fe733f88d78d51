"""Traces and metrics of an eMSP for OpenTelemetry (extra ``otel``): ``Emsp(..., telemetry=OtelTelemetry())``.

Rules of this module:
- it only needs the API package; the host configures the SDK, its exporters and the propagator;
- a span that a framework's own instrumentation has begun is the parent; the request's header only counts without one;
- no exception message is recorded: it may quote what a partner sent;
- durations are in seconds, with the buckets of OpenTelemetry's http.server.request.duration.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from ocpi_emsp._extras import extra
from ocpi_emsp.ports import COUNTERS, GAUGES, HISTOGRAMS, Attributes, Measurement, Role

with extra("otel"):
    from opentelemetry import propagate, trace
    from opentelemetry.metrics import MeterProvider, Observation, get_meter
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

__all__ = ["OtelTelemetry"]

_NAME: Final = "ocpi_emsp"
_KINDS: Final[Mapping[Role, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
}

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds, from OpenTelemetry's semantic conventions for HTTP."""

_Read = Callable[[], Sequence[Measurement]]


class OtelTelemetry:
    """The :class:`ocpi_emsp.ports.Telemetry` of OpenTelemetry; without providers, it uses the global ones.

    docs/how-to/observability.md has the names of spans, metrics and attributes. One object can serve several eMSPs.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = self._meter = get_meter(_NAME, meter_provider=meter_provider)
        self._counters = {name: meter.create_counter(name, *about) for name, about in COUNTERS.items()}
        self._histograms = {
            name: meter.create_histogram(name, *about, explicit_bucket_boundaries_advisory=_BUCKETS)
            for name, about in HISTOGRAMS.items()
        }
        self._readers: dict[str, list[_Read]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> Iterator[_Span]:
        """Open a span around a block and make it the current one."""
        within = trace.get_current_span().get_span_context().is_valid
        parent = propagate.extract(headers) if headers is not None and not within else None
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=_KINDS[role],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            span = _Span(begun)
            try:
                yield span
            except BaseException as error:
                span.set({"error.type": type(error).__name__})
                raise

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        """Add to a counter. Raises KeyError if the name is unknown."""
        self._counters[name].add(value, attributes)

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        """Record a duration in seconds. Raises KeyError if the name is unknown."""
        self._histograms[name].record(seconds, attributes)

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        """Call ``read`` at each collection. Raises KeyError if the name is unknown."""
        with self._lock:
            readers = self._readers.setdefault(name, [])
            readers.append(read)
            if len(readers) == 1:
                self._meter.create_observable_gauge(name, [lambda _: _observe(readers)], *GAUGES[name])


class _Span:
    """The :class:`ocpi_emsp.ports.Span` of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, attributes: Attributes) -> None:
        """Add attributes; ``error.type`` marks the span as failed."""
        self._span.set_attributes(dict(attributes))
        if "error.type" in attributes:
            self._span.set_status(Status(StatusCode.ERROR))

    def headers(self) -> Mapping[str, str]:
        """Return the headers of the configured propagator."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(self._span))
        return {name.lower(): value for name, value in carrier.items()}


def _observe(readers: Sequence[_Read]) -> Iterable[Observation]:
    return [Observation(measured.value, measured.attributes) for read in tuple(readers) for measured in read()]
