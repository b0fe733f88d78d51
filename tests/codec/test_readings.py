"""The readings, row by row: what a deviating scalar is read as, and what is said about it.

The quirks are the rows of the table of partners' quirks (docs/spec-choices.md); values are the specification's.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import attrs
import pytest

from ocpi_emsp.codec import decode, decode_strict, diagnose, parse
from ocpi_emsp.codec.rules import SCHEMA_RULES
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.models import (
    Capability,
    Cdr,
    CdrDimension,
    Connector,
    Credentials,
    DisplayText,
    EnergyMix,
    Evse,
    ExceptionalPeriod,
    GeoLocation,
    Image,
    Location,
    RegularHours,
    Status,
    Tariff,
    Token,
)

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
NOTHING = object()
"""Stands for a value without a reading."""

MOMENT = datetime(2015, 6, 29, 22, 39, 9, tzinfo=UTC)
CONNECTOR = """{"id": "1", "standard": "IEC_62196_T2", "format": "CABLE", "power_type": "AC_3_PHASE", "voltage": 220,
    "amperage": 16, "last_updated": "2015-03-16T10:10:02Z"}"""
DOCUMENTS: dict[type[Any], str] = {
    CdrDimension: '{"type": "ENERGY", "volume": 1}',
    Connector: CONNECTOR,
    DisplayText: '{"language": "en", "text": "Standard Tariff"}',
    EnergyMix: '{"is_green_energy": true}',
    Evse: f"""{{"uid": "3256", "status": "AVAILABLE", "connectors": [{CONNECTOR}],
        "last_updated": "2015-06-28T08:12:01Z"}}""",
    ExceptionalPeriod: '{"period_begin": "2015-06-29T22:39:09Z", "period_end": "2015-06-30T00:00:00Z"}',
    GeoLocation: '{"latitude": "51.047599", "longitude": "3.729944"}',
    Image: '{"url": "https://example.com/img/logo.jpg", "category": "OPERATOR", "type": "jpeg"}',
    Location: """{"id": "LOC1", "type": "ON_STREET", "address": "F.Rooseveltlaan 3A", "city": "Gent",
        "postal_code": "9000", "country": "BEL", "coordinates": {"latitude": "51.047599", "longitude": "3.729944"},
        "last_updated": "2015-06-29T20:39:09Z"}""",
    RegularHours: '{"weekday": 1, "period_begin": "08:00", "period_end": "20:00"}',
    Token: """{"uid": "012345678", "type": "RFID", "auth_id": "DE8ACC12E46L89", "issuer": "TheNewMotion", "valid": true,
        "whitelist": "ALLOWED", "last_updated": "2015-06-29T22:39:09Z"}""",
}


class Row(NamedTuple):
    kind: type[Any]
    member: str
    sent: str
    """The JSON text of the member, empty where it is left out."""
    read: Any
    rules: str
    """The ids that are reported at the member, in order; empty for none."""
    severity: Severity | None = None
    """The worst of them."""


QUIRK_2_TIMESTAMPS = [
    Row(ExceptionalPeriod, "period_begin", text, read, rules, severity)
    for text, read, rules, severity in [
        ('"2015-06-29T22:39:09Z"', MOMENT, "", None),
        ('"2015-06-29T22:39:09"', MOMENT, "datetime.zone", NOTE),
        ('"2015-06-29T22:39:09.000Z"', MOMENT, "", None),
        ('"2015-06-29T22:39:09.5Z"', MOMENT + timedelta(milliseconds=500), "", None),
        ('"2015-06-29T22:39:09,5Z"', MOMENT + timedelta(milliseconds=500), "datetime.form", NOTE),
        ('"2015-06-29T22:39:09.25"', MOMENT + timedelta(milliseconds=250), "datetime.zone", NOTE),
        ('"2015-06-29T22:39:09+00:00"', MOMENT, "datetime.offset", NOTE),
        ('"2015-06-30T00:39:09+02:00"', MOMENT, "datetime.offset", NOTE),
        ('"2015-06-29T17:09:09-05:30"', MOMENT, "datetime.offset", NOTE),
        ('"2015-06-30T00:39:09+0200"', MOMENT, "datetime.offset datetime.form", NOTE),
        ('"2015-06-29T20:39:09-0200"', MOMENT, "datetime.offset datetime.form", NOTE),
        ('"2015-06-30T00:39:09+02"', MOMENT, "datetime.offset datetime.form", NOTE),
        ('"2015-06-29 22:39:09"', MOMENT, "datetime.zone datetime.form", NOTE),
        ('"2015-06-29 22:39:09Z"', MOMENT, "datetime.form", NOTE),
        ('"2015-06-29T22:39:09 Z"', MOMENT, "datetime.form", NOTE),
        ('"2015-06-30 00:39:09 +02:00"', MOMENT, "datetime.offset datetime.form", NOTE),
        ('"2015-06-29t22:39:09z"', MOMENT, "datetime.form", NOTE),
        ('" 2015-06-29T22:39:09Z "', MOMENT, "datetime.form", NOTE),
        ('"2015-06-29T22:39Z"', MOMENT.replace(second=0), "datetime.form", NOTE),
        ('"2015-06-29T24:00:00Z"', datetime(2015, 6, 30, tzinfo=UTC), "datetime.form", NOTE),
        ('"2015-12-31T24:00:00+01:00"', datetime(2015, 12, 31, 23, tzinfo=UTC), "datetime.offset datetime.form", NOTE),
        ('"9999-12-31T23:59:59Z"', datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "", None),
        ('"9999-12-31T23:59:59-02:00"', NOTHING, "datetime.unreadable", ERROR),
        ('"9999-12-31T24:00:00Z"', NOTHING, "datetime.unreadable", ERROR),
        ('"0001-01-01T00:00:00+02:00"', NOTHING, "datetime.unreadable", ERROR),
        ('"2015-06-30T23:59:60Z"', NOTHING, "datetime.unreadable", ERROR),
        ('"2015-06-29T24:00:01Z"', NOTHING, "datetime.unreadable", ERROR),
        ('"2015-02-29T00:00:00Z"', NOTHING, "datetime.unreadable", ERROR),
        ('"2015-06-29"', NOTHING, "datetime.unreadable", ERROR),
        ('"29.06.2015 22:39:09"', NOTHING, "datetime.unreadable", ERROR),
        ('""', NOTHING, "datetime.unreadable", ERROR),
        ("1435617549", NOTHING, "value.type", ERROR),
        ("null", NOTHING, "field.required", ERROR),
        ("", NOTHING, "field.required", ERROR),
    ]
]

QUIRK_3_COORDINATES = [
    Row(GeoLocation, member, text, read, rules, severity)
    for member, text, read, rules, severity in [
        ("latitude", '"51.047599"', "51.047599", "", None),
        ("latitude", '"-51.047599"', "-51.047599", "", None),
        ("longitude", '"-180.000000"', "-180.000000", "", None),
        ("latitude", '"51.04759"', "51.047590", "coordinate.form", WARNING),
        ("latitude", '"51.0475991"', "51.047599", "coordinate.form", WARNING),
        ("latitude", '"51.04759949"', "51.047599", "coordinate.form", WARNING),
        ("latitude", '"51.0475995000"', "51.047600", "coordinate.form", WARNING),
        ("longitude", '"3.729943999999999"', "3.729944", "coordinate.form", WARNING),
        ("longitude", '"3.72994"', "3.729940", "coordinate.form", WARNING),
        ("latitude", '"51"', "51.000000", "coordinate.form", WARNING),
        ("latitude", '"+51.047599"', "51.047599", "coordinate.form", WARNING),
        ("latitude", '" 51.047599 "', "51.047599", "coordinate.form", WARNING),
        ("latitude", '"51,047599"', "51.047599", "coordinate.form", WARNING),
        ("latitude", "51.047599", "51.047599", "coordinate.form", WARNING),
        ("latitude", "51.04759", "51.047590", "coordinate.form", WARNING),
        ("longitude", "3.729943999999999", "3.729944", "coordinate.form", WARNING),
        ("latitude", "51", "51.000000", "coordinate.form", WARNING),
        ("longitude", "-0.5e1", "-5.000000", "coordinate.form", WARNING),
        ("latitude", '"151.047599"', NOTHING, "value.type", ERROR),
        ("longitude", '"1151.047599"', NOTHING, "value.type", ERROR),
        ("latitude", "1e400", NOTHING, "value.type", ERROR),
        ("latitude", '"NaN"', NOTHING, "value.type", ERROR),
        ("latitude", '"Infinity"', NOTHING, "value.type", ERROR),
        ("latitude", '"51.047599N"', NOTHING, "value.type", ERROR),
        ("latitude", '""', NOTHING, "value.type", ERROR),
        ("latitude", "true", NOTHING, "value.type", ERROR),
        ("latitude", "[51.047599]", NOTHING, "value.type", ERROR),
    ]
]

QUIRK_11_COUNTRY = [
    Row(Location, "country", text, read, rules, WARNING if rules else None)
    for text, read, rules in [
        ('"BEL"', "BEL", ""),
        ('"BE"', "BEL", "location.country.alpha2"),
        ('"nl"', "NLD", "location.country.alpha2"),
        ('" DE "', "DEU", "location.country.alpha2"),
        ('"XK"', "XK", "location.country.alpha2"),
        ('"Belgium"', "Belgium", "location.country.alpha2"),
        ('""', "", "location.country.alpha2"),
        ("56", "56", "string.number location.country.alpha2"),
    ]
]

QUIRK_12_TIMES_OF_DAY = [
    Row(RegularHours, "period_end", text, read, rules, severity)
    for text, read, rules, severity in [
        ('"23:59"', "23:59", "", None),
        ('"00:00"', "00:00", "", None),
        ('"7:00"', "07:00", "time_of_day.form", WARNING),
        ('"24:00"', "00:00", "time_of_day.form", WARNING),
        ('"07:00:00"', "07:00", "time_of_day.form", WARNING),
        ('" 07:00"', "07:00", "time_of_day.form", WARNING),
        ('"24:01"', NOTHING, "value.type", ERROR),
        ('"25:00"', NOTHING, "value.type", ERROR),
        ('"07:60"', NOTHING, "value.type", ERROR),
        ('"0700"', NOTHING, "value.type", ERROR),
        ("700", NOTHING, "string.number value.type", ERROR),
    ]
]

QUIRK_14_WRONG_TYPES = [
    Row(CdrDimension, "volume", "2.00", Decimal("2.00"), ""),
    Row(CdrDimension, "volume", '"2.00"', Decimal("2.00"), "number.string", NOTE),
    Row(CdrDimension, "volume", '"-1.5e3"', Decimal("-1.5E+3"), "number.string", NOTE),
    Row(CdrDimension, "volume", '"2,00"', NOTHING, "value.type", ERROR),
    Row(CdrDimension, "volume", '"NaN"', NOTHING, "value.type", ERROR),
    Row(CdrDimension, "volume", "true", NOTHING, "value.type", ERROR),
    Row(CdrDimension, "volume", "null", NOTHING, "field.required", ERROR),
    Row(Evse, "floor_level", '"-1"', "-1", ""),
    Row(Evse, "floor_level", "-1", "-1", "string.number", WARNING),
    Row(Evse, "floor_level", "1.50", "1.50", "string.number", WARNING),
    Row(Evse, "floor_level", "-1000", "-1000", "string.number string.length", WARNING),
    Row(Evse, "physical_reference", "3", "3", "string.number", WARNING),
    Row(Evse, "physical_reference", "false", NOTHING, "value.type", ERROR),
    Row(Evse, "physical_reference", "null", None, ""),
    Row(Evse, "physical_reference", "", None, ""),
    Row(Evse, "capabilities", "null", (), ""),
    Row(Evse, "capabilities", "[]", (), ""),
    Row(Evse, "capabilities", '"RESERVABLE"', (Capability.RESERVABLE,), "array.single", WARNING),
    Row(Evse, "capabilities", "7", NOTHING, "value.type", ERROR),
    Row(Evse, "capabilities", '" "', (), "value.empty", WARNING),
    Row(Evse, "coordinates", '{"latitude": null, "longitude": ""}', None, "value.empty", WARNING),
    Row(Evse, "coordinates", "{}", None, "value.empty", WARNING),
    Row(Evse, "coordinates", '""', None, "value.empty", WARNING),
    Row(Evse, "connectors", "[]", (), "array.empty", WARNING),
    Row(Evse, "connectors", "null", (), "array.null", WARNING),
    Row(Evse, "connectors", "", NOTHING, "field.required", ERROR),
    Row(Token, "valid", '"true"', True, "boolean.string", WARNING),
    Row(Token, "valid", '" FALSE "', False, "boolean.string", WARNING),
    Row(Token, "valid", '"yes"', NOTHING, "value.type", ERROR),
    Row(Token, "valid", "1", NOTHING, "value.type", ERROR),
    Row(Connector, "voltage", '"220"', 220, "integer.string", WARNING),
    Row(Connector, "voltage", "220.0", 220, "integer.fraction", NOTE),
    Row(Connector, "voltage", "2.2E+2", 220, "integer.fraction", NOTE),
    Row(Connector, "voltage", "220.5", NOTHING, "value.type", ERROR),
    Row(Connector, "voltage", "1e999999", NOTHING, "value.type", ERROR),
    Row(Connector, "voltage", '"220 V"', NOTHING, "value.type", ERROR),
    Row(Connector, "voltage", '"' + "9" * 5000 + '"', NOTHING, "value.type", ERROR),
    Row(Connector, "voltage", "true", NOTHING, "value.type", ERROR),
    Row(RegularHours, "weekday", "7", 7, ""),
    Row(RegularHours, "weekday", "0", 0, "integer.range", WARNING),
    Row(RegularHours, "weekday", '"8"', 8, "integer.string integer.range", WARNING),
    Row(Image, "width", "99999", 99999, ""),
    Row(Image, "width", "100000", 100000, "integer.range", WARNING),
    Row(Evse, "status", '"CHARGING"', Status.CHARGING, ""),
    Row(Evse, "status", '"Charging"', Status.CHARGING, "enum.case", WARNING),
    Row(Evse, "status", '"FAULTED"', Status.of("FAULTED"), "enum.unknown", WARNING),
    Row(Evse, "status", "1", NOTHING, "value.type", ERROR),
    Row(EnergyMix, "vendor", "1", None, "field.unknown", NOTE),
]

QUIRK_20_LENGTH_AND_CHARACTERS = [
    Row(Token, "uid", f'"{"x" * 36}"', "x" * 36, ""),
    Row(Token, "uid", f'"{"x" * 37}"', "x" * 37, "string.length", WARNING),
    Row(Token, "issuer", f'"{"ü" * 64}"', "ü" * 64, "string.not_ascii", NOTE),
    Row(Token, "issuer", f'"{"ü" * 65}"', "ü" * 65, "string.not_ascii string.length", WARNING),
    Row(Token, "issuer", '"\\u20ac\\ud83d\\udd0c"', "€🔌", "string.not_ascii", NOTE),
    Row(Location, "city", '"Mönchengladbach"', "Mönchengladbach", "string.not_ascii", NOTE),
    Row(Location, "city", '"a\\nb"', "a\nb", "string.not_ascii", NOTE),
    Row(Location, "city", '""', "", ""),
    Row(Image, "url", f'"{"x" * 255}"', "x" * 255, ""),
    Row(Image, "url", f'"{"x" * 256}"', "x" * 256, "string.length", WARNING),
]

QUIRKS = {
    2: QUIRK_2_TIMESTAMPS,
    3: QUIRK_3_COORDINATES,
    11: QUIRK_11_COUNTRY,
    12: QUIRK_12_TIMES_OF_DAY,
    14: QUIRK_14_WRONG_TYPES,
    20: QUIRK_20_LENGTH_AND_CHARACTERS,
}
ROWS = [
    pytest.param(row, id=f"{quirk}-{row.kind.__name__}.{row.member}-{row.sent[:40]}")
    for quirk, rows in QUIRKS.items()
    for row in rows
]


def document(row: Row) -> bytes:
    members = {name: json.dumps(value) for name, value in json.loads(DOCUMENTS[row.kind]).items()}
    members[row.member] = row.sent
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in members.items() if text) + "}").encode()


@pytest.mark.parametrize("row", ROWS)
def test_reading(row: Row) -> None:
    diagnosis = diagnose(row.kind, parse(document(row)))
    at_member = [finding for finding in diagnosis.findings if finding.pointer == f"/{row.member}"]
    assert diagnosis.findings == at_member
    assert [finding.rule for finding in at_member] == row.rules.split()
    assert worst(at_member) == row.severity
    if row.read is NOTHING:
        assert diagnosis.value is None
        with pytest.raises(InvalidObject):
            decode(row.kind, document(row))
    else:
        read = getattr(diagnosis.value, row.member, None)
        assert (type(read), str(read)) == (type(row.read), str(row.read))
        assert decode(row.kind, document(row)) == diagnosis.value


def worst(findings: list[Finding]) -> Severity | None:
    return max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=None)


def test_every_schema_rule_has_a_row() -> None:
    hit = {rule for rows in QUIRKS.values() for row in rows for rule in row.rules.split()}
    elsewhere = {
        "document.bounds",  # test_weight.py
        "location.copy",
        "version.newer",
        "last_updated.missing",
        "restrictions.unknown",
        "value.wrapped",
    }  # foreign
    assert hit == {rule.id for rule in SCHEMA_RULES} - {"json.repeated"} - elsewhere  # test_documents.py


@pytest.mark.parametrize("rule", SCHEMA_RULES, ids=lambda rule: str(rule.id))
def test_rules_have_the_severity_of_their_findings(rule: Any) -> None:
    for rows in QUIRKS.values():
        for row in rows:
            for finding in diagnose(row.kind, parse(document(row))).findings:
                if finding.rule == rule.id:
                    assert finding.severity is rule.severity
                    assert finding.clause == (rule.clause or row.kind.clause)


def test_a_message_quotes_the_value_and_stays_short() -> None:
    [finding] = diagnose(DisplayText, parse('{"language": "en", "text": ["%s"]}' % ("x" * 5000))).findings
    assert "xxx" in finding.message
    assert len(finding.message) < 200


@pytest.mark.parametrize("kind", [Cdr, Tariff, Location])
@pytest.mark.parametrize("text", ["null", "[]", "1", '"x"', "true"])
def test_no_object_is_one_error(kind: type[Any], text: str) -> None:
    diagnosis = diagnose(kind, parse(text))
    assert diagnosis.value is None
    assert [(finding.pointer, finding.rule) for finding in diagnosis.findings] == [("", "value.type")]


def test_all_findings_are_collected() -> None:
    evse = parse(DOCUMENTS[Evse])
    evse |= {"status": 1, "last_updated": "now", "floor_level": 3, "coordinates": [], "connectors": [{"id": "1"}, "2"]}
    found = {finding.pointer: finding.rule for finding in diagnose(Evse, evse).findings}
    missing = ("standard", "format", "power_type", "voltage", "amperage", "last_updated")
    assert found == {
        "/status": "value.type",
        "/last_updated": "datetime.unreadable",
        "/floor_level": "string.number",
        "/coordinates": "value.type",
        "/connectors/1": "value.type",
        **{f"/connectors/0/{name}": "field.required" for name in missing},
    }


FRACTIONS = ["1", "123456", "1234564", "1234565", "1234566", "9999994", "9999999", "000000499", "123456789012345678"]


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_both_lanes_round_a_fraction_alike(fraction: str) -> None:
    data = f'{{"period_begin": "2015-06-29T22:39:09.{fraction}Z", "period_end": "2015-06-30T00:00:00Z"}}'.encode()
    strict, lenient = decode_strict(ExceptionalPeriod, data), diagnose(ExceptionalPeriod, parse(data)).value
    assert strict is not None
    assert lenient == strict
    exact = Decimal(f"0.{fraction}")
    read = Decimal((strict.period_begin - MOMENT) // timedelta(microseconds=1)).scaleb(-6)
    assert abs(read - exact) <= Decimal("0.000001")


NOT_NUMBERS = ["Nantes", "Info-Center", "NaN", "Infinity", "inf", "nan"]


@pytest.mark.parametrize("name", NOT_NUMBERS)
def test_text_that_looks_non_finite_stays_on_the_strict_lane(name: str) -> None:
    mix = '{"is_green_energy": true, "energy_sources": [{"source": "WIND", "percentage": 100}]}'
    row = Row(Location, "energy_mix", mix, None, "")
    data = document(row).replace(b'"Gent"', json.dumps(name).encode())
    location = decode_strict(Location, data)
    assert location is not None
    assert location.city == name
    assert location.energy_mix is not None
    assert location.energy_mix.energy_sources[0].percentage == 100


@pytest.mark.parametrize("text", ["NaN", "nan", "NAN", "Infinity", "-Infinity", "inf", "-INF", "+iNf", "sNaN", "NaN7"])
def test_non_finite_decimals_are_no_numbers(text: str) -> None:
    mix = json.dumps({"is_green_energy": True, "energy_sources": [{"source": "WIND", "percentage": text}]})
    data = document(Row(Location, "energy_mix", mix, None, ""))
    assert decode_strict(Location, data) is None
    with pytest.raises(InvalidObject) as caught:
        decode(Location, data)
    [finding] = caught.value.findings
    assert (finding.pointer, finding.rule) == ("/energy_mix/energy_sources/0/percentage", "value.type")


def test_the_strict_lane_gives_utc_only() -> None:
    for text in ('"2015-06-29T20:39:09-0200"', '"2015-06-30T00:39:09+02:00"', '"2015-06-29T22:39:09+00:00"'):
        period = decode(ExceptionalPeriod, document(Row(ExceptionalPeriod, "period_begin", text, None, "")))
        assert (period.period_begin, period.period_begin.tzinfo) == (MOMENT, UTC)


@attrs.frozen(kw_only=True)
class Odd:
    clause: ClassVar[str] = "types.md#14-number-type"
    volume: float


def test_a_class_that_is_no_model_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="expected a model class"):
        diagnose(int, 1)
    with pytest.raises(TypeError, match="no reader for"):
        diagnose(Odd, {"volume": 1})


@pytest.mark.parametrize("token", ["s3cret" * 12, "s3cret-ä", 123_456_789, ["s3cret"]])
def test_no_finding_quotes_a_token(token: object) -> None:
    """Findings go into answers, reports and logs; the token of Credentials does not."""
    document = {
        "token": token,
        "url": "https://example.com/ocpi/cpo/versions/",
        "party_id": "EXA",
        "country_code": "NL",
        "business_details": {"name": "Example Operator"},
    }
    found = [finding for finding in diagnose(Credentials, document).findings if finding.pointer == "/token"]
    assert found
    assert not [finding for finding in found if "s3cret" in finding.message or "123" in finding.message]
