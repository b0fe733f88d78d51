"""The metrics: their names, units and descriptions.

Rules of this module: the table of docs/observability.md is this one (tests/otel holds it to that).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ocpi_emsp.flows.core.telemetry import (
    CLIENT_DURATION,
    CLIENT_REQUESTS,
    COMMANDS_PENDING,
    FINDINGS,
    SERVER_DURATION,
    SERVER_REQUESTS,
    SYNC_LAG,
)

COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    SERVER_REQUESTS: ("{request}", "Requests of partners that were answered."),
    CLIENT_REQUESTS: ("{request}", "Calls to partners, each with its retries."),
    FINDINGS: ("{finding}", "Deviations in what partners sent, refused or let pass."),
}
HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    SERVER_DURATION: ("s", "How long a partner waited for an answer."),
    CLIENT_DURATION: ("s", "How long a call to a partner took, with its turn, its retries and their waits."),
}
GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    SYNC_LAG: ("s", "Time since the moment up to which the last completed sync has everything."),
    COMMANDS_PENDING: ("{command}", "Commands whose result is awaited."),
}
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds, as OpenTelemetry's semantic conventions give them for HTTP."""
