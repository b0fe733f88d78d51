"""Plausibility of anything: no input raises, no order makes a difference, and both sides say the same."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import evolve
from hypothesis import given, settings, strategies as st

from ocpi_emsp.models import Cdr, Connector
from ocpi_emsp.pricing.places import ChargingPlace
from ocpi_emsp.pricing.plausibility import (
    CODES,
    Amounts,
    KnownPlace,
    KnownSession,
    KnownToken,
    Neighbour,
    Plausibility,
    Surroundings,
    suspicions,
)
from pricing.test_plausibility import DAY, START, cdr

MOMENTS = st.sampled_from(
    [START, START + timedelta(seconds=61), START + timedelta(hours=1), START + DAY]
) | st.datetimes(timezones=st.just(UTC))
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [Decimal(0), Decimal("3.30"), Decimal("-3.30"), Decimal("1e999999"), Decimal("-1e999999"), Decimal("1e-999999")]
)
PLACES = st.builds(
    ChargingPlace,
    st.sampled_from(["", "LOC1", "loc1", "LOC2"]),
    st.sampled_from([None, "", "E1", "E2"]),
    st.sampled_from([None, "NL*TNM*E1", "nltnme1"]),
    st.sampled_from([None, "1", "2"]),
)
NEIGHBOURS = st.builds(
    Neighbour,
    id=st.text(max_size=3),
    auth_id=st.sampled_from(["DE8ACC12E46L89", "de8acc12e46l89", "OTHER"]),
    place=PLACES,
    start_date_time=MOMENTS,
    stop_date_time=MOMENTS,
    total_energy=NUMBERS,
    total_cost=NUMBERS,
    currency=st.sampled_from(["EUR", "eur", "SEK"]),
    last_updated=MOMENTS,
)
AMOUNTS = st.none() | st.builds(Amounts, st.none() | NUMBERS, st.none() | NUMBERS)
MAYBE = st.sampled_from([None, True, False])
AROUND = st.builds(
    Surroundings,
    now=st.none() | MOMENTS,
    received_at=st.none() | MOMENTS,
    others=st.lists(NEIGHBOURS, max_size=4),
    are_all=st.booleans(),
    reference=st.none() | st.text(max_size=3),
    session=st.none()
    | st.builds(KnownSession, id=st.just("S"), start_datetime=MOMENTS, end_datetime=st.none() | MOMENTS),
    place=st.builds(KnownPlace, location=MAYBE, evse=MAYBE, connector=MAYBE),
    token=st.none() | st.builds(KnownToken, is_ours=st.booleans(), blocked_since=st.none() | MOMENTS),
    published=AMOUNTS,
    published_id=st.just("T1"),
    currencies=st.dictionaries(st.sampled_from(["EUR", "SEK"]), st.integers(1, 100)),
)


@st.composite
def cdrs(draw: st.DrawFn) -> Cdr:
    """A CDR whose values nobody has checked."""
    made = cdr()
    periods = [evolve(made.charging_periods[0], start_date_time=draw(MOMENTS)) for _ in range(draw(st.integers(0, 3)))]
    evse = made.location.evses[0]
    power: dict[str, Any] = {name: draw(st.integers() | st.just(10**500)) for name in ("voltage", "amperage")}
    plug: Connector = evolve(evse.connectors[0], **power)
    return evolve(
        made,
        start_date_time=draw(MOMENTS),
        stop_date_time=draw(MOMENTS),
        last_updated=draw(MOMENTS),
        total_energy=draw(NUMBERS),
        total_cost=draw(NUMBERS),
        total_parking_time=draw(st.none() | NUMBERS),
        charging_periods=tuple(periods),
        location=evolve(made.location, evses=draw(st.sampled_from([(), (evse,), (evolve(evse, connectors=(plug,)),)]))),
    )


@settings(max_examples=50)
@given(cdrs(), AMOUNTS, AROUND, st.sets(st.sampled_from(sorted(CODES))))
def test_no_input_raises_and_what_is_off_is_not_named(
    found: Cdr, costs: Amounts | None, around: Surroundings, off: set[str]
) -> None:
    everything = suspicions(found, costs, around=around)
    chosen = Plausibility(dict.fromkeys(off, "off"))
    assert suspicions(found, costs, chosen, around) == tuple(each for each in everything if each.code not in off)
    backwards = evolve(around, others=around.others[::-1])
    assert [each.code for each in suspicions(found, costs, around=backwards)] == [each.code for each in everything]
    assert all(len(each.message) < 1000 and "Decimal(" not in each.message for each in everything)
    by_itself = {each.code for each in suspicions(found, costs)}
    assert by_itself - {"power.exceeded"} <= {each.code for each in everything}


@settings(max_examples=50)
@given(NEIGHBOURS, NEIGHBOURS)
def test_of_two_cdrs_each_says_the_same_of_the_other(one: Neighbour, other: Neighbour) -> None:
    def said(me: Neighbour, beside: Neighbour) -> set[str]:
        made = cdr()
        place = me.place
        evse = evolve(made.location.evses[0], uid=place.evse_uid or "", evse_id=place.evse_id)
        plugs = (evolve(evse.connectors[0], id=place.connector_id),) if place.connector_id else ()
        document = evolve(
            made,
            id="ME",
            auth_id=me.auth_id,
            location=evolve(made.location, id=place.location_id, evses=(evolve(evse, connectors=plugs),)),
            start_date_time=me.start_date_time,
            stop_date_time=me.stop_date_time,
            total_energy=abs(me.total_energy),
            total_cost=abs(me.total_cost),
        )
        found = suspicions(document, around=Surroundings(others=[beside]))
        return {each.code for each in found} & {"duplicate", "session.overlap", "connector.shared"}

    def billed(each: Neighbour) -> Neighbour:
        place = evolve(each.place, evse_uid=each.place.evse_uid or "")  # as ChargingPlace.of reads it from a CDR
        if not (place.evse_uid or place.evse_id):
            place = ChargingPlace(place.location_id)
        return evolve(each, place=place, total_energy=abs(each.total_energy), total_cost=abs(each.total_cost))

    assert said(one, billed(other)) == said(other, billed(one))


def test_a_moment_at_the_end_of_time_is_compared() -> None:
    latest, earliest = (moment.replace(tzinfo=UTC) for moment in (datetime.max, datetime.min))
    found = evolve(cdr(), start_date_time=earliest, stop_date_time=latest)
    around = Surroundings(now=START, session=KnownSession(id="S", start_datetime=latest, end_datetime=earliest))
    assert {each.code for each in suspicions(found, around=around)} >= {"session.long", "time.ahead", "session.times"}
