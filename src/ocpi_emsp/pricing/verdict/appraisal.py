"""The cost of a session over everything unknown about it: its tariff, its zone, dimensions that no period reports.

Rules of this module:
- each possibility is reckoned; if all give one amount it is certain, otherwise the bounds contain all of them, with the
  reason; ``None`` is no bound;
- a fault that leaves no bounds (another currency, contradicting energies) gives only a reason;
- the work is limited, by the number of possibilities and of charging periods over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Final

from attrs import evolve, field, frozen

from ocpi_emsp.findings import counted
from ocpi_emsp.pricing.exact import Rational, decimal, moment, rational
from ocpi_emsp.pricing.readings import Readings
from ocpi_emsp.pricing.reasons import REASONS
from ocpi_emsp.pricing.reckoning.limits import MAX_CELLS
from ocpi_emsp.pricing.reckoning.reckon import Reckoning, reckon
from ocpi_emsp.pricing.result import Line, Reason
from ocpi_emsp.pricing.session.features import Features, features, ids
from ocpi_emsp.pricing.session.metered import Metered
from ocpi_emsp.pricing.session.tariff_choice import Candidate
from ocpi_emsp.pricing.session.zones import Zones

MAX_POSSIBILITIES: Final = 400
"""Possibilities that are reckoned: tariffs, times zones, times dimensions that may be missing."""
MAX_PERIODS: Final = 200_000
"""Charging periods that are reckoned, over all possibilities."""


@frozen(kw_only=True)
class Possible:
    """A possible session, and the dimensions that no period reports."""

    ways: tuple[Metered, ...]
    missing: tuple[str, ...] = ()


@frozen(kw_only=True)
class Case:
    """A CDR or a plan to price, with the tariffs of which one applies."""

    candidates: tuple[Candidate, ...]
    currency: str
    zones: Zones
    metered: Metered
    possible: Callable[[Features, Metered, Readings], Possible] = lambda _tariff, metered, _readings: Possible(
        ways=(metered,)
    )
    """Returns the possible session for a tariff."""
    refused: Callable[[Features], Reason | None] = lambda _tariff: None
    """Returns why a tariff gives no amount, or None."""
    features: dict[int, Features] = field(factory=dict)
    """The features of each candidate, by its index; filled on first access."""

    def features_of(self, place: int) -> Features:
        """Return the features of a candidate."""
        found = self.features.get(place)
        if found is None:
            found = self.features[place] = features(self.candidates[place].tariff)
        return found

    @property
    def has_clock(self) -> bool:
        """True if the zone can matter."""
        return any(self.features_of(place).has_clock for place in range(len(self.candidates)))


def reason(code: str, pointer: str = "", more: str = "") -> Reason:
    """Return the reason with a code, and ``more`` after its sentence."""
    return Reason(code=code, pointer=pointer, message=REASONS[code].sentence + (f" {more}" if more else ""))


def undecided(*reasons: Reason) -> Reckoning:
    """Return a result without bounds, for these reasons."""
    return Reckoning(low=None, high=None, lines=(), reasons=reasons)


def appraise(case: Case, readings: Readings) -> Reckoning:
    """Return the cost of the session, over all possibilities."""
    possible = [case.possible(case.features_of(place), case.metered, readings) for place in range(len(case.candidates))]
    reckonings = sum(len(each.ways) * len(_zones(case, place)) for place, each in enumerate(possible))
    if reckonings > MAX_POSSIBILITIES or reckonings * len(case.metered.periods) > MAX_PERIODS:
        return undecided(reason("work.limit", more=f"It would be calculated {counted(reckonings, 'time')}."))
    found = [_of_tariff(case, place, each, readings) for place, each in enumerate(possible)]
    names = ids(each.tariff for each in case.candidates)
    return _hull(case.metered, found, lambda: reason("tariff.ambiguous", more=f"They are {names}."))


def _of_tariff(case: Case, place: int, possible: Possible, readings: Readings) -> Reckoning:
    candidate, tariff = case.candidates[place], case.features_of(place)
    against = _against(case, candidate, tariff) or case.refused(tariff)
    if against is not None:
        return undecided(against)
    zones = _zones(case, place)
    found = [_over_zones(candidate, way, zones, readings) for way in possible.ways]
    return _hull(case.metered, found, lambda: reason("dimension.missing", "/charging_periods", _missing(possible)))


def _missing(possible: Possible) -> str:
    names = " and ".join(possible.missing)
    return f"{names} {'is' if len(possible.missing) == 1 else 'are'} calculated with and without the totals of the CDR."


def _against(case: Case, candidate: Candidate, tariff: Features) -> Reason | None:
    """Return why a tariff by itself gives no amount, or None."""
    if not tariff.elements:
        return reason("tariff.empty", _place(candidate, ""))
    if candidate.tariff.currency.upper() != case.currency.upper():
        more = f"They are {candidate.tariff.currency} and {case.currency}."
        return reason("currency.differs", _place(candidate, "/currency"), more)
    if tariff.absurd_at is not None:
        return reason("number.absurd", _place(candidate, tariff.absurd_at))
    return None


def _zones(case: Case, place: int) -> tuple[tzinfo, ...]:
    return case.zones.candidates if case.features_of(place).has_clock else (UTC,)


def _over_zones(candidate: Candidate, way: Metered, zones: tuple[tzinfo, ...], readings: Readings) -> Reckoning:
    cells = MAX_CELLS // len(zones)  # a session of decades must not be processed once for every zone of the earth
    found = [_placed(reckon(way, candidate.tariff, readings, zone, cells), candidate) for zone in zones]
    more = f"{len(zones)} offsets are possible."
    return _hull(way, found, lambda: reason("zone.unknown", "/location/time_zone", more))


def _placed(found: Reckoning, candidate: Candidate) -> Reckoning:
    """Convert pointers into the tariff to pointers into the CDR; a tariff beside the CDR has no place there."""
    if not any(each.pointer.startswith("/elements") for each in found.reasons):
        return found
    reasons = (
        evolve(each, pointer=_place(candidate, each.pointer)) if each.pointer.startswith("/elements") else each
        for each in found.reasons
    )
    return evolve(found, reasons=tuple(reasons))


def _place(candidate: Candidate, below: str) -> str:
    """Return a place in a tariff as a place in the audited document."""
    return "" if candidate.pointer is None else candidate.pointer + below


def _hull(metered: Metered, found: Sequence[Reckoning], why: Callable[[], Reason]) -> Reckoning:
    """Return the bounds of some possibilities; if all are equal, the only one."""
    first = found[0]
    if all(each.low == first.low and each.high == first.high for each in found):
        return first
    lows, highs = [each.low for each in found], [each.high for each in found]
    reasons = dict.fromkeys((why(), *(each for one in found for each in one.reasons)))
    return Reckoning(
        low=None if None in lows else min(each for each in lows if each is not None),
        high=None if None in highs else max(each for each in highs if each is not None),
        lines=_summary(metered, found),
        reasons=tuple(reasons),
    )


def _summary(metered: Metered, found: Sequence[Reckoning]) -> tuple[Line, ...]:
    """Return a line for each dimension, between the amounts of all possibilities; none if one of them has no lines."""
    if not all(each.lines for each in found):
        return ()
    dimensions = dict.fromkeys(line.dimension for each in found for line in each.lines)
    return tuple(_bounded(metered, name, found) for name in dimensions)


def _bounded(metered: Metered, name: str, found: Sequence[Reckoning]) -> Line:
    lines = [[line for line in each.lines if line.dimension == name] for each in found]
    low = _extreme([_sum([line.low for line in some]) for some in lines], min)
    high = _extreme([_sum([line.high for line in some]) for some in lines], max)
    measured = [sum(rational(line.measured) for line in some) for some in lines]
    billed = [sum(rational(line.billed) for line in some) for some in lines]
    units = {line.unit for some in lines for line in some}
    tariffs = {line.tariff_id for some in lines for line in some}
    prices = {(line.price, line.step_size) for some in lines for line in some}
    price, step_size = prices.pop() if len(prices) == 1 else (None, None)
    different = "different amounts" if low is None or low != high else "one amount"
    return Line(
        dimension=name,
        period=None,
        start=moment(metered.start),
        end=moment(max(metered.start, metered.stop)),
        measured=decimal(max(measured)),
        billed=decimal(max(billed)),
        unit=units.pop(),
        price=price,
        step_size=step_size,
        cost=None if low is None or low != high else decimal(low),
        low=None if low is None else decimal(low),
        high=None if high is None else decimal(high),
        tariff_id=tariffs.pop() if len(tariffs) == 1 else None,
        element=None,
        component=None,
        why=f"{len(found)} possibilities give {different}",
    )


def _sum(amounts: Sequence[Decimal | None]) -> Rational | None:
    total: Rational = 0
    for each in amounts:
        if each is None:
            return None
        total += rational(each)
    return total


def _extreme(amounts: Sequence[Rational | None], choose: Callable[..., Rational]) -> Rational | None:
    known = [each for each in amounts if each is not None]
    return choose(known) if len(known) == len(amounts) else None
