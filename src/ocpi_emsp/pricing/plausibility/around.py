"""Suspicions about a CDR from the documents around it.

Rules of this module:
- ids of drivers, locations and EVSEs are compared case-insensitively;
- sessions that follow each other do not overlap, even if clocks differ by a minute;
- a credited CDR is not a duplicate, nor is its replacement: of n CDRs of one session and m credits for them, n - m are
  billed;
- the work is linear in the number of documents, and a sentence names three of them at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from ocpi_emsp.models import Cdr
from ocpi_emsp.pricing.places import place_agreement
from ocpi_emsp.pricing.plausibility.settings import Plausibility
from ocpi_emsp.pricing.plausibility.surroundings import SAME_START, Amounts, Neighbour, Surroundings
from ocpi_emsp.pricing.plausibility.wording import above, at, differ, naming, product, seconds, written
from ocpi_emsp.pricing.result import Reason

_SAME_KWH: Final = Decimal("0.1")
"""The last decimal that most meters show: one of two copies may be rounded."""
_SAME_CONNECTOR: Final = 0.9
_LEAST_SAMPLE: Final = 2
"""Documents that are needed to call a currency usual."""
_DAY: Final = 86400


def of_surroundings(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    """Yield the suspicions from other documents."""
    yield from _of_neighbours(me, around, settings)
    yield from _beyond(around, settings)
    yield from _token(me, around, settings)
    yield from _place(me, around, settings)
    yield from _currency(me, around, settings)
    if not me.is_credit:
        yield from _moments(me, around, settings)
        yield from _session(me, around, settings)


# --- other CDRs -----------------------------------------------------------------------------------------------------


def _of_neighbours(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    """Yield the suspicions from other CDRs."""
    billed = [each for each in around.others if not each.is_credit]
    credits_ = [each for each in around.others if each.is_credit]
    if me.is_credit:
        yield from _credit(me, billed, credits_, around, settings)
        return
    same = [each for each in billed if _is_same_session(me, each)]
    copies = [
        each for each in same if _overlap(me, each) >= 0 and not differ(me.total_energy, each.total_energy, _SAME_KWH)
    ]
    given_back = sum(_is_same_session(me, each) for each in credits_)
    if copies and 1 + len(copies) - given_back > 1 and settings.has("duplicate"):
        message = f"the driver, EVSE, start and energy are those of {naming([each.id for each in copies])}"
        yield Reason(code="duplicate", pointer="/id", message=message)
    if given_back and len(same) + 1 - given_back <= 1:
        return  # an overlapping CDR replaces this one, or is replaced
    copied = {id(each) for each in copies}
    left = [
        each for each in billed if id(each) not in copied and not any(_is_same_session(each, one) for one in credits_)
    ]
    yield from _at_once(me, left, settings)


def _beyond(around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    if around.of_driver_beyond and settings.has("neighbours.limit"):
        what = " and ".join(around.of_driver_beyond)
        message = f"the driver has more than {what} around this one: the nearest are compared"
        yield Reason(code="neighbours.limit", pointer="/auth_id", message=message)


def _at_once(me: Neighbour, others: Sequence[Neighbour], settings: Plausibility) -> Iterator[Reason]:
    longest = settings.limit("session.overlap")
    if longest is not None:
        found = [each for each in others if each.driver == me.driver and _is_elsewhere(me, each)]
        ids = [each.id for each in found if _overlap(me, each) > longest]
        if ids:
            message = f"the driver charged at the same time according to {naming(ids)}"
            yield Reason(code="session.overlap", pointer="/start_date_time", message=message)
    longest = settings.limit("connector.shared")
    if longest is not None:
        found = [each for each in others if each.driver != me.driver and _is_on_the_connector(me, each)]
        ids = [each.id for each in found if _overlap(me, each) > longest]
        if ids:
            message = f"another driver charged on the connector at the same time: {naming(ids)}"
            yield Reason(code="connector.shared", pointer="/location", message=message)


def _is_elsewhere(one: Neighbour, other: Neighbour) -> bool:
    """Return False if one of the two has no EVSE at the same location, so both may be the same EVSE."""
    return place_agreement(one.place, other.place) != 0.5


def _is_on_the_connector(one: Neighbour, other: Neighbour) -> bool:
    return place_agreement(one.place, other.place) >= _SAME_CONNECTOR


def _is_same_session(one: Neighbour, other: Neighbour) -> bool:
    """Return True for the same driver, place and start."""
    return (
        one.driver == other.driver
        and abs(seconds(one.start_date_time, other.start_date_time)) <= SAME_START
        and place_agreement(one.place, other.place) > 0
    )


def _overlap(one: Neighbour, other: Neighbour) -> Decimal:
    """Return the seconds of overlap; negative if one follows the other."""
    return seconds(
        max(one.start_date_time, other.start_date_time),
        min(one.stop_date_time, other.stop_date_time),
    )


def _credit(
    me: Neighbour,
    billed: Sequence[Neighbour],
    credits_: Sequence[Neighbour],
    around: Surroundings,
    settings: Plausibility,
) -> Iterator[Reason]:
    originals = _originals(me, billed, around.reference)
    if not originals:
        if around.are_all and settings.has("credit.without_original"):
            message = "no CDR is known that this credit is for"
            yield Reason(code="credit.without_original", pointer="/total_cost", message=message)
        return
    again = [each for each in credits_ if _is_same_session(originals[0], each)]
    if len(again) + 1 > len(originals) and again and settings.has("credit.repeated"):
        also = naming([each.id for each in again])
        message = f"credit for {naming([each.id for each in originals])} is given by {also}, too"
        yield Reason(code="credit.repeated", pointer="/total_cost", message=message)
    most = settings.limit("credit.amount")
    if most is not None and not any(_takes_back(me, each, most) for each in originals):
        total = f"{written(originals[0].total_cost)} {originals[0].currency}"
        message = f"the credit is {written(me.total_cost)} {me.currency}, the CDR '{originals[0].id}' has {total}"
        yield Reason(code="credit.amount", pointer="/total_cost", message=message)


def _originals(me: Neighbour, billed: Sequence[Neighbour], reference: str | None) -> list[Neighbour]:
    if reference is not None:
        named = [each for each in billed if each.id.upper() == reference.upper()]
        if named:
            return named
    return [each for each in billed if _is_same_session(me, each)]


def _takes_back(credit: Neighbour, original: Neighbour, most: Decimal) -> bool:
    is_same_currency = credit.currency.upper() == original.currency.upper()
    return is_same_currency and not differ(-credit.total_cost, original.total_cost, most)


# --- stored data of the party and of this eMSP ----------------------------------------------------------------------


def _token(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    if around.token is None:
        return
    if not around.token.is_ours and settings.has("token.unknown"):
        message = f"no token of ours has the auth_id '{me.auth_id}'"
        yield Reason(code="token.unknown", pointer="/auth_id", message=message)
    since = around.token.blocked_since
    if since is not None and since <= me.start_date_time and settings.has("token.blocked"):
        message = f"the token is not valid since {at(since)}, the session began at {at(me.start_date_time)}"
        yield Reason(code="token.blocked", pointer="/auth_id", message=message)


def _place(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    known, place = around.place, me.place
    evse = place.evse_uid or place.evse_id
    if known.location is False:
        code, pointer, message = "location.unknown", "/location/id", f"the party has no location '{place.location_id}'"
    elif known.evse is False:
        message = f"the location '{place.location_id}' has no EVSE '{evse}'"
        code, pointer = "evse.unknown", "/location/evses/0/uid"
    elif known.connector is False:
        message = f"the EVSE '{evse}' has no connector '{place.connector_id}'"
        code, pointer = "connector.unknown", "/location/evses/0/connectors/0/id"
    else:
        return
    if settings.has(code):
        yield Reason(code=code, pointer=pointer, message=message)


def _currency(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    most, all_ = settings.limit("currency.unusual"), sum(around.currencies.values())
    same = sum(count for name, count in around.currencies.items() if name.upper() == me.currency.upper())
    if most is None or all_ < _LEAST_SAMPLE or same * 100 > most * all_:
        return
    usual = max(sorted(around.currencies), key=lambda name: around.currencies[name])
    message = f"the currency is '{me.currency}', that of the party is '{usual}'"
    yield Reason(code="currency.unusual", pointer="/currency", message=message)


def _moments(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    most = settings.limit("time.ahead")
    if most is not None and around.now is not None:
        for name in ("start_date_time", "stop_date_time"):
            moment = getattr(me, name)
            if seconds(around.now, moment) > most:
                message = f"{name} is {at(moment)}, and it is {at(around.now)}"
                yield Reason(code="time.ahead", pointer=f"/{name}", message=message)
                break
    days = settings.limit("cdr.late")
    came = max(me.last_updated, around.received_at or me.last_updated)
    if days is not None and seconds(me.stop_date_time, came) > product(days, _DAY):
        message = f"the session ended at {at(me.stop_date_time)}, and the CDR came at {at(came)}"
        yield Reason(code="cdr.late", pointer="/last_updated", message=message)


def _session(me: Neighbour, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    """Yield the differences from the times of the session."""
    session, most = around.session, settings.limit("session.times")
    if session is None or most is None:
        return
    pairs = (
        ("start_date_time", me.start_date_time, session.start_datetime),
        ("stop_date_time", me.stop_date_time, session.end_datetime),
    )
    apart = [
        (name, f"{name} is {at(mine)}, that of the session '{session.id}' is {at(theirs)}")
        for name, mine, theirs in pairs
        if theirs is not None and abs(seconds(mine, theirs)) > most
    ]
    if apart:
        message = "; ".join(each for _, each in apart)
        yield Reason(code="session.times", pointer=f"/{apart[0][0]}", message=message)


def of_prices(cdr: Cdr, amounts: Amounts | None, around: Surroundings, settings: Plausibility) -> Iterator[Reason]:
    """Yield a suspicion if the CDR's own tariff, whose cost is ``amounts``, is more expensive than the published
    one.
    """
    most, published = settings.limit("tariff.dearer"), around.published
    if most is None or published is None or published.high is None or not cdr.tariffs:
        return
    if amounts is None or amounts.low is None or not above(amounts.low, published.high, most):
        return
    message = (
        f"under its own tariff the session costs {written(amounts.low)} {cdr.currency}, "
        f"under the published tariff '{around.published_id}' {written(published.high)}"
    )
    yield Reason(code="tariff.dearer", pointer="/tariffs", message=message)
