"""Models to the wire: the forms that types.md and transport_and_format.md ask for, and nothing invalid."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import attrs
import pytest

from ocpi_emsp.codec import decode, dump, encode, encode_valid, wire_time
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import (
    CdrDimension,
    CdrDimensionType,
    Connector,
    ConnectorFormat,
    ConnectorType,
    DayOfWeek,
    DisplayText,
    EnergyMix,
    Envelope,
    Evse,
    ExceptionalPeriod,
    GeoLocation,
    Hours,
    Image,
    ImageCategory,
    LocationReferences,
    PowerType,
    PriceComponent,
    RegularHours,
    Status,
    TariffDimensionType,
    TariffElement,
    TariffRestrictions,
    VersionNumber,
)

CEST = timezone(timedelta(hours=2))
MOMENT = datetime(2015, 6, 29, 20, 39, 9, tzinfo=UTC)
CONNECTOR = Connector(
    id="1",
    standard=ConnectorType.IEC_62196_T2,
    format=ConnectorFormat.SOCKET,
    power_type=PowerType.AC_3_PHASE,
    voltage=220,
    amperage=16,
    last_updated=MOMENT,
)
EVSE = Evse(uid="3256", status=Status.AVAILABLE, connectors=(CONNECTOR,), last_updated=MOMENT)


def dimension(volume: Decimal) -> CdrDimension:
    return CdrDimension(type=CdrDimensionType.ENERGY, volume=volume)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, "2015-06-29T20:39:09Z"),
        (datetime(2015, 6, 29, 22, 39, 9, tzinfo=CEST), "2015-06-29T20:39:09Z"),
        (datetime(2016, 1, 1, 1, tzinfo=CEST), "2015-12-31T23:00:00Z"),
        (datetime(2015, 6, 29, 20, 39, 9, 999_999, tzinfo=UTC), "2015-06-29T20:39:09Z"),
        (datetime(2015, 6, 29, tzinfo=UTC), "2015-06-29T00:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31T23:59:59Z"),
    ],
)
def test_a_timestamp_is_utc_in_whole_seconds(moment: datetime, text: str) -> None:
    assert wire_time(moment) == text
    period = ExceptionalPeriod(period_begin=moment, period_end=MOMENT)
    assert json.loads(encode(period)) == {"period_begin": text, "period_end": "2015-06-29T20:39:09Z"}
    assert encode_valid(period) == encode(period)


@pytest.mark.parametrize(
    "text",
    [
        *("1", "2.00", "0.1", "1E+2", "-0.0", "0E-10", "-1.5E-7", "1E+400"),
        "123456789012345678901234567890",
        "1234567890.12345678901234567890",
    ],
)
def test_a_decimal_is_the_number_it_is(text: str) -> None:
    data = encode_valid(dimension(Decimal(text)))
    assert data == b'{"type":"ENERGY","volume":%s}' % text.encode()
    assert decode(CdrDimension, data) == dimension(Decimal(text))


def test_enums_are_written_by_their_value() -> None:
    evse = attrs.evolve(EVSE, status=Status.of("FAULTED"))
    assert json.loads(encode(evse))["status"] == "FAULTED"
    restrictions = TariffRestrictions(day_of_week=(DayOfWeek.MONDAY, DayOfWeek.of("HOLIDAY")))
    assert encode(restrictions) == b'{"day_of_week":["MONDAY","HOLIDAY"]}'
    assert encode([VersionNumber.V2_1_1, VersionNumber.of("2.2")]) == b'["2.1.1","2.2"]'


def test_absent_members_and_empty_lists_are_not_written() -> None:
    assert encode(TariffRestrictions()) == b"{}"
    assert encode(Hours(twentyfourseven=False)) == b'{"twentyfourseven":false}'
    assert encode(LocationReferences(location_id="LOC1")) == b'{"location_id":"LOC1"}'
    assert json.loads(encode(EVSE)) == {
        "uid": "3256",
        "status": "AVAILABLE",
        "connectors": [
            {
                "id": "1",
                "standard": "IEC_62196_T2",
                "format": "SOCKET",
                "power_type": "AC_3_PHASE",
                "voltage": 220,
                "amperage": 16,
                "last_updated": "2015-06-29T20:39:09Z",
            }
        ],
        "last_updated": "2015-06-29T20:39:09Z",
    }


def test_values_that_look_empty_are_written() -> None:
    component = PriceComponent(type=TariffDimensionType.FLAT, price=Decimal("0.00"), step_size=0)
    assert encode(component) == b'{"type":"FLAT","price":0.00,"step_size":0}'
    assert encode(EnergyMix(is_green_energy=False, supplier_name="")) == b'{"is_green_energy":false,"supplier_name":""}'
    assert encode(TariffRestrictions(min_kwh=Decimal(0), min_duration=0)) == b'{"min_kwh":0,"min_duration":0}'


def test_a_list_of_models() -> None:
    texts = [DisplayText(language="nl", text="2 euro p/uur"), DisplayText(language="de", text="für €")]
    expected = '[{"language":"nl","text":"2 euro p/uur"},{"language":"de","text":"für €"}]'.encode()
    assert encode(texts) == encode(tuple(texts)) == expected
    assert encode([]) == b"[]"


@pytest.mark.parametrize("data", ["", '"data":null,', '"data":[],', '"data":{"price":1.10, "x":"\\u00fc"},'])
def test_an_envelope_keeps_its_data(data: str) -> None:
    text = f'{{{data}"status_code":1000,"status_message":"ok","timestamp":"2015-06-30T21:59:59Z"}}'
    envelope = decode(Envelope, text.encode())
    assert bytes(envelope.data).decode() == data.removeprefix('"data":').removesuffix(",")
    assert json.loads(encode(envelope)) == json.loads(text)
    diagnosed = decode(Envelope, text)  # text goes through the diagnosing lane, which spaces as it likes
    assert json.loads(encode(diagnosed)) == json.loads(text)
    assert (bytes(diagnosed.data) == b"") == (data == "")


INVALID: dict[str, tuple[Any, dict[str, str]]] = {
    "over-long": (DisplayText(language="eng", text="x"), {"/language": "string.length"}),
    "two at once": (
        DisplayText(language="eng", text="x" * 513),
        {"/language": "string.length", "/text": "string.length"},
    ),
    "empty list": (attrs.evolve(EVSE, connectors=()), {"/connectors": "array.empty"}),
    "unlisted": (attrs.evolve(EVSE, status=Status.of("FAULTED")), {"/status": "enum.unknown"}),
    "below": (
        attrs.evolve(EVSE, connectors=(attrs.evolve(CONNECTOR, id="x" * 37),)),
        {"/connectors/0/id": "string.length"},
    ),
    "coordinate": (GeoLocation(latitude="51.0", longitude="3.729944"), {"/latitude": "coordinate.form"}),
    "time of day": (
        RegularHours(weekday=8, period_begin="7:00", period_end="20:00"),
        {"/weekday": "integer.range", "/period_begin": "time_of_day.form"},
    ),
    "pixels": (
        Image(url="https://example.com", category=ImageCategory.OWNER, type="png", width=100_000),
        {"/width": "integer.range"},
    ),
    "NaN": (dimension(Decimal("NaN")), {"/volume": "value.type"}),
    "infinity": (dimension(Decimal("-Infinity")), {"/volume": "value.type"}),
    "NaN below": (
        TariffElement(
            price_components=(
                PriceComponent(type=TariffDimensionType.TIME, price=Decimal("sNaN"), step_size=1),
                PriceComponent(type=TariffDimensionType.of("X"), price=Decimal("1.50"), step_size=1),
            )
        ),
        {"/price_components/0/price": "value.type", "/price_components/1/type": "enum.unknown"},
    ),
    "lone surrogate": (
        DisplayText(language="eng", text="\ud83d"),
        {"/language": "string.length", "/text": "value.type"},
    ),
    "lone surrogate in an enum": (
        attrs.evolve(dimension(Decimal(1)), type=CdrDimensionType.of("\udc80")),
        {"/type": "value.type"},
    ),
    "not a number where one is optional": (
        TariffRestrictions(min_kwh=cast("Decimal", float("nan")), max_kwh=cast("Decimal", float("-inf"))),
        {"/min_kwh": "value.type", "/max_kwh": "value.type"},
    ),
    "endless integer": (
        PriceComponent(type=TariffDimensionType.FLAT, price=cast("Decimal", 10**5000), step_size=10**5000),
        {"/price": "value.type", "/step_size": "value.type"},
    ),
    "text for a model": (
        EnergyMix(is_green_energy=True, energy_sources=cast("Any", ["x"])),
        {"/energy_sources/0": "value.type"},
    ),
    "object for text": (DisplayText(language="en", text=cast("str", object())), {"/text": "value.type"}),
}


@pytest.mark.parametrize("name", INVALID)
def test_encode_valid_refuses_with_every_finding(name: str) -> None:
    value, expected = INVALID[name]
    with pytest.raises(InvalidObject) as caught:
        encode_valid(value)
    assert {finding.pointer: finding.rule for finding in caught.value.findings} == expected
    assert type(value).__name__ in caught.value.message


UNWRITABLE: dict[str, tuple[Any, dict[str, str]]] = {
    "NaN": (Decimal("NaN"), {"": "a finite number is required, found NaN"}),
    "signalling NaN": ([1, Decimal("sNaN7")], {"/1": "a finite number is required, found sNaN7"}),
    "infinities": (
        {"a": Decimal("Infinity"), "b~/": [Decimal("-Infinity")]},
        {
            "/a": "a finite number is required, found Infinity",
            "/b~0~1/0": "a finite number is required, found -Infinity",
        },
    ),
    "models": (
        [dimension(Decimal(1)), dimension(Decimal("NaN"))],
        {"/1/volume": "a finite number is required, found NaN"},
    ),
    "lone surrogate": ({"a": "x\udc80"}, {"/a": "Unicode text is required, found the lone surrogate U+DC80"}),
    "name": ({"\ud800": 1}, {"/\ud800": "Unicode text is required, found the lone surrogate U+D800"}),
    "endless integer": ([-(10**5000)], {"/0": "an integer of at most 4300 digits is required"}),
    "object": ({"a": object()}, {"/a": "a JSON value is required, found a Python object of type object"}),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_what_json_cannot_hold_is_refused(name: str) -> None:
    value, expected = UNWRITABLE[name]
    with pytest.raises(InvalidObject, match=r"^cannot be written as JSON: ") as caught:
        encode(value)
    assert {finding.pointer: finding.message for finding in caught.value.findings} == expected
    assert {finding.rule for finding in caught.value.findings} == {"value.type"}


def test_what_nests_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    deep.append(deep)
    odd: Any = Decimal("NaN")
    for _ in range(1000):  # no depth for msgspec
        odd = [odd]
    for document in (deep, odd):
        with pytest.raises(InvalidObject, match="nested too deeply"):
            dump(document)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity, sNaN"])
def test_a_text_may_name_what_no_number_is(text: str) -> None:
    assert json.loads(encode({"a": text, "at": [1, Decimal("0.5")]})) == {"a": text, "at": [1, 0.5]}


def test_encode_serialises_what_it_is_given() -> None:
    assert encode(DisplayText(language="eng", text="x")) == b'{"language":"eng","text":"x"}'


def test_encode_valid_gives_what_encode_gives() -> None:
    assert encode_valid(EVSE) == encode(EVSE)
    assert decode(Evse, encode_valid(EVSE)) == EVSE
