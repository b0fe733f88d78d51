"""What a CDR measured, in the units of the reckoning: seconds and Wh from its hours and kWh.

Rules of this module (mod_cdrs.md 4.3, 4.4):
- periods are sorted by their start; each ends where the next one starts, the last where the session stops;
- hours become whole seconds: the nearest, or the period's own length if that rounds to them;
- a dimension that occurs twice in a period is added; of two currents the lowest minimum and the highest maximum count;
- volumes are used without their sign: verdict/cdr_case.py decides whether one may be negative;
- the connector is the only one of the CDR's location, otherwise of the stored one; of several, common values are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import add
from typing import Any, Final

from attrs import field, frozen

from ocpi_emsp.models import Cdr, CdrDimension, CdrDimensionType, ChargingPeriod, Connector, Location, PowerType
from ocpi_emsp.pricing.exact import absurd, epoch, rational, seconds, seconds_within, watt_hours
from ocpi_emsp.pricing.session.metered import Metered, MeteredPeriod

_Column = tuple[str, Callable[[Any], Any], Callable[[Any, Any], Any], bool]
_COLUMNS: Final[Mapping[CdrDimensionType, _Column]] = {
    CdrDimensionType.ENERGY: ("wh", watt_hours, add, True),
    CdrDimensionType.TIME: ("seconds", seconds, add, True),
    CdrDimensionType.PARKING_TIME: ("parking", seconds, add, True),
    CdrDimensionType.FLAT: ("flat", rational, add, True),
    CdrDimensionType.MIN_CURRENT: ("min_current", rational, min, False),
    CdrDimensionType.MAX_CURRENT: ("max_current", rational, max, False),
}
"""By dimension: its name in Metered, how it is read, how two are combined, and whether it is a volume."""


@frozen(kw_only=True)
class Measured:
    """What a CDR measured, and oddities of its numbers."""

    metered: Metered
    reported: frozenset[str] = frozenset()
    """The dimensions that at least one period reports, by the names of Metered: ``wh``, ``seconds``, ``parking``,
    ...
    """
    has_negative: bool = False
    has_positive: bool = False
    negative_at: str = ""
    """The place of the first negative volume (RFC 6901)."""


@frozen(kw_only=True)
class UsedConnector:
    """The known facts about the connector of a session."""

    connector: Connector | None = None
    voltage: int | None = None
    phases: int = 1
    amperage: int | None = None
    tariff_id: str | None = None
    notes: tuple[str, ...] = field(factory=tuple)


def absurd_at(cdr: Cdr) -> str | None:
    """Return the place of the first number or time that is unusable for calculation; None if there is none."""
    return next(_absurd(cdr), None)


def _absurd(cdr: Cdr) -> Iterator[str]:
    for name in ("total_cost", "total_energy", "total_time", "total_parking_time"):
        number = getattr(cdr, name)
        if number is not None and absurd(number):
            yield f"/{name}"
    for name in ("start_date_time", "stop_date_time"):
        if not 1 < getattr(cdr, name).year < 9999:
            yield f"/{name}"
    for index, period in enumerate(cdr.charging_periods):
        if not 1 < period.start_date_time.year < 9999:
            yield f"/charging_periods/{index}/start_date_time"
        for place, dimension in enumerate(period.dimensions):
            if absurd(dimension.volume):
                yield f"/charging_periods/{index}/dimensions/{place}/volume"


def measured(cdr: Cdr, connector: UsedConnector) -> Measured:
    """Return what a CDR without absurd numbers measured."""
    periods = cdr.charging_periods
    starts = [epoch(each.start_date_time) for each in periods]
    order = sorted(range(len(periods)), key=starts.__getitem__)
    stop = epoch(cdr.stop_date_time)
    rows, signs, reported = list[MeteredPeriod](), _Signs(), set[str]()
    for place, index in enumerate(order):
        start = starts[index]
        end = starts[order[place + 1]] if place + 1 < len(order) else max(stop, start)
        volumes = _added_up(periods[index], index, end - start, signs)
        reported.update(volumes)
        rows.append(MeteredPeriod(index, start, end, **volumes))
    start = epoch(cdr.start_date_time)
    if not rows:
        # A CDR without periods still has a session: its fees are due, and its totals may be divided.
        rows.append(MeteredPeriod(0, start, max(stop, start)))
    return Measured(
        metered=Metered(
            start=start,
            stop=stop,
            periods=tuple(rows),
            voltage=connector.voltage,
            phases=connector.phases,
            amperage=connector.amperage,
        ),
        reported=frozenset(reported),
        has_negative=signs.negative_at is not None,
        has_positive=signs.positive,
        negative_at=signs.negative_at or "",
    )


class _Signs:
    """The signs that volumes have."""

    __slots__ = ("negative_at", "positive")

    def __init__(self) -> None:
        self.negative_at: str | None = None
        self.positive = False

    def note(self, dimension: CdrDimension, period: int, place: int) -> None:
        """Record the sign of a volume."""
        if dimension.volume > 0:
            self.positive = True
        elif dimension.volume and self.negative_at is None:
            self.negative_at = f"/charging_periods/{period}/dimensions/{place}/volume"


def _added_up(period: ChargingPeriod, index: int, length: int, signs: _Signs) -> dict[str, Any]:
    """Return the dimensions of a period, under the names of Metered."""
    found = dict[str, Any]()
    for place, dimension in enumerate(period.dimensions):
        column = _COLUMNS.get(dimension.type)
        if column is None:
            continue
        name, read, both, is_volume = column
        volume = dimension.volume
        if is_volume:
            signs.note(dimension, index, place)
            volume = volume.copy_abs()
        amount = seconds_within(volume, length) if read is seconds else read(volume)
        found[name] = both(found[name], amount) if name in found else amount
    return found


def used_connector(place: Location, stored: Location | None) -> UsedConnector:
    """Return the connector of a session at ``place``, the CDR's own location copy."""
    own = _of(_connectors(place))
    if stored is None or (own.voltage and own.amperage and own.tariff_id):
        return own
    known = _of(_matching(place, stored))
    notes = list[str]()
    if not own.voltage and known.voltage:
        notes.append("the connector is that of the stored location")
        own = _evolved(own, known)
    if not own.tariff_id and known.tariff_id:
        notes.append(f"the tariff_id {known.tariff_id} of the connector is that of the stored location")
    return UsedConnector(
        connector=own.connector or known.connector,
        voltage=own.voltage,
        phases=own.phases,
        amperage=own.amperage or known.amperage,
        tariff_id=own.tariff_id or known.tariff_id,
        notes=tuple(notes),
    )


