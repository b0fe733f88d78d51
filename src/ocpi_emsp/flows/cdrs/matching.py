"""Which session belongs to a CDR, and how the two differ. Pure functions on summaries.

Rules of this module (mod_cdrs.md 3.1 has no session id; the matrix: "CDR and Session can have different ids"):
- a CDR and a session with the same authorization_id (docs/how-to/extensions.md) are paired before anything else;
- then three steps follow; a paired session is excluded from the next step:
  1. equal ids (CiString), if the times agree, and the driver or the place: a CPO may number both from 1 upwards;
  2. the best score first, from ``THRESHOLD`` upwards;
  3. remaining equal ids, if the driver or the place agrees: so a wrong clock hides no pair;
- if a party's CDRs have the ids of their sessions, by its profile, equal ids are paired before anything else;
- a score is ``0.3 place + 0.4 time + 0.3 energy``, and 0 if auth_id, place or time do not agree at all;
- of equal scores the one with equal ids comes first, then the smallest distance of the starts, then the ids: the order
  of receipt does not matter;
- the work is bounded for any input: a CDR is only compared with a bounded number of sessions of its driver at its EVSE.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import NamedTuple, TypeAlias

from attrs import define, field

from ocpi_emsp.check.numbers import differ
from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.extensions import same_authorization
from ocpi_emsp.flows.cdrs.moments import moved
from ocpi_emsp.flows.cdrs.reconcile_report import (
    CdrDifference,
    CdrMatch,
    CdrSummary,
    How,
    SessionSummary,
    What,
)
from ocpi_emsp.models import SessionStatus
from ocpi_emsp.pricing.places import ChargingPlace, evse_names, place_agreement
from ocpi_emsp.pricing.plausibility.wording import seconds

THRESHOLD = 0.6
"""Lowest score of a match: place and time alone reach it, place and energy alone do not."""
NEIGHBOURS = 50
"""Sessions of one driver at one EVSE that are compared on either side of a CDR's start. An EVSE charges one vehicle at
a time, so the right session is next to it; the number only bounds the work that hostile data can cause.
"""

_PLACE, _TIME, _ENERGY = 0.3, 0.4, 0.3
_SAME_MOMENT = timedelta(minutes=1)
"""Difference of two clocks, or of a rounded time."""
_ZONE_STEP, _LARGEST_ZONE = timedelta(minutes=30), timedelta(hours=14)
_FARTHEST = _LARGEST_ZONE + _SAME_MOMENT
_SAME_KWH, _TELLING_KWH = Decimal("0.1"), Decimal(1)
"""The accuracy of a meter's value, and the least energy that distinguishes sessions."""
_RATIO = Context(prec=9, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def match_all(
    cdrs: Iterable[CdrSummary], sessions: Iterable[SessionSummary], *, equal_ids: bool = False
) -> list[CdrMatch]:
    """Return every pair; a CDR and a session are in one pair at most. The order of the arguments' items does not
    matter.

    ``equal_ids``: an equal id suffices for a pair.
    """
    matching = _Matching(
        sorted(cdrs, key=lambda cdr: (cdr.id.upper(), cdr.id, cdr.start_date_time)),
        sorted(sessions, key=lambda session: (session.id.upper(), session.id, session.start_datetime)),
    )
    matching.by_authorization()
    matching.by_id((lambda _cdr, _session: True) if equal_ids else _is_confirmed)
    matching.by_score()
    matching.by_id(_is_plausible)
    return [matching.pairs[number] for number in sorted(matching.pairs)]


def pair_copies(cdrs: Iterable[CdrSummary], pairs: Sequence[CdrMatch]) -> Iterator[CdrMatch]:
    """Pair remaining CDRs with the session of the CDR that they repeat or give credit for."""
    paired = {id(pair.cdr) for pair in pairs}
    by_driver: dict[str, list[CdrMatch]] = defaultdict(list)
    for pair in pairs:
        by_driver[_driver(pair.cdr.auth_id)].append(pair)
    starts = {}
    for driver, found in by_driver.items():
        found.sort(key=lambda pair: (pair.cdr.start_date_time, pair.cdr.id))
        starts[driver] = [pair.cdr.start_date_time for pair in found]
    for cdr in cdrs:
        driver = _driver(cdr.auth_id)
        if id(cdr) in paired or driver not in starts:
            continue
        first = bisect_left(starts[driver], moved(cdr.start_date_time, -_SAME_MOMENT))
        for pair in by_driver[driver][first : first + NEIGHBOURS]:
            if pair.cdr.start_date_time - cdr.start_date_time > _SAME_MOMENT:
                break
            how = _repeats(cdr, pair.cdr)
            if how is not None:
                yield CdrMatch(cdr, pair.session, how)
                break


def _repeats(cdr: CdrSummary, other: CdrSummary) -> How | None:
    """Return whether a CDR gives credit for another one of the same driver and start, or repeats its energy and
    place.
    """
    if not place_agreement(cdr.place, other.place):
        return None
    if cdr.total_cost < 0:
        return "credit"
    return None if differ(cdr.total_energy, other.total_energy, _SAME_KWH) else "duplicate"


@define
class _Matching:
    """CDRs and sessions by their numbers, and the pairs found so far, by the number of the CDR."""

    cdrs: Sequence[CdrSummary]
    sessions: Sequence[SessionSummary]
    pairs: dict[int, CdrMatch] = field(factory=dict, init=False)
    paired: set[int] = field(factory=set, init=False)

    def take(self, cdr: int, session: int, score: float) -> None:
        """Pair the two; equal ids take precedence over a score."""
        one, other = self.cdrs[cdr], self.sessions[session]
        self.pairs[cdr] = CdrMatch(one, other, "id") if _same_id(one, other) else CdrMatch(one, other, "score", score)
        self.paired.add(session)

    def by_authorization(self) -> None:
        """Pair by authorization_id; of several sessions the one with the same id, then the one with the nearest
        start.
        """
        found: dict[str, list[_Start]] = defaultdict(list)
        of_id: dict[tuple[str, str], list[_Start]] = defaultdict(list)
        for number, session in enumerate(self.sessions):
            if session.authorization_id is not None:
                name = session.authorization_id.casefold()
                found[name].append((session.start_datetime, number))
                of_id[name, session.id.upper()].append((session.start_datetime, number))
        for starts in found.values():
            starts.sort()
        for number, cdr in enumerate(self.cdrs):
            name = cdr.authorization_id.casefold() if cdr.authorization_id is not None else ""
            free = found.get(name, [])
            same_id = [
                each for each in of_id.get((name, cdr.id.upper()), ())[:NEIGHBOURS] if each[1] not in self.paired
            ]
            near = [each for _, each in same_id] or list(_nearest(free, cdr.start_date_time))
            if near:
                nearest = min(self._farness(cdr, each) for each in near)[-1]
                self.pairs[number] = CdrMatch(cdr, self.sessions[nearest], "authorization_id")
                self.paired.add(nearest)
                del free[bisect_left(free, (self.sessions[nearest].start_datetime, nearest))]

    def _farness(self, cdr: CdrSummary, session: int) -> tuple[timedelta, int]:
        return abs(cdr.start_date_time - self.sessions[session].start_datetime), session

    def by_id(self, fits: Callable[[CdrSummary, SessionSummary], bool]) -> None:
        """Pair unpaired ones with equal ids that fit; of sessions whose ids differ in case, one with the same case."""
        found = defaultdict(list)
        for number, session in enumerate(self.sessions):
            if number not in self.paired:
                found[session.id.upper()].append(number)
        for number, cdr in enumerate(self.cdrs):
            if number in self.pairs:
                continue
            same_id = [each for each in found.get(cdr.id.upper(), ()) if each not in self.paired]
            fitting = [each for each in same_id if fits(cdr, self.sessions[each])]
            same_case = [each for each in fitting if self.sessions[each].id == cdr.id]
            for each in (same_case or fitting)[:1]:
                self.take(number, each, 1.0)

    def by_score(self) -> None:
        """Pair unpaired ones, the best score first; of equal scores the one with equal ids."""
        for each in sorted(self._candidates()):
            if each.cdr not in self.pairs and each.session not in self.paired:
                self.take(each.cdr, each.session, -each.negative_score)

    def _candidates(self) -> Iterator[_Candidate]:
        free = [number for number in range(len(self.cdrs)) if number not in self.pairs]
        index = self._index({_driver(self.cdrs[number].auth_id) for number in free})
        for number in free:
            cdr = self.cdrs[number]
            near = dict.fromkeys(
                each
                for place in _places_to_look_at(cdr.place)
                for each in _nearest(index.get((_driver(cdr.auth_id), place), ()), cdr.start_date_time)
            )
            earliest, latest = _in_order(cdr.start_date_time, cdr.stop_date_time)
            for each in near:
                session = self.sessions[each]
                if not _is_in_reach(session, earliest, latest):
                    continue
                score = score_of(cdr, session)
                if score >= THRESHOLD:
                    distance = abs(cdr.start_date_time - session.start_datetime)
                    yield _Candidate(-score, not _same_id(cdr, session), distance, number, each)

    def _index(self, drivers: set[str]) -> dict[Hashable, list[_Start]]:
        """Return the unpaired sessions of these drivers by driver and place, in the order of their starts."""
        index: dict[Hashable, list[_Start]] = defaultdict(list)
        for number, session in enumerate(self.sessions):
            driver = _driver(session.auth_id)
            if number in self.paired or driver not in drivers:
                continue
            for place in _places_to_stand_at(session.place):
                index[driver, place].append((session.start_datetime, number))
        for starts in index.values():
            starts.sort()
        return dict(index)


class _Candidate(NamedTuple):
    """A possible pair; the best one sorts first."""

    negative_score: float
    other_id: bool
    distance: timedelta
    cdr: int
    session: int


_Start: TypeAlias = tuple[datetime, int]


def _nearest(starts: Sequence[_Start], moment: datetime) -> Iterator[int]:
    """Yield the numbers of the sessions that start next before and after a moment."""
    at = bisect_left(starts, (moment, 0))
    return (number for _, number in starts[max(0, at - NEIGHBOURS) : at + NEIGHBOURS])


def _is_in_reach(session: SessionSummary, earliest: datetime, latest: datetime) -> bool:
    """Return False if no time zone reconciles the times: far cheaper to compute than a score."""
    begin, end = session.start_datetime, session.end_datetime
    if begin > latest:
        return begin - latest <= _FARTHEST
    return end is None or end >= earliest or earliest - max(begin, end) <= _FARTHEST


# --- places ---------------------------------------------------------------------------------------------------------


def _places_to_stand_at(place: ChargingPlace) -> Iterator[Hashable]:
    """Yield the keys under which a session is indexed."""
    yield "location", place.location_id.upper()
    if place.evse_uid is None:
        yield "location alone", place.location_id.upper()
    else:
        yield from evse_names(place)


def _places_to_look_at(place: ChargingPlace) -> Iterator[Hashable]:
    """Yield the keys of a CDR's sessions: its EVSE, or its location if one of the two names no EVSE."""
    if place.evse_uid is None:
        yield "location", place.location_id.upper()
    else:
        yield from evse_names(place)
        yield "location alone", place.location_id.upper()


# --- the score ------------------------------------------------------------------------------------------------------


def score_of(cdr: CdrSummary, session: SessionSummary) -> float:
    """Return how well a session of the same driver fits a CDR: from 0 to 1, to three decimals."""
    if not _same_driver(cdr, session):
        return 0.0
    time = time_agreement(cdr, session)
    place = place_agreement(cdr.place, session.place) if time else 0.0
    if not (time and place):
        return 0.0
    return round(_PLACE * place + _TIME * time + _ENERGY * _energy_agreement(cdr, session), 3)


def time_agreement(cdr: CdrSummary, session: SessionSummary) -> float:
    """Return the overlap of both as a share of their union; 1 if both ends agree within a minute.

    A session without an end counts until the CDR's stop, and gives at most 0.8. The result is at least 0.5 if a time
    zone explains the difference, see :func:`is_shifted`.
    """
    return max(_share(cdr, session), 0.5 if is_shifted(cdr, session) else 0.0)


def is_shifted(cdr: CdrSummary, session: SessionSummary) -> bool:
    """Return True if one of the two seems to have local times: same length and energy, a multiple of 30 minutes
    apart.
    """
    if session.end_datetime is None or min(cdr.total_energy, session.kwh) < _TELLING_KWH:
        return False
    start = session.start_datetime - cdr.start_date_time
    end = session.end_datetime - cdr.stop_date_time
    steps = round(start / _ZONE_STEP)
    return (
        steps != 0
        and abs(start) <= _LARGEST_ZONE
        and abs(start - steps * _ZONE_STEP) <= _SAME_MOMENT
        and abs(end - start) <= _SAME_MOMENT
        and not differ(cdr.total_energy, session.kwh, _SAME_KWH)
    )


def _share(cdr: CdrSummary, session: SessionSummary) -> float:
    start, stop = _in_order(cdr.start_date_time, cdr.stop_date_time)
    begin, end = session.start_datetime, session.end_datetime
    if end is None:
        return 0.8 * _common_share(start, stop, begin, max(begin, stop))
    return _common_share(start, stop, *_in_order(begin, end))


def _common_share(start: datetime, stop: datetime, begin: datetime, end: datetime) -> float:
    if abs(start - begin) <= _SAME_MOMENT and abs(stop - end) <= _SAME_MOMENT:
        return 1.0
    common = min(stop, end) - max(start, begin)
    return common / (max(stop, end) - min(start, begin)) if common > timedelta(0) else 0.0


def _in_order(one: datetime, other: datetime) -> tuple[datetime, datetime]:
    return (one, other) if one <= other else (other, one)


def _energy_agreement(cdr: CdrSummary, session: SessionSummary) -> float:
    """Return the smaller energy as a share of the larger one; 0.5 if the session is not over, so that nothing is
    known.
    """
    if session.status != SessionStatus.COMPLETED and session.end_datetime is None:
        return 0.5
    if not differ(cdr.total_energy, session.kwh, _SAME_KWH):
        return 1.0
    smaller, larger = sorted((cdr.total_energy, session.kwh))
    return float(_RATIO.divide(smaller, larger)) if smaller > 0 else 0.0


def _same_id(cdr: CdrSummary, session: SessionSummary) -> bool:
    return cdr.id.upper() == session.id.upper()


def _same_driver(cdr: CdrSummary, session: SessionSummary) -> bool:
    return _driver(cdr.auth_id) == _driver(session.auth_id)


def _driver(auth_id: str) -> str:
    return auth_id.upper()


def _is_plausible(cdr: CdrSummary, session: SessionSummary) -> bool:
    return _same_driver(cdr, session) or place_agreement(cdr.place, session.place) > 0


def _is_confirmed(cdr: CdrSummary, session: SessionSummary) -> bool:
    return _share(cdr, session) > 0 and _is_plausible(cdr, session)


# --- differences ----------------------------------------------------------------------------------------------------


def differences(
    match: CdrMatch, kwh_tolerance: Decimal, cost_tolerance: Decimal, times_apart: Decimal | None = None
) -> Iterator[CdrDifference]:
    """Yield the differences of a CDR and its session, energy and money first; a credit has none of its own.

    ``times_apart``: seconds from which starts or ends differ; None if they may differ.
    """
    if match.how == "credit":
        return
    for what, cdr_value, session_value in _differing(
        match.cdr, match.session, kwh_tolerance, cost_tolerance, times_apart
    ):
        yield CdrDifference(what, match, cdr_value, session_value)


def _differing(
    cdr: CdrSummary,
    session: SessionSummary,
    kwh_tolerance: Decimal,
    cost_tolerance: Decimal,
    times_apart: Decimal | None,
) -> Iterator[tuple[What, Decimal | str, Decimal | str]]:
    if differ(cdr.total_energy, session.kwh, kwh_tolerance):
        yield "kwh", cdr.total_energy, session.kwh
    if cdr.currency.upper() != session.currency.upper():
        yield "currency", cdr.currency, session.currency
    elif session.total_cost is not None and differ(cdr.total_cost, session.total_cost, cost_tolerance):
        yield "cost", cdr.total_cost, session.total_cost
    if same_authorization(cdr.authorization_id, session.authorization_id) is False:
        yield "authorization_id", cdr.authorization_id or "", session.authorization_id or ""
    if not _same_driver(cdr, session):
        yield "auth_id", cdr.auth_id, session.auth_id
    if not place_agreement(cdr.place, session.place):
        yield "evse", _shown(cdr.place), _shown(session.place)
    yield from _other_times(cdr, session, times_apart)
    if session.status == SessionStatus.INVALID:  # it "will not be billed" (mod_sessions.md 4.1), but a CDR bills it
        yield "status", "billed", session.status.value


def _other_times(
    cdr: CdrSummary, session: SessionSummary, times_apart: Decimal | None
) -> Iterator[tuple[What, str, str]]:
    """Yield the starts if they differ, otherwise the ends; for None only if the two do not overlap at all."""
    ends = (cdr.start_date_time, session.start_datetime), (cdr.stop_date_time, session.end_datetime)
    if times_apart is not None:
        for mine, theirs in ends:
            if theirs is not None and abs(seconds(mine, theirs)) > times_apart:
                yield "time", wire_time(mine), wire_time(theirs)
                return
    if is_shifted(cdr, session) or not time_agreement(cdr, session):
        yield "time", wire_time(cdr.start_date_time), wire_time(session.start_datetime)


def _shown(place: ChargingPlace) -> str:
    return "/".join(filter(None, (place.location_id, place.evse_uid)))
