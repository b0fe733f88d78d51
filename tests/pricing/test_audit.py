"""The doors: what they take, what they refuse, and what they assume. Amounts are reckoned in the comments."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from decimal import Decimal, localcontext
from typing import Any

import pytest
from attrs import evolve

import ocpi_emsp
from ocpi_emsp import Cdr, Location, Tariff, decode
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.pricing import Audit, Readings, Verdict, audit
from pricing.documents import START, STOP, as_bytes, cdr, location, period, price, tariff

ZERO, THREE, FIVE = Decimal(0), Decimal(3), Decimal(5)
RIGHT, WRONG, UNDECIDABLE = Verdict.RIGHT, Verdict.WRONG, Verdict.UNDECIDABLE


def codes(found: Audit) -> list[str]:
    return [each.code for each in found.reasons]


# --- what is taken --------------------------------------------------------------------------------------------------

WAYS: Mapping[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "str": bytes.decode,
    "BOM": lambda data: b"\xef\xbb\xbf" + data,
    "dict": lambda data: ocpi_emsp.codec.parse(data),
    "model": lambda data: decode(Cdr, data),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_document_may_come_in_every_form(way: str) -> None:
    found = audit(WAYS[way](as_bytes(cdr("6.00"))))
    assert (found.verdict, found.expected, found.difference) == (WRONG, Decimal(3), Decimal(3))  # 10 x 0.30
    assert found.cdr == "CDR1"
    assert found.currency == "EUR"


def test_the_top_level_has_the_same_names() -> None:
    assert ocpi_emsp.audit is audit
    assert ocpi_emsp.quote is ocpi_emsp.pricing.quote
    assert (ocpi_emsp.Readings, ocpi_emsp.Verdict) == (Readings, Verdict)


@pytest.mark.parametrize("form", [lambda each: each, as_bytes], ids=["dict", "bytes"])
def test_tariffs_and_the_location_may_come_in_every_form(form: Callable[[Any], Any]) -> None:
    night = tariff(([price("ENERGY", "0.30")], {"end_time": "17:30"}), [price("ENERGY", "0.50")])
    bare = cdr(5, tariffs=..., location=location(time_zone=..., country="XXX"))  # 16:00 UTC is 18:00 in Helsinki
    place = location(time_zone="Europe/Helsinki")
    found = audit(form(bare), tariffs=[form(night)], location=form(place))
    models = audit(
        decode(Cdr, as_bytes(bare)),
        tariffs=(decode(Tariff, as_bytes(night)),),
        location=decode(Location, as_bytes(place)),
    )
    assert found == models
    assert found.verdict is RIGHT
    assert found.assumptions == (
        "the CDR has no tariff: T1 is taken from the store",
        "the time zone Europe/Helsinki is that of the stored location",
    )


@pytest.mark.parametrize(
    "document",
    [b"", b"nothing", b"[]", b"null", b"{}", b'{"id": NaN}', '"\ud800"', "{}", {}, {1: 2}, {"id": float("nan")},
     b"\xff", b"[" * 10_000, as_bytes(cdr(3)).replace(b'"volume":10', b'"volume":NaN'), as_bytes(cdr(3))[:-1],
     cdr(3, charging_periods=...), cdr(3, location=[]), as_bytes([cdr(3)]) * 2],
    ids=range(18),
)  # fmt: skip
def test_what_is_no_cdr_is_an_invalid_object(document: Any) -> None:
    with pytest.raises(InvalidObject, match=r"is not usable|holds"):
        audit(document)


def test_a_tariff_or_location_that_cannot_be_used_is_one_too() -> None:
    with pytest.raises(InvalidObject, match="Tariff is not usable"):
        audit(cdr(3), tariffs=[b"{}"])
    with pytest.raises(InvalidObject, match="Location is not usable"):
        audit(cdr(3), location=b"nothing")


WRONG_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"cdr": 5}, TypeError, "invalid cdr '5': expected bytes, text, a dict or a Cdr"),
    ({"cdr": None}, TypeError, "invalid cdr 'None': expected bytes"),
    ({"tariffs": b"{}"}, TypeError, "invalid tariffs 'bytes': expected a list of tariffs, for example"),
    ({"tariffs": tariff()}, TypeError, "expected a list of tariffs"),
    ({"tariffs": None}, TypeError, "invalid tariffs 'None': expected a list of tariffs"),
    ({"tariffs": [5]}, TypeError, "invalid tariffs '5': expected bytes, text, a dict or a Tariff"),
    ({"location": 5}, TypeError, "invalid location '5': expected bytes, text, a dict or a Location"),
    ({"readings": {"step": "none"}}, TypeError, "invalid readings 'dict': expected Readings, for example"),
    ({"time_zone": 5}, TypeError, "invalid time_zone '5': expected an IANA name, for example Europe/Amsterdam"),
    ({"time_zone": "Mars/Olympus"}, ValueError, "invalid time_zone 'Mars/Olympus': expected an IANA name"),
    ({"time_zone": "../../etc/passwd"}, ValueError, "expected an IANA name"),
    ({"time_zone": "localtime"}, ValueError, "expected an IANA name"),
    ({"time_zone": ""}, ValueError, "expected an IANA name"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG_ARGUMENTS)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        audit(**{"cdr": cdr(3), **arguments})


# --- which tariff ---------------------------------------------------------------------------------------------------

CHEAP, DEAR = [price("ENERGY", "0.30")], [price("ENERGY", "0.50")]


def dear(tariff_id: str, **members: Any) -> dict[str, Any]:
    """5.00 for 10 kWh."""
    return tariff(DEAR, id=tariff_id, **members)


def cheap(tariff_id: str, **members: Any) -> dict[str, Any]:
    """3.00 for 10 kWh."""
    return tariff(CHEAP, id=tariff_id, **members)


def named(tariff_id: str, *tariffs: Any) -> dict[str, Any]:
    """A CDR of 5.00 whose connector names a tariff."""
    return cdr(5, location=location(connector={"tariff_id": tariff_id}), tariffs=list(tariffs))


NOW = "2024-03-05T16:00:00Z"
FIRST = Readings(tariffs="first")
CHOICES_OF_TARIFF: list[tuple[str, dict[str, Any], list[Any], Verdict, str]] = [
    ("the connector names one", named("B", cheap("A"), dear("B")), [], RIGHT, ""),
    ("in another case", named("b", cheap("A"), dear("B")), [], RIGHT, "the connector names the tariff b: B is used"),
    ("the exact case counts", named("b", cheap("B"), dear("b")), [], RIGHT, ""),
    ("none of them", named("X", cheap("A"), dear("B")), [], UNDECIDABLE,
     "the connector names the tariff X, which is not among them"),
    ("two of one id", named("A", cheap("A"), dear("A")), [], UNDECIDABLE, ""),
    ("two of one id and one price", named("A", dear("A"), dear("A")), [], RIGHT, ""),
    ("the newest that was in force", named("A"),
     [cheap("A"), dear("A", last_updated=NOW), cheap("A", last_updated="2024-03-05T16:00:01Z")], RIGHT,
     "the CDR has no tariff: A is taken from the store"),
    ("one beside the CDR that is not named", named("A"), [dear("B")], RIGHT,
     "the connector names the tariff A, which is not known: B is used"),
    ("a newer one in the CDR counts", named("A", dear("A", last_updated="2025-01-01T00:00:00Z")), [cheap("A")], RIGHT,
     ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "given", "verdict", "assumption"),
    [each[1:] for each in CHOICES_OF_TARIFF],
    ids=[each[0] for each in CHOICES_OF_TARIFF],
)
def test_which_tariff_counts(document: dict[str, Any], given: list[Any], verdict: Verdict, assumption: str) -> None:
    found = audit(document, tariffs=given)
    assert found.verdict is verdict
    assert (assumption in found.assumptions) if assumption else found.assumptions == ()
    if verdict is UNDECIDABLE:
        assert (found.low, found.high) == (THREE, FIVE)
        assert codes(found) == ["tariff.ambiguous"]
        assert [(line.low, line.high, line.cost) for line in found.lines] == [(THREE, FIVE, None), (ZERO, ZERO, ZERO)]


def test_the_first_tariff_counts_where_the_readings_say_so() -> None:
    document = named("A", dear("B"), cheap("A"))
    assert audit(document, readings=FIRST).verdict is RIGHT
    assert audit(document).explanations[0].settings == {"tariffs": "first"}


def test_the_stored_connector_names_the_tariff_where_the_cdr_does_not() -> None:
    document = cdr(5, tariff(CHEAP, id="A"), tariff(DEAR, id="B"))
    found = audit(document, location=location(connector={"tariff_id": "B"}))
    assert found.verdict is RIGHT
    assert found.assumptions == ("the tariff_id B of the connector is that of the stored location",)


# --- which zone -----------------------------------------------------------------------------------------------------

EVENING = tariff(([price("ENERGY", "0.30")], {"end_time": "18:00"}), [price("ENERGY", "0.50")])
"""16:00 to 17:00 UTC is 17:00 to 18:00 in Brussels: 3.00; an hour later in Helsinki: 5.00."""

ZONES: list[tuple[str, dict[str, Any], dict[str, Any], Decimal | None, tuple[str, ...]]] = [
    ("that of the CDR", {}, {}, Decimal(3), ()),
    ("in another case", {"time_zone": "EUROPE/brussels"}, {}, Decimal(3), ()),
    ("the stored one differs", {}, {"location": location(time_zone="Europe/Helsinki")}, Decimal(3),
     ("the time_zone Europe/Brussels of the CDR is used; that of the stored location is Europe/Helsinki",)),
    ("that of the party", {"time_zone": ...}, {"time_zone": "Europe/Helsinki"}, Decimal(5),
     ("the time zone Europe/Helsinki is that of the party",)),
    ("the stored one before that of the party", {"time_zone": ...},
     {"time_zone": "Europe/Helsinki", "location": location()}, Decimal(3),
     ("the time zone Europe/Brussels is that of the stored location",)),
    ("that of the country", {"time_zone": ...}, {}, Decimal(3),
     ("the time zone Europe/Brussels is that of the country BEL",)),
    ("a country of two zones with one offset", {"time_zone": ..., "country": "DEU"}, {}, Decimal(3),
     ("the time zone Europe/Berlin is that of the country DEU",)),
    ("a zone that does not exist", {"time_zone": "Mars/Olympus"}, {}, Decimal(3),
     ("the time_zone 'Mars/Olympus' of the location is not an IANA zone and was not regarded",
      "the time zone Europe/Brussels is that of the country BEL")),
    ("a country of several zones", {"time_zone": ..., "country": "PRT"}, {}, Decimal(3), ()),  # before 18:00 in each
    ("a country that is none", {"time_zone": ..., "country": "XXX"}, {}, None, ()),
    ("a country of many zones", {"time_zone": "", "country": "RUS"}, {}, None, ()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "arguments", "expected", "assumptions"), [each[1:] for each in ZONES], ids=[each[0] for each in ZONES]
)
def test_which_zone_counts(
    place: dict[str, Any], arguments: dict[str, Any], expected: Decimal | None, assumptions: tuple[str, ...]
) -> None:
    found = audit(cdr(4, EVENING, location=location(**place)), **arguments)
    assert found.expected == expected
    assert found.assumptions == assumptions
    if expected is None:
        assert (found.verdict, found.low, found.high, codes(found)[0]) == (UNDECIDABLE, THREE, FIVE, "zone.unknown")


def test_zones_are_known_where_the_machine_has_none() -> None:
    """As in a container of Alpine, and on Windows: without tzdata each audit of a local price is undecidable."""
    code = "from ocpi_emsp.pricing.session.zones import zone_named; print(zone_named('europe/brussels'))"
    environment = {**os.environ, "PYTHONTZPATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("Europe/Brussels\n", "")


def test_a_zone_is_not_looked_for_where_no_price_asks_for_it() -> None:
    found = audit(cdr(3, location=location(time_zone=..., country="XXX")))
    assert (found.verdict, found.assumptions) == (RIGHT, ())


def test_the_last_and_the_first_years_have_zones_too() -> None:
    years = {"start_date_time": "0001-01-01T00:00:00Z", "stop_date_time": "9999-12-31T23:59:59Z"}
    for name, moment in years.items():
        found = audit(cdr(3, EVENING, location=location(time_zone=..., country="XXX"), **{name: moment}))
        assert codes(found)[0] == "number.absurd"
        assert found.reasons[0].pointer == f"/{name}"


# --- what cannot be decided -----------------------------------------------------------------------------------------

ABSURD = Decimal("1e99")
ODD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("volume", cdr(3, charging_periods=[period(ENERGY="1e99", TIME=1)]), ["number.absurd"]),
    ("tiny volume", cdr(3, charging_periods=[period(ENERGY="1e-99", TIME=1)]), ["number.absurd"]),
    ("long volume", cdr(3, charging_periods=[period(ENERGY="1." + 120 * "1", TIME=1)]), ["number.absurd"]),
    ("total", cdr("1e99"), ["number.absurd"]),
    ("largest total", cdr("1e999999999"), ["number.absurd"]),
    ("price", cdr(3, tariff([price("ENERGY", "1e99")])), ["number.absurd"]),
    ("step_size", cdr(3, tariff([price("ENERGY", "1", 10**99)])), ["number.absurd"]),
    ("restriction", cdr(3, tariff(([price("ENERGY", "1")], {"max_kwh": ABSURD}))), ["number.absurd"]),
    ("negative volume", cdr(3, charging_periods=[period(ENERGY=-10, TIME=1)], total_energy=-10), ["volume.negative"]),
    ("stop before start", cdr(3, stop_date_time="2024-03-05T15:59:59Z"), ["session.reversed"]),
    ("all of it", cdr("1e99", stop_date_time="2024-03-05T15:59:59Z", remark=" [?] later"),
     ["remark.not_significant", "session.reversed", "number.absurd"]),
    ("no tariff", cdr(3, tariffs=[]), ["tariff.missing"]),
    ("another currency", cdr(3, tariff(currency="SEK")), ["currency.differs"]),
    ("energies that differ", cdr(3, total_energy=20), ["energy.contradiction"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "expected"), [each[1:] for each in ODD], ids=[each[0] for each in ODD])
def test_what_leaves_no_bounds(document: dict[str, Any], expected: list[str]) -> None:
    found = audit(document)
    of_price = [each for each in codes(found) if each in expected]
    assert (found.verdict, of_price) == (UNDECIDABLE, expected)
    assert (found.low, found.high, found.expected, found.difference, found.lines) == (None, None, None, None, ())
    assert len(str(found.as_json())) < 5000


@pytest.mark.parametrize("amount", ["1e-30", "1e30"])
def test_prices_that_are_tiny_or_huge_are_reckoned_with(amount: str) -> None:
    found = audit(cdr(Decimal(amount) * 10, tariff([price("ENERGY", amount)])))
    assert (found.verdict, found.expected) == (RIGHT, Decimal(amount) * 10)
    with localcontext(prec=80):
        assert audit(cdr(Decimal(amount) * 10 + 5, tariff([price("ENERGY", amount)]))).difference == 5


def test_zeros_with_an_exponent_are_zeros() -> None:
    document = as_bytes(cdr(0)).replace(b'"price":0.30', b'"price":0E+999999999').replace(b"0E+0", b"0")
    found = audit(document.replace(b'"total_cost":0', b'"total_cost":0E+999999999'))
    assert found.verdict is RIGHT
    assert found.as_json()["claimed"] == "0"


def test_currencies_are_compared_without_case() -> None:
    assert audit(cdr(3, tariff(currency="eur"))).verdict is RIGHT


def test_so_many_tariffs_are_a_limit_with_a_name() -> None:
    several = [tariff([price("ENERGY", Decimal(each) / 100)], id=f"T{each}") for each in range(30, 130)]
    found = audit(cdr(3, *several))
    assert (found.verdict, found.low, found.high) == (UNDECIDABLE, THREE, Decimal("12.9"))  # 10 x 0.30 to 10 x 1.29
    assert audit(cdr(2, *several)).difference == -1
    clocks = [evening | {"id": f"T{each}"} for each, evening in enumerate([tariff(
        ([price("ENERGY", Decimal(each) / 100)], {"end_time": "18:00"})) for each in range(10)])]  # fmt: skip
    found = audit(cdr(3, *clocks, location=location(time_zone=..., country="XXX")))  # 10 x 53 offsets
    assert (found.verdict, found.low, codes(found)) == (UNDECIDABLE, None, ["work.limit"])


def test_a_fee_of_nearly_nothing_explains_nothing() -> None:
    found = audit(cdr(5, tariff([price("ENERGY", "0.30"), price("FLAT", "1e-59")])))
    assert (found.verdict, found.explanations) == (WRONG, ())


# --- what the totals say of a dimension that no period reports ------------------------------------------------------

PER_HOUR = tariff([price("TIME", 2)])
MISSING: list[tuple[str, str, dict[str, Any], Decimal, Decimal]] = [
    ("both ways", "undecidable", {}, Decimal(0), Decimal(2)),  # nothing, or an hour
    ("as it is", "explicit", {}, Decimal(0), Decimal(0)),
    ("from the clock", "derive", {}, Decimal(2), Decimal(2)),
    ("less the parking", "derive", {"charging_periods": [period(ENERGY=10, PARKING_TIME="0.25")],
                                    "total_parking_time": Decimal("0.25")}, Decimal("1.5"), Decimal("1.5")),
    ("from the total", "derive", {"total_parking_time": Decimal("0.5")}, Decimal(1), Decimal(1)),
    ("nothing to derive", "undecidable", {"total_time": 0}, Decimal(0), Decimal(0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("reading", "members", "low", "high"), [each[1:] for each in MISSING], ids=[each[0] for each in MISSING]
)
def test_a_dimension_that_no_period_reports(reading: str, members: Any, low: Decimal, high: Decimal) -> None:
    document = cdr(1, PER_HOUR, **{"charging_periods": [period(ENERGY=10)], **members})
    found = audit(document, readings=Readings(missing=reading))
    assert (found.low, found.high) == (low, high)
    assert ("dimension.missing" in codes(found)) == (low != high)
    if low != high:
        assert "TIME is calculated with and without" in found.reasons[0].message


# --- volumes that are rounded ---------------------------------------------------------------------------------------


def test_a_total_that_total_energy_gives_is_right_where_the_volumes_are_rounded() -> None:
    """96 x 0.333 kWh are 31.968 kWh: 12.79; total_energy 32.000 gives 12.80."""
    periods = [period(f"2024-03-05T16:{each // 2:02}:{each % 2 * 30:02}Z", ENERGY="0.333") for each in range(96)]
    members = {"charging_periods": periods, "total_energy": Decimal("32.000")}
    found = audit(cdr("12.80", tariff([price("ENERGY", "0.40")]), **members))
    assert (found.verdict, found.expected) == (RIGHT, Decimal("12.8"))
    note = "total_energy 32.000 kWh is billed; the volumes are rounded, and add up to 31.968"
    assert found.assumptions == (note,)
    assert sum(line.cost or 0 for line in found.lines) == found.expected
    found = audit(cdr("12.79", tariff([price("ENERGY", "0.40")]), **members))
    assert (found.verdict, found.assumptions) == (RIGHT, ())
    found = audit(cdr("12.82", tariff([price("ENERGY", "0.40")]), **members))
    assert (found.verdict, found.difference) == (WRONG, Decimal("0.0328"))  # 31.968 x 0.40 is 12.7872


# --- credits, VAT, rounding -----------------------------------------------------------------------------------------

BACK = [period(ENERGY=-10, TIME=-1)]
MONEY: list[tuple[str, dict[str, Any], dict[str, Any], Verdict, str | None]] = [
    ("a credit", cdr(-3), {}, RIGHT, "-3"),
    ("a credit of too much", cdr(-4), {}, WRONG, "-3"),
    ("its volumes negative", cdr(-3, charging_periods=BACK, total_energy=-10), {}, UNDECIDABLE, None),
    ("as the party has them", cdr(-3, charging_periods=BACK, total_energy=-10), {"credit": "negative_volumes"}, RIGHT,
     "-3"),
    ("no credits", cdr(-3), {"credit": "off"}, WRONG, "3"),
    ("VAT", cdr("3.63"), {"vat": "21"}, RIGHT, "3.63"),
    ("VAT of a credit", cdr("-3.63"), {"vat": "21"}, RIGHT, "-3.63"),
    ("VAT of 0", cdr(3), {"vat": 0}, RIGHT, "3"),
    ("half a cent", cdr("3.01"), {"rounding": "half_up"}, WRONG, "3"),
    ("yen", cdr(3, tariff([price("ENERGY", "0.24")], currency="JPY"), currency="JPY"), {}, RIGHT, "2.4"),
    ("yen, too much", cdr(4, tariff([price("ENERGY", "0.24")], currency="JPY"), currency="JPY"), {}, WRONG, "2.4"),
    ("a tolerance", cdr("3.05"), {"tolerance": "0.05"}, RIGHT, "3"),
    ("more than it", cdr("3.06"), {"tolerance": "0.05"}, WRONG, "3"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "settings", "verdict", "expected"), [each[1:] for each in MONEY], ids=[each[0] for each in MONEY]
)
def test_signs_and_roundings(
    document: dict[str, Any], settings: dict[str, Any], verdict: Verdict, expected: str | None
) -> None:
    found = audit(document, readings=Readings.of(settings))
    assert (found.verdict, found.expected) == (verdict, None if expected is None else Decimal(expected))
    if found.expected is not None:
        assert sum(line.cost or 0 for line in found.lines) == found.expected
        assert found.difference == found.claimed - found.expected


def test_vat_is_a_line_of_its_own() -> None:
    *_, line = audit(cdr("3.63"), readings=Readings(vat=Decimal(21))).lines
    assert (line.dimension, line.measured, line.unit, line.cost) == ("VAT", Decimal(21), "%", Decimal("0.63"))


def test_lines_of_thirds_add_up_to_the_last_digit() -> None:
    thirds = tariff([price("TIME", 1, 0)])
    periods = [period(f"2024-03-05T16:{each:02}:00Z", TIME="0.0028") for each in (0, 20, 40)]  # 10 s each
    found = audit(cdr(1, thirds, charging_periods=periods), readings=Readings(vat=Decimal(21)))
    exact = sum((line.cost or Decimal(0) for line in found.lines), Decimal(0)).normalize()
    assert found.expected is not None
    assert abs(exact - found.expected) < Decimal("1e-25")  # this sum has 28 digits


# --- explanations are looked for when they are read -----------------------------------------------------------------


def test_an_audit_can_be_copied_and_sent_with_its_explanations() -> None:
    found = audit(cdr("3.63"))
    for again in (copy(found), deepcopy(found), pickle.loads(pickle.dumps(found)), evolve(found, cdr="CDR1")):
        assert again == found
        assert [each.code for each in again.explanations] == ["vat"]
    assert found.explanations is found.explanations
    assert "explanations" not in repr(audit(cdr("3.63")))
    assert evolve(found, explanations=()).explanations == ()


# --- members of OCPI 2.2 and of hubs --------------------------------------------------------------------------------

LATER: list[tuple[dict[str, Any], str]] = [
    (cdr(3, tariff(min_price={"excl_vat": 5, "incl_vat": 6})), "/tariffs/0/min_price"),
    (cdr(3, tariff(max_price=5)), "/tariffs/0/max_price is not of OCPI 2.1.1 and was not regarded (5)"),
    (cdr(3, tariff(start_date_time=START)), "/tariffs/0/start_date_time"),
    (cdr(3, tariff(end_date_time=STOP)), "/tariffs/0/end_date_time"),
    (cdr(3, tariff([price("ENERGY", "0.30", vat=21)])), "/tariffs/0/elements/0/price_components/0/vat"),
    (cdr(3, tariff([price("ENERGY", "0.30", price_round={"round_granularity": "TENTH"})])),
     "/tariffs/0/elements/0/price_components/0/price_round"),
    (cdr(3, tariff([price("ENERGY", "0.30", step_round={"round_rule": "ROUND_UP"})])),
     "/tariffs/0/elements/0/price_components/0/step_round"),
    (cdr(3, tariff(([price("ENERGY", "0.30")], {"min_current": 16}))),
     "/tariffs/0/elements/0/restrictions/min_current is not of OCPI 2.1.1 and may apply or not (16)"),
    (cdr(3, tariff(([price("ENERGY", "0.30")], {"reservation": "RESERVATION"}))),
     "/tariffs/0/elements/0/restrictions/reservation"),
    (cdr(3, total_fixed_cost={"excl_vat": 1}), "/total_fixed_cost"),
    (cdr(3, total_cost={"excl_vat": 3, "incl_vat": "3.63"}), "/total_cost/incl_vat"),
    (cdr(3, credit=True, credit_reference_id="CDR0"), "/credit_reference_id"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "said"), LATER, ids=[each[1].split(" ")[0] for each in LATER])
def test_a_later_member_that_bears_on_money_is_said(document: dict[str, Any], said: str) -> None:
    found = audit(as_bytes(document))
    assert [each for each in found.assumptions if each.startswith(said)], found.assumptions
    assert audit(document) == found


def test_other_members_are_not() -> None:
    assert audit(as_bytes(cdr(3, tariff(elevator="private"), x_color="red", end_date_time=STOP))).assumptions == ()
    assert audit(as_bytes(cdr(3, tariff(min_price=None)))).assumptions == ()


def test_a_member_of_a_tariff_beside_the_cdr_is_said_with_its_id() -> None:
    found = audit(cdr(3, tariffs=...), tariffs=[as_bytes(tariff(min_price=5))])
    assert found.assumptions[0] == "/min_price is not of OCPI 2.1.1 and was not regarded (5) (tariff T1)"