def planned_connector(place: Location | None, tariff_id: str) -> UsedConnector:
    """Return the connector of a plan: the only one, or what those that name the tariff have in common."""
    found = [] if place is None else _connectors(place)
    named = [each for each in found if each.tariff_id is not None and each.tariff_id.casefold() == tariff_id.casefold()]
    return _of(found if len(found) == 1 else named or found)


def _evolved(own: UsedConnector, known: UsedConnector) -> UsedConnector:
    return UsedConnector(
        connector=own.connector,
        voltage=known.voltage,
        phases=known.phases,
        amperage=known.amperage,
        tariff_id=own.tariff_id,
    )


def _connectors(place: Location) -> list[Connector]:
    return [connector for evse in place.evses for connector in evse.connectors]


def _matching(place: Location, stored: Location) -> list[Connector]:
    """Return the stored connectors that the CDR's location copy may mean; ids are compared case-insensitively."""
    uids = {evse.uid.casefold() for evse in place.evses}
    evses = [evse for evse in stored.evses if not uids or evse.uid.casefold() in uids]
    found = [connector for evse in evses for connector in evse.connectors]
    ids = {connector.id.casefold() for connector in _connectors(place)}
    return [each for each in found if not ids or each.id.casefold() in ids]


def _of(connectors: list[Connector]) -> UsedConnector:
    """Return what all of these connectors have in common."""
    kinds = {(each.voltage, _phases(each), each.amperage) for each in connectors}
    ids = {each.tariff_id for each in connectors}
    voltage, phases, amperage = kinds.pop() if len(kinds) == 1 else (0, 1, 0)
    return UsedConnector(
        connector=connectors[0] if len(connectors) == 1 else None,
        voltage=_positive(voltage),
        phases=phases,
        amperage=_positive(amperage),
        tariff_id=ids.pop() if len(ids) == 1 else None,
    )


def _phases(connector: Connector) -> int:
    return 3 if connector.power_type == PowerType.AC_3_PHASE else 1


def _positive(number: int) -> int | None:
    """Return a number of the document; None if it is unreadable or absurd."""
    return None if number <= 0 or absurd(number) else number
