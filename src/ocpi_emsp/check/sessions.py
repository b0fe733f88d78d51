"""mod_sessions.md: Session; and the rules that sessions and CDRs share.

Rules of this module: a session is compared with its status, its charging periods with its time and energy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import TypeAlias

from ocpi_emsp.check.examples import broken, broken_at
from ocpi_emsp.check.numbers import exceeds, total
from ocpi_emsp.check.registry import NOTE, Chapter, Hit, negative, repeated
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.findings import counted
from ocpi_emsp.models import Cdr, CdrDimensionType, ChargingPeriod, Session, SessionStatus

SESSIONS = Chapter("Sessions", "mod_sessions.md")
Volume: TypeAlias = tuple[tuple[str | int, ...], Decimal]

_STATUS = "mod_sessions.md#41-sessionstatus-enum"


@SESSIONS.rule(
    "session.end.order", "The session ends before it starts.", broken(Session, end_datetime="2015-06-29T20:00:00Z")
)
def session_order(session: Session) -> Iterator[Hit]:
    if session.end_datetime is not None and session.end_datetime < session.start_datetime:
        yield ("end_datetime",), "the session ends before it starts"


@SESSIONS.rule("session.negative", "The energy or the cost of a session is negative.", broken(Session, total_cost=-1))
def session_negative(session: Session) -> Iterator[Hit]:
    yield from negative(session, ("kwh", "total_cost"))


@SESSIONS.rule(
    "session.location.evse",
    "The location of a session does not hold exactly the one used EVSE with its one used connector.",
    broken_at(Session, "/location/evses", ...),
)
def not_one_connector(value: Session | Cdr) -> Iterator[Hit]:
    evses = value.location.evses
    if len(evses) != 1:
        message = f"the location has {counted(len(evses), 'EVSE')}, expected only the one that was used"
        yield ("location", "evses"), message
    for index, evse in enumerate(evses[:1]):
        if len(evse.connectors) != 1:
            message = f"the EVSE has {counted(len(evse.connectors), 'connector')}, expected only the one that was used"
            yield ("location", "evses", index, "connectors"), message


@SESSIONS.rule(
    "session.periods.order",
    "The charging periods of a session are not sorted by their start.",
    broken_at(Session, "/charging_periods/0/start_date_time", "2015-06-29T22:45:00Z"),
    clause="mod_cdrs.md#44-chargingperiod-class",
)
def out_of_order(value: Session | Cdr) -> Iterator[Hit]:
    for index, (before, period) in enumerate(pairwise(value.charging_periods), start=1):
        if period.start_date_time < before.start_date_time:
            yield ("charging_periods", index, "start_date_time"), "the period starts before the previous one"


@SESSIONS.rule(
    "session.periods.repeated",
    "Two charging periods of a session have the same start.",
    broken_at(Session, "/charging_periods/1/start_date_time", "2015-06-29T21:00:00Z"),
    severity=NOTE,
    clause="mod_cdrs.md#44-chargingperiod-class",
)
def periods_repeated(value: Session | Cdr) -> Iterator[Hit]:
    for index in repeated(period.start_date_time for period in value.charging_periods):
        yield ("charging_periods", index, "start_date_time"), "an earlier period has the same start"


@SESSIONS.rule(
    "session.periods.outside",
    "A charging period starts before or after its session.",
    broken_at(Session, "/charging_periods/0/start_date_time", "2015-06-29T20:59:00Z"),
    clause="mod_cdrs.md#44-chargingperiod-class",
)
def session_periods_outside(session: Session) -> Iterator[Hit]:
    yield from outside(session.charging_periods, session.start_datetime, session.end_datetime)


@SESSIONS.rule(
    "session.energy.unit",
    "The ENERGY volumes exceed the session's kwh more than a hundredfold: they seem to be in Wh.",
    broken_at(Session, "/charging_periods/0/dimensions/0/volume", 15342),
    clause="mod_cdrs.md#43-cdrdimensiontype-enum",
)
def session_energy_unit(session: Session) -> Iterator[Hit]:
    found = volumes(session.charging_periods, CdrDimensionType.ENERGY)
    if session.kwh > 0 and exceeds(total(volume for _, volume in found), session.kwh, 100):
        yield from in_wh(found, f"the session's kwh is {shown(session.kwh)}")


@SESSIONS.rule(
    "session.completed.end",
    "The session is COMPLETED but has no end_datetime.",
    broken(Session, end_datetime=...),
    clause=_STATUS,
)
def completed_end(session: Session) -> Iterator[Hit]:
    if session.status == SessionStatus.COMPLETED and session.end_datetime is None:
        yield ("end_datetime",), "the session is COMPLETED but has no end_datetime"


@SESSIONS.rule(
    "session.running.end",
    "The session is ACTIVE or PENDING but has an end_datetime.",
    broken(Session, status="ACTIVE"),
    severity=NOTE,
    clause=_STATUS,
)
def running_end(session: Session) -> Iterator[Hit]:
    if session.end_datetime is not None and session.status in (SessionStatus.ACTIVE, SessionStatus.PENDING):
        yield ("end_datetime",), f"the session is {session.status} but has an end_datetime"


@SESSIONS.rule(
    "session.pending.energy",
    "The session is PENDING but has already delivered energy.",
    broken(Session, status="PENDING", end_datetime=...),
    severity=NOTE,
    clause=_STATUS,
)
def pending_energy(session: Session) -> Iterator[Hit]:
    if session.status == SessionStatus.PENDING and session.kwh > 0:
        yield ("kwh",), f"the session is PENDING but has already delivered {shown(session.kwh)} kWh"


# --- shared by sessions and CDRs -------------------------------------------------------------------------------------


def outside(periods: tuple[ChargingPeriod, ...], start: datetime, end: datetime | None) -> Iterator[Hit]:
    """Yield periods that start outside their session; a session that ends before it starts gives none."""
    if end is not None and end < start:
        return
    for index, period in enumerate(periods):
        if period.start_date_time < start:
            yield ("charging_periods", index, "start_date_time"), "the period starts before the session"
        elif end is not None and period.start_date_time > end:
            yield ("charging_periods", index, "start_date_time"), "the period starts after the end of the session"


def in_wh(found: list[Volume], compared: str) -> Iterator[Hit]:
    """Yield hits at ENERGY volumes that seem to be in Wh; ``compared`` names the energy that they are compared with."""
    for path, volume in found:
        yield path, f"the ENERGY volume {shown(volume)} seems to be in Wh: {compared}"


def volumes(periods: tuple[ChargingPeriod, ...], kind: CdrDimensionType) -> list[Volume]:
    """Return place and volume of every dimension of one kind."""
    return [
        (("charging_periods", index, "dimensions", place, "volume"), dimension.volume)
        for index, period in enumerate(periods)
        for place, dimension in enumerate(period.dimensions)
        if dimension.type == kind
    ]
