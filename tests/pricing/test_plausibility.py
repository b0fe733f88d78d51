"""What eMSPs dispute beside the price, each as a small story, and what looks like it and is none.

The CDR of most: Monday 2024-05-20, 08:00 to 09:00 UTC, 11 kWh at 0.30 on a connector of 3 x 230 V x 32 A = 22.08 kW.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from ocpi_emsp.codec import decode
from ocpi_emsp.models import Cdr, Connector, ConnectorFormat, ConnectorType, PowerType
from ocpi_emsp.pricing import REASONS
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
from ocpi_emsp.testing.cpo.wire import encode

START = datetime(2024, 5, 20, 8, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def tariff(price: str = "0.30", kind: str = "ENERGY") -> dict[str, Any]:
    component = {"type": kind, "price": Decimal(price), "step_size": 1}
    return {
        "id": "T1",
        "currency": "EUR",
        "elements": [{"price_components": [component]}],
        "last_updated": stamp(START - DAY),
    }


def connector(power_type: str = "AC_3_PHASE", voltage: int = 230, amperage: int = 32) -> dict[str, Any]:
    return {
        "id": "1",
        "standard": "IEC_62196_T2",
        "format": "SOCKET",
        "power_type": power_type,
        "voltage": voltage,
        "amperage": amperage,
        "last_updated": stamp(START - DAY),
    }


def document(
    kwh: str = "11",
    cost: str = "3.30",
    took: timedelta = HOUR,
    *,
    first: timedelta = timedelta(0),
    later: tuple[timedelta, ...] = (),
    plug: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A CDR; ``first``: when its first period begins after the start, ``later``: when more of them do."""
    energy = [{"type": "ENERGY", "volume": Decimal(kwh)}]
    idle = [{"type": "PARKING_TIME", "volume": Decimal(0)}]
    return {
        "id": "C1",
        "start_date_time": stamp(START),
        "stop_date_time": stamp(START + took),
        "auth_id": "DE8ACC12E46L89",
        "auth_method": "WHITELIST",
        "location": {
            "id": "LOC1",
            "type": "ON_STREET",
            "address": "Street 1",
            "city": "Amsterdam",
            "postal_code": "1011",
            "country": "NLD",
            "coordinates": {"latitude": "52.370216", "longitude": "4.895168"},
            "evses": [
                {
                    "uid": "E1",
                    "evse_id": "NL*TNM*E1",
                    "status": "CHARGING",
                    "connectors": [plug or connector()],
                    "last_updated": stamp(START - DAY),
                }
            ],
            "last_updated": stamp(START - DAY),
        },
        "currency": "EUR",
        "tariffs": [tariff()],
        "charging_periods": [
            {"start_date_time": stamp(START + first), "dimensions": energy},
            *({"start_date_time": stamp(START + each), "dimensions": idle} for each in later),
        ],
        "total_cost": Decimal(cost),
        "total_energy": Decimal(kwh),
        "total_time": Decimal(took // SECOND) / 3600,
        "last_updated": stamp(START + took + MINUTE),
        **changes,
    }


def cdr(*args: Any, **changes: Any) -> Cdr:
    return decode(Cdr, encode(document(*args, **changes)))


def codes(found: Cdr, amounts: Amounts | None = None, around: Surroundings | None = None, **settings: Any) -> list[str]:
    limits = Plausibility({name.replace("__", "."): value for name, value in settings.items()})
    return [reason.code for reason in suspicions(found, amounts, limits, around)]


def amounts(low: str, high: str | None = None) -> Amounts:
    return Amounts(Decimal(low), Decimal(high or low))


PLACE = ChargingPlace("LOC1", "E1", "NL*TNM*E1", "1")
ELSEWHERE = ChargingPlace("LOC2", "E7", "NL*TNM*E7", "1")


def other(after: timedelta = timedelta(0), took: timedelta = HOUR, **changes: Any) -> Neighbour:
    """Another CDR that is like the first one in all but its id."""
    values: dict[str, Any] = {
        "id": "C2",
        "auth_id": "DE8ACC12E46L89",
        "place": PLACE,
        "start_date_time": START + after,
        "stop_date_time": START + after + took,
        "total_energy": Decimal(11),
        "total_cost": Decimal("3.30"),
        "currency": "EUR",
        "last_updated": START + DAY,
    }
    return Neighbour(**(values | changes))


def credit(cost: str = "-3.30", **changes: Any) -> Neighbour:
    return other(id="CREDIT", total_cost=Decimal(cost), **changes)


# --- the document by itself -----------------------------------------------------------------------------------------

DC, ONE_PHASE = connector("DC", 400, 125), connector("AC_1_PHASE", 230, 16)

BY_ITSELF = [
    ("as it should be", cdr(), None, []),
    ("24 hours to the second", cdr(took=24 * HOUR), None, []),
    ("a second more than 24 hours", cdr(took=24 * HOUR + SECOND), None, ["session.long"]),
    ("60 seconds", cdr("0.1", "0.03", took=MINUTE), None, []),
    ("59 seconds", cdr("0.1", "0.03", took=59 * SECOND), None, ["session.short"]),
    ("no time at all", cdr("0", "0", took=0 * HOUR), amounts("0"), ["session.short"]),
    # the price audit says session.reversed
    ("stop before start", cdr(took=-HOUR), None, []),
    ("energy without cost", cdr("11", "0"), amounts("3.30"), ["energy.without_cost", "cost.zero"]),
    ("energy without cost and any tariff", cdr("11", "0", tariffs=[]), None, ["energy.without_cost"]),
    ("a free tariff", cdr("11", "0", tariffs=[tariff("0")]), amounts("0"), []),
    ("a free tariff that nobody reckoned", cdr("11", "0", tariffs=[tariff("0")]), None, []),
    ("the first hours are free", cdr("11", "0"), amounts("0"), []),
    ("perhaps they are free", cdr("11", "0"), amounts("0", "3.30"), []),
    ("a total of 0 of a tariff by the hour", cdr("0", "0", tariffs=[tariff("2", "TIME")]), amounts("2"), ["cost.zero"]),
    ("a total of 0 of a tariff from the store", cdr("0", "0", tariffs=[]), amounts("2"), ["cost.zero"]),
    ("a total of 0, the tariff gives no bounds", cdr("0", "0"), Amounts(), ["cost.zero"]),
    ("cost without energy", cdr("0", "3.30"), None, ["cost.without_energy"]),
    ("period late by a minute", cdr(first=MINUTE), None, []),
    ("period late by more", cdr(first=MINUTE + SECOND), None, ["periods.late"]),
    ("the last period begins with the stop", cdr(later=(HOUR,)), None, []),
    ("the last period begins after the stop", cdr(later=(HOUR + SECOND,)), None, ["periods.after_stop"]),
    # 3 x 230 V x 32 A x 1 h x 1.1 = 24.288 kWh
    ("all that three phases give", cdr("24.288", "7.29"), None, []),
    ("more than three phases give", cdr("24.289", "7.29"), None, ["power.exceeded"]),
    # 230 V x 16 A x 1 h x 1.1 = 4.048 kWh
    ("all that one phase gives", cdr("4.048", "1.21", plug=ONE_PHASE), None, []),
    ("more than one phase gives", cdr("4.049", "1.21", plug=ONE_PHASE), None, ["power.exceeded"]),
    # 400 V x 125 A x 1 h x 1.1 = 55 kWh
    ("all that DC gives", cdr("55", "16.50", plug=DC), None, []),
    ("more than DC gives", cdr("55.001", "16.50", plug=DC), None, ["power.exceeded"]),
    # half an hour of parking leaves half of 24.288 kWh
    ("parking is no charging", cdr("12.15", "3.30", total_parking_time=Decimal("0.5")), None, ["power.exceeded"]),
    ("a connector of no power says nothing", cdr("99", "29.70", plug=connector("DC", 0, 0)), None, []),
    ("no EVSE says nothing", cdr("99", "29.70", location={**document()["location"], "evses": []}), None, []),
    ("more than 1,000 kWh", cdr("1001", "300.30", 24 * HOUR, plug=DC), None, ["energy.high"]),
    ("1,000 kWh", cdr("1000", "300", 24 * HOUR, plug=DC), None, []),
    ("absurd energy", cdr("1e999", "1e999"), None, ["power.exceeded", "energy.high"]),
    ("a credit repeats what its CDR had", cdr("99", "-29.70", took=30 * HOUR, first=DAY), None, []),
]


@pytest.mark.parametrize(
    ("found", "costs", "expected"), [each[1:] for each in BY_ITSELF], ids=[e[0] for e in BY_ITSELF]
)
def test_a_document_by_itself(found: Cdr, costs: Amounts | None, expected: list[str]) -> None:
    assert codes(found, costs) == expected


def test_periods_in_any_order_begin_with_the_first() -> None:
    mixed = cdr(first=MINUTE, later=(30 * MINUTE, 0 * HOUR))
    assert codes(mixed) == []
    last = cdr(first=2 * HOUR, later=(30 * MINUTE,))
    assert [(each.code, each.pointer) for each in suspicions(last)] == [
        ("periods.late", "/charging_periods/1/start_date_time"),
        ("periods.after_stop", "/charging_periods/0/start_date_time"),
    ]


# --- beside other CDRs ----------------------------------------------------------------------------------------------

B = Surroundings
OTHER_DRIVER = "DE8ACC99999999"
BESIDE = [
    ("the same under another id", cdr(), [other()], ["duplicate"]),
    ("the same, a minute later by another clock", cdr(), [other(MINUTE)], ["duplicate"]),
    ("the same, energy rounded", cdr("11.04", "3.31"), [other()], ["duplicate"]),
    ("the same, ids in another case", cdr(),
     [other(auth_id="de8acc12e46l89", place=ChargingPlace("loc1", "e1"))], ["duplicate"]),
    ("the same by the EVSE id, over a hub", cdr(), [other(place=ChargingPlace("X9", "9", "nltnme1"))], ["duplicate"]),
    ("another driver with equal values elsewhere", cdr(), [other(auth_id=OTHER_DRIVER, place=ELSEWHERE)], []),
    ("two sessions back to back", cdr(), [other(HOUR)], []),
    ("two sessions back to back, the clock is a minute late", cdr(), [other(HOUR - MINUTE)], []),
    # billed until midnight, and from midnight on
    ("a change at midnight", cdr(), [other(-8 * HOUR, 8 * HOUR), other(HOUR, 9 * HOUR, id="C3")], []),
    ("two tries within a minute", cdr("0", "0", 20 * SECOND, tariffs=[tariff("0")]),
     [other(40 * SECOND, 20 * SECOND, total_energy=Decimal(0))], ["session.short"]),
    ("at two places at once", cdr(), [other(HOUR - MINUTE - SECOND, place=ELSEWHERE)], ["session.overlap"]),
    ("at two places, one minute of both", cdr(), [other(HOUR - MINUTE, place=ELSEWHERE)], []),
    ("a session inside of another one", cdr(), [other(-HOUR, 9 * HOUR, place=ELSEWHERE)], ["session.overlap"]),
    ("twice on one EVSE with other energies", cdr(), [other(total_energy=Decimal(5))], ["session.overlap"]),
    ("at one location, no EVSE is named", cdr(), [other(5 * MINUTE, place=ChargingPlace("LOC1"))], []),
    ("two drivers on one connector", cdr(), [other(30 * MINUTE, auth_id=OTHER_DRIVER)], ["connector.shared"]),
    ("two drivers on one EVSE, the connector is not named", cdr(),
     [other(auth_id=OTHER_DRIVER, place=ChargingPlace("LOC1", "E1"))], ["connector.shared"]),
    ("two drivers on two connectors", cdr(),
     [other(auth_id=OTHER_DRIVER, place=ChargingPlace("LOC1", "E1", None, "2"))], []),
    ("the next driver", cdr(), [other(HOUR, auth_id=OTHER_DRIVER)], []),
    ("E1 of another location", cdr(), [other(auth_id=OTHER_DRIVER, place=ChargingPlace("LOC2", "E1", None, "1"))], []),
    ("it was credited, and came again", cdr(), [credit(), other(total_energy=Decimal(10))], []),
    ("it was credited, and came again as it was", cdr(), [credit(), other()], []),
    ("billed three times, credited once", cdr(), [credit(), other(), other(id="C3")], ["duplicate"]),
    ("an overlapping one was credited", cdr(),
     [other(5 * MINUTE, place=ELSEWHERE), credit(after=5 * MINUTE, place=ELSEWHERE)], []),
    ("a credit", cdr("11", "-3.30"), [other()], []),
    ("a credit of negative volumes", cdr("-11", "-3.30"), [other()], []),
    ("a credit without an original", cdr("11", "-3.30"), [other(5 * HOUR)], ["credit.without_original"]),
    ("a credit given twice", cdr("11", "-3.30"), [other(), credit()], ["credit.repeated"]),
    ("two credits for two of one kind", cdr("11", "-3.30"), [other(), other(id="C3"), credit()], []),
    ("a credit of another amount", cdr("11", "-3.31"), [other()], ["credit.amount"]),
    ("a credit that is rounded", cdr("11", "-3.304"), [other()], []),
    ("a credit in another currency", cdr("11", "-3.30", currency="CHF"), [other()], ["credit.amount"]),
]  # fmt: skip


@pytest.mark.parametrize(("found", "others", "expected"), [each[1:] for each in BESIDE], ids=[e[0] for e in BESIDE])
def test_beside_other_cdrs(found: Cdr, others: list[Neighbour], expected: list[str]) -> None:
    assert codes(found, None, Surroundings(others=others, are_all=True)) == expected
    assert codes(found, None, Surroundings(others=others[::-1], are_all=True)) == expected


def test_a_credit_names_its_cdr_where_a_party_says_it() -> None:
    found = cdr("11", "-3.30")
    elsewhere = other(2 * HOUR)
    assert codes(found, None, Surroundings(others=[elsewhere], are_all=True, reference="c2")) == []
    assert codes(found, None, Surroundings(others=[elsewhere])) == [], "an original may be known to nobody here"


def test_many_others_are_named_by_three() -> None:
    others = [other(id=f"C{number}") for number in range(2, 1000)]
    (reason,) = suspicions(cdr(), around=Surroundings(others=others))
    assert reason.message == ("the driver, EVSE, start and energy are those of 'C10', 'C100', 'C101' and 995 more")


# --- beside what else is known --------------------------------------------------------------------------------------

PLUG = Connector(
    id="1",
    standard=ConnectorType.IEC_62196_T2,
    format=ConnectorFormat.SOCKET,
    power_type=PowerType.DC,
    voltage=400,
    amperage=125,
    last_updated=START,
)


def session(start: timedelta = timedelta(0), end: timedelta | None = HOUR) -> KnownSession:
    return KnownSession(id="S1", start_datetime=START + start, end_datetime=None if end is None else START + end)


KNOWN = [
    (
        "more of the driver than are looked at",
        cdr(),
        B(of_driver_beyond=["100 CDRs", "40 sessions"]),
        ["neighbours.limit"],
    ),
    ("a token of ours", cdr(), B(token=KnownToken(is_ours=True)), []),
    ("a token of another eMSP", cdr(), B(token=KnownToken(is_ours=False)), ["token.unknown"]),
    ("blocked when it started", cdr(), B(token=KnownToken(is_ours=True, blocked_since=START)), ["token.blocked"]),
    ("blocked a second later", cdr(), B(token=KnownToken(is_ours=True, blocked_since=START + SECOND)), []),
    ("a place that the party has", cdr(), B(place=KnownPlace(location=True, evse=True, connector=True)), []),
    ("no such location", cdr(), B(place=KnownPlace(location=False)), ["location.unknown"]),
    ("no such EVSE", cdr(), B(place=KnownPlace(location=True, evse=False)), ["evse.unknown"]),
    ("no such connector", cdr(), B(place=KnownPlace(location=True, evse=True, connector=False)), ["connector.unknown"]),
    ("the stored connector is the stronger one", cdr("50", "15"), B(connector=PLUG), []),
    ("the copied connector is the stronger one", cdr("50", "15", plug=DC), B(connector=evolve(PLUG, amperage=10)), []),
    ("stops now", cdr(), B(now=START + HOUR), []),
    ("stops a minute ahead", cdr(), B(now=START + HOUR - MINUTE), []),
    ("stops ahead", cdr(), B(now=START + HOUR - MINUTE - SECOND), ["time.ahead"]),
    ("starts ahead", cdr(), B(now=START - DAY), ["time.ahead"]),
    ("35 days late", cdr(last_updated=stamp(START + HOUR + 35 * DAY)), B(), []),
    ("more than 35 days late", cdr(last_updated=stamp(START + HOUR + 35 * DAY + SECOND)), B(), ["cdr.late"]),
    ("came late", cdr(), B(received_at=START + 40 * DAY), ["cdr.late"]),
    ("the usual currency", cdr(), B(currencies={"EUR": 8, "CHF": 2}), []),
    ("the usual currency in another case", cdr(), B(currencies={"eur": 8}), []),
    ("another currency", cdr(currency="SEK"), B(currencies={"EUR": 2}), ["currency.unusual"]),
    ("another currency of a few", cdr(currency="SEK"), B(currencies={"EUR": 9, "SEK": 1}), ["currency.unusual"]),
    ("one of two currencies", cdr(currency="SEK"), B(currencies={"EUR": 8, "SEK": 1}), []),
    ("nothing is usual yet", cdr(currency="SEK"), B(currencies={"EUR": 1}), []),
    ("the times of the session", cdr(), B(session=session()), []),
    ("the times, a minute apart", cdr(), B(session=session(MINUTE, HOUR - MINUTE)), []),
    ("another start than the session's", cdr(), B(session=session(MINUTE + SECOND)), ["session.times"]),
    ("another end than the session's", cdr(), B(session=session(end=HOUR - MINUTE - SECOND)), ["session.times"]),
    ("the session has no end yet", cdr(), B(session=session(end=None)), []),
    ("times of a credit", cdr("11", "-3.30", last_updated=stamp(START + 90 * DAY)), B(session=session(DAY)), []),
]


@pytest.mark.parametrize(("found", "around", "expected"), [each[1:] for each in KNOWN], ids=[e[0] for e in KNOWN])
def test_beside_what_is_known(found: Cdr, around: Surroundings, expected: list[str]) -> None:
    assert codes(found, None, around) == expected


@pytest.mark.parametrize(
    ("own", "published", "expected"),
    [
        ("3.30", "2.75", ["tariff.dearer"]),
        ("3.30", "3.30", []),
        ("3.30", "3.296", []),
        ("3.30", "4.40", []),
    ],
)
def test_an_embedded_tariff_dearer_than_the_published_one(own: str, published: str, expected: list[str]) -> None:
    around = Surroundings(published=amounts(published), published_id="T1")
    assert codes(cdr(), amounts(own), around) == expected
    assert codes(cdr(), None, around) == []
    assert codes(cdr(tariffs=[]), amounts(own), around) == []
    assert codes(cdr(), amounts(own), Surroundings(published=Amounts(Decimal(1)))) == []


# --- settings -------------------------------------------------------------------------------------------------------


def test_each_code_is_named_somewhere_above_and_can_be_switched_off() -> None:
    vectors: list[tuple[Cdr, Amounts | None, Surroundings | None]] = [
        *((found, costs, None) for _, found, costs, _ in BY_ITSELF),
        *((found, None, Surroundings(others=others, are_all=True)) for _, found, others, _ in BESIDE),
        *((found, None, around) for _, found, around, _ in KNOWN),
        (cdr(), amounts("3.30"), Surroundings(published=amounts("1"), published_id="T1")),
        (cdr("0.01", "999"), None, None),
    ]
    on = Plausibility({"energy.low": 1, "cost.low": "1.00", "cost.high": 500})
    named = set[str]()
    for found, costs, around in vectors:
        reasons = suspicions(found, costs, on, around)
        named |= {reason.code for reason in reasons}
        for reason in reasons:
            assert reason.code not in codes_without(reason.code, on, found, costs, around)
    assert named == set(CODES)


def codes_without(
    code: str, settings: Plausibility, found: Cdr, costs: Amounts | None, around: Surroundings | None
) -> list[str]:
    return [each.code for each in suspicions(found, costs, settings.changed({code: "off"}), around)]


def test_limits_move_what_is_named() -> None:
    assert codes(cdr(took=30 * HOUR), session__long=48) == []
    assert codes(cdr(), session__short=3601) == ["session.short"]
    assert codes(cdr("24.3", "7.29"), power__exceeded="1.2") == []
    assert codes(cdr(), energy__low=12, energy__high="10.5") == ["energy.low", "energy.high"]
    assert codes(cdr(), cost__low=4, cost__high=3) == ["cost.low", "cost.high"]
    assert codes(cdr(last_updated=stamp(START + 3 * DAY)), None, B(), cdr__late=2) == ["cdr.late"]


def test_the_settings_say_themselves() -> None:
    changed = Plausibility({"session.long": "48.0", "duplicate": False, "token.unknown": True, "cdr.late": 35})
    assert dict(changed.changes) == {"duplicate": "off", "session.long": "48"}
    assert changed.as_json() == {code: each.default for code, each in CODES.items()} | dict(changed.changes)
    assert changed == Plausibility({"duplicate": "OFF", "session.long": Decimal(48)})
    assert changed.changed({"duplicate": "on"}).changes == {"session.long": "48"}
    assert all(each.default in ("on", "off") or each.unit for each in CODES.values())
    assert set(CODES) == {code for code, each in REASONS.items() if each.plausibility}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"session.lang": 1}, "invalid plausibility 'session.lang': expected one of session.long, "),
        ({"session.long": "soon"}, r"invalid plausibility session.long 'soon': expected a number \(h\) or off, for"),
        ({"session.long": -1}, "invalid plausibility session.long '-1'"),
        ({"session.long": "NaN"}, "invalid plausibility session.long 'NaN'"),
        ({"session.long": "1e99"}, "invalid plausibility session.long '1e99'"),
        ({"session.long": "1e-99"}, "invalid plausibility session.long '1e-99'"),
        ({"cost.high": "on"}, "invalid plausibility cost.high 'on': expected a number"),
        ({"duplicate": 3}, "invalid plausibility duplicate '3': expected on or off, for example off"),
        ({"duplicate": None}, "invalid plausibility duplicate 'None': expected on or off"),
        ([], "invalid plausibility 'list': expected a mapping"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Plausibility(settings)


# --- what it says ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "around", "message"),
    [
        (cdr(took=26 * HOUR + 5 * SECOND), None, "the session took 26 h 5 s, more than 24 h"),
        (
            cdr("50", "15"),
            None,
            "50 kWh in 1 h: a connector of 22.08 kW delivers 22.08 kWh",
        ),
        (
            cdr(),
            B(session=session(5 * MINUTE, HOUR + 5 * MINUTE)),
            "start_date_time is 2024-05-20T08:00:00Z, that of the session 'S1' is 2024-05-20T08:05:00Z; "
            "stop_date_time is 2024-05-20T09:00:00Z, that of the session 'S1' is 2024-05-20T09:05:00Z",
        ),
        (cdr("1e999", "15"), None, "1.000E+999 kWh in 1 h: a connector of 22.08 kW delivers 22.08 kWh"),
    ],
)
def test_a_reason_says_the_values(found: Cdr, around: Surroundings | None, message: str) -> None:
    assert suspicions(found, None, around=around)[0].message == message
