"""Bytes to untyped documents and back: what is no JSON is refused as such, what is JSON stays exact."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from codec.strategies import JSON
from ocpi_emsp.check import check
from ocpi_emsp.codec import decode, decode_strict, diagnose, dump, merge_patch, parse, untyped
from ocpi_emsp.errors import NotJson
from ocpi_emsp.findings import Severity
from ocpi_emsp.models import CdrDimension, CdrDimensionType, Connector, DisplayText

TEXT = b'{"language": "en", "text": "Standard Tariff"%s}'

NO_JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "UTF-16": '{"language": "en"}'.encode("utf-16"),
    "Latin-1": TEXT % ', "vendor": "ü"'.encode("latin-1"),
    "invalid byte in a value": b'{"language": "en", "text": "\xff"}',
    "invalid byte in an unknown member": TEXT % b', "vendor": "\xff"',
    "invalid byte in an unknown name": TEXT % b', "\xff": 1',
    "invalid byte outside of text": b"{}\xff",
    "encoded surrogate": TEXT % b', "vendor": "\xed\xa0\x80"',
    "overlong encoding": TEXT % b', "vendor": "\xc0\x80"',
    "lone high surrogate": rb'{"language": "en", "text": "\ud83d"}',
    "lone low surrogate": rb'{"language": "en", "text": "\udd0c"}',
    "lone surrogate in an unknown member": TEXT % rb', "vendor": "\uD83Dx"',
    "lone surrogate in an unknown name": TEXT % rb', "\uD83D": 1',
    "swapped surrogates": TEXT % rb', "vendor": "\udd0c\ud83d"',
    "NaN": TEXT % b', "vendor": NaN',
    "Infinity": TEXT % b', "vendor": Infinity',
    "-Infinity": TEXT % b', "vendor": [-Infinity]',
    "leading zero": TEXT % b', "vendor": 01',
    "no digit after the point": TEXT % b', "vendor": 1.',
    "no digit before the point": TEXT % b', "vendor": .5',
    "plus sign": TEXT % b', "vendor": +1',
    "single quotes": b"{'language': 'en', 'text': 'Standard Tariff'}",
    "trailing comma": TEXT % b",",
    "comment": TEXT % b" /* en */",
    "control character": b'{"language": "en", "text": "a\nb"}',
    "unknown escape": TEXT % rb', "vendor": "\x41"',
    "truncated": TEXT[:20],
    "two documents": (TEXT + b" ") % b"" + b"{}",
}

DOORS: dict[str, Callable[[bytes], Any]] = {
    "parse": parse,
    "untyped": untyped,
    "decode_strict": lambda data: decode_strict(DisplayText, data),
    "decode": lambda data: decode(DisplayText, data),
    "merge_patch as document": lambda data: merge_patch(data, b"{}"),
    "merge_patch as patch": lambda data: merge_patch(b"{}", data),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", NO_JSON)
def test_bytes_that_are_no_json(name: str, door: str) -> None:
    with pytest.raises(NotJson) as caught:
        DOORS[door](NO_JSON[name])
    assert (caught.value.http_status, caught.value.status_code) == (400, 2000)
    assert caught.value.message


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "invalid JSON: the document is empty"),
        (b" \r\n", "invalid JSON: the document is empty"),
        (b"\n<!DOCTYPE html><html>", "invalid JSON: the document begins with '<', as HTML and XML do"),
        (b" " * 300 + b"<html>", "invalid JSON: "),
    ],
)
def test_what_is_not_json_at_all_is_named(data: bytes, message: str, door: str) -> None:
    with pytest.raises(NotJson, match=message):
        DOORS[door](data)


@pytest.mark.parametrize("name", NO_JSON)
def test_check_reports_bytes_that_are_no_json(name: str) -> None:
    [finding] = check(NO_JSON[name], DisplayText)
    assert (finding.pointer, finding.rule, finding.severity) == ("", "json.syntax", Severity.ERROR)


@pytest.mark.parametrize("name", [name for name, data in NO_JSON.items() if data.isascii()])
def test_text_that_is_no_json(name: str) -> None:
    with pytest.raises(NotJson):
        decode(DisplayText, NO_JSON[name].decode())


def test_text_with_a_lone_surrogate_is_no_json() -> None:
    with pytest.raises(NotJson):
        decode(DisplayText, '{"language": "en", "text": "\ud83d"}')


@pytest.mark.parametrize("data", [b"[" * 1_000_000, b"{}{}", b"[],"])
def test_no_json_of_the_wrong_type_is_no_json(data: bytes) -> None:
    """The strict lane may stop at the first bracket; the whole of the codec may not."""
    with pytest.raises(NotJson):
        decode(DisplayText, data)


EXACT = [
    "{}",
    "[]",
    "null",
    "true",
    '""',
    '"\\u0000\\n\\"\\\\/é€🔌"',
    "0",
    "-1",
    "123456789012345678901234567890",
    "9" * 4300,
    "9" * 4301,
    "-" + "9" * 5000,
    "1.10",
    "0.1",
    "-0.0",
    "0.000000",
    "3.7299440000000000000000000000001",
    "1E+2",
    "1E+400",
    "1.5E-4000",
    "1E+999999999999999999",
    '{"a":[{"b":1.10,"c":null},[]],"d":false}',
]


@pytest.mark.parametrize("text", EXACT, ids=lambda text: str(text[:30]))
def test_json_stays_exact(text: str) -> None:
    for data in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode()), msgspec.Raw(text)):
        again = dump(untyped(data))
        assert msgspec.json.decode(again, type=msgspec.Raw) == msgspec.Raw(again)
        assert as_text(again) == as_text(text)
    assert as_text(dump(untyped([untyped(text)]))) == [as_text(text)]


def as_text(data: str | bytes) -> Any:
    """The document with every number as the text that it has."""
    return json.loads(data, parse_int=lambda text: ("number", text), parse_float=lambda text: ("number", text))


def test_types_of_parsed_json() -> None:
    document = parse(b'{"object": {}, "list": [1, 1.0, 1e0], "text": "x", "flag": true, "nothing": null}')
    assert document == {"object": {}, "list": [1, 1, 1], "text": "x", "flag": True, "nothing": None}
    assert [type(number) for number in document["list"]] == [int, Decimal, Decimal]
    assert isinstance(document["object"], dict)


@settings(deadline=None)
@given(document=JSON)
def test_any_json_survives(document: Any) -> None:
    assert parse(dump(document)) == document
    assert untyped([document]) == [document]
    assert dump(parse(dump(document))) == dump(document)


def test_a_float_stands_for_its_shortest_digits() -> None:
    assert untyped({"volume": 0.1, "more": [1e22, 3.729943999999999]}) == {
        "volume": Decimal("0.1"),
        "more": [Decimal("1E+22"), Decimal("3.729943999999999")],
    }
    assert decode(CdrDimension, {"type": "ENERGY", "volume": 15.342}).volume == Decimal("15.342")


cyclic: list[Any] = []
cyclic.append(cyclic)

NO_PARSED_JSON: dict[str, Any] = {
    "NaN": {"volume": float("nan")},
    "infinity": [float("-inf")],
    "Decimal NaN": {"volume": Decimal("NaN")},
    "Decimal infinity": {"volume": Decimal("Infinity")},
    "lone surrogate": {"text": "\ud83d"},
    "lone surrogate in a name": {"\ud83d": 1},
    "tuple as a name": {(1, 2): 3},
    "object": {"a": object()},
    "cycle": cyclic,
    "too many digits": 10**5000,
}


@pytest.mark.parametrize("name", NO_PARSED_JSON)
def test_parsed_values_that_are_no_json(name: str) -> None:
    with pytest.raises(NotJson):
        untyped(NO_PARSED_JSON[name])
    [finding] = check(NO_PARSED_JSON[name], Connector)
    assert (finding.pointer, finding.rule) == ("", "json.syntax")


def test_numbers_that_nothing_can_hold_are_refused() -> None:
    with pytest.raises(NotJson):
        parse(b'{"type": "ENERGY", "volume": 1e9999999999999999999}')


def test_a_repeated_member_is_reported_and_the_last_one_counts() -> None:
    data = b'{"type": "TIME", "volume": "x","v":1, "a/b":1,"type": "FLAT", "volume": 1,"v":2, "volume": 2.0, "a/b":1}'
    diagnosis = diagnose(CdrDimension, parse(data))
    assert diagnosis.value == decode_strict(CdrDimension, data.replace(b'"x"', b"0")) == decode(CdrDimension, data)
    assert diagnosis.value is not None
    assert (diagnosis.value.type, diagnosis.value.volume) == (CdrDimensionType.FLAT, Decimal("2.0"))
    repeated = [finding for finding in diagnosis.findings if finding.rule == "json.repeated"]
    assert [finding.pointer for finding in repeated] == ["/type", "/volume", "/v", "/a~1b"]
    assert {finding.severity for finding in repeated} == {Severity.NOTE}


def test_many_repeated_members_are_read_in_linear_time() -> None:
    names = [f"k{number % 60_000}" for number in range(120_000)]
    document = parse("{" + ",".join(f'"{name}":1' for name in names) + "}")
    assert document.repeated == tuple(names[:60_000])
