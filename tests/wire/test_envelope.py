"""The response envelope, written and read from sloppy partners (transport_and_format.md; PARTNER-QUIRKS.md row 13)."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.wire import Request, Response, failure, read_envelope, success

NOW = datetime(2024, 5, 1, 12, 0, 0, 999_999, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# --- written --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["Success", 'Kept: "x"\n\u20ac'])
@pytest.mark.parametrize("data", [None, b"[]", b"null", b'{"price" : 1.10}'])
def test_success_has_code_message_timestamp_and_the_data_as_they_are(data: bytes | None, message: str) -> None:
    body = success(NOW, data, message)
    parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    assert list(parts) == ["data"] * (data is not None) + ["status_code", "status_message", "timestamp"]
    if data is not None:
        assert bytes(parts["data"]) == data
    assert json.loads(body) | {"data": 0} == {
        "data": 0,
        "status_code": 1000,
        "status_message": message,
        "timestamp": "2024-05-01T12:00:00Z",
    }


def test_failure_has_its_code_and_the_findings_as_data() -> None:
    finding = Finding(pointer="/a~1b", rule="r", severity=Severity.ERROR, message="m \u00fc", clause="c.md#1")
    assert json.loads(failure(2001, "no \U0001f50c", NOW, [finding])) == {
        "data": [{"pointer": "/a~1b", "rule": "r", "severity": "error", "message": "m \u00fc", "clause": "c.md#1"}],
        "status_code": 2001,
        "status_message": "no \U0001f50c",
        "timestamp": "2024-05-01T12:00:00Z",
    }
    assert "data" not in json.loads(failure(3000, "our fault", NOW))


# --- read -----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read() -> None:
    envelope = read_envelope(success(NOW, b'{"a" : 1}', "fine"))
    assert (bytes(envelope.data), envelope.status_code, envelope.status_message) == (b'{"a" : 1}', 1000, "fine")
    assert envelope.timestamp == NOW.replace(microsecond=0)


@pytest.mark.parametrize(
    ("code", "read"),
    [(b"1000", 1000), (b'"1000"', 1000), (b'" 1000 "', None), (b"1000.0", 1000), (b"2e3", 2000), (b"-1", -1),
     (b'""', None), (b'"OK"', None), (b"true", None), (b"null", None), (b"{}", None), (b"[1000]", None),
     (b"1000.5", None), (b"1e999999", None)],
)  # fmt: skip
def test_a_status_code_is_read_where_it_is_an_integer_in_any_spelling(code: bytes, read: int | None) -> None:
    body = b'{"status_code":' + code + b"}"
    if read is None:
        with pytest.raises(InvalidObject, match="status_code"):
            read_envelope(body)
    else:
        assert read_envelope(body).status_code == read


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"status_code":1000}', b""),
        (b'{"status_code":1000,"data":null}', b"null"),
        (b'{"status_code":1000,"data":""}', b'""'),
        (b'[{"data":[1],"status_code":1000}]', b"[1]"),
        (b' {\n"data" : [ 1 ] ,"status_code":1000 } ', b"[ 1 ]"),
        (b'{"data":1,"data":2,"status_code":2000,"status_code":1000}', b"2"),
        (b'{"status_code":1000,"Data":1,"vendor":{"data":3}}', b""),
    ],
)
def test_data_is_taken_undecoded_and_may_be_absent(body: bytes, data: bytes) -> None:
    assert bytes(read_envelope(body).data) == data


@pytest.mark.parametrize(
    ("timestamp", "read"),
    [
        (b'"2024-05-01T12:00:00Z"', NOW.replace(microsecond=0)),
        (b'"2024-05-01T12:00:00"', NOW.replace(microsecond=0)),
        (b'"2024-05-01T14:00:00+02:00"', NOW.replace(microsecond=0)),
        (b'"now"', EPOCH),
        (b"null", EPOCH),
        (b"1714564800", EPOCH),
        (b"{}", EPOCH),
    ],
)
def test_a_timestamp_that_cannot_be_read_is_of_no_interest(timestamp: bytes, read: datetime) -> None:
    assert read_envelope(b'{"status_code":1000,"timestamp":' + timestamp + b"}").timestamp == read


@pytest.mark.parametrize(
    ("message", "read"), [(b'"no"', "no"), (b"null", None), (b"5", "5"), (b"[1]", "[1]"), (b'{"a":"b"}', "{'a': 'b'}")]
)
def test_a_message_is_text_whatever_it_is(message: bytes, read: str | None) -> None:
    assert read_envelope(b'{"status_code":1000,"status_message":' + message + b"}").status_message == read


@pytest.mark.parametrize(
    "body", [b"", b" ", b"<html>", b'{"status_code":1000', b"\xff\xfe", b'{"status_code":NaN}', b"[" * 100_000]
)
def test_what_is_no_json_is_no_envelope(body: bytes) -> None:
    with pytest.raises(NotJson):
        read_envelope(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"1000"', b"1000", b"{}", b'{"data":[]}'])
def test_json_of_another_shape_is_no_envelope(body: bytes) -> None:
    with pytest.raises(InvalidObject):
        read_envelope(body)


@pytest.mark.parametrize("member", ["status_message", "timestamp", "status_code", "data", "vendor"])
@pytest.mark.parametrize("value", [b'"\\ud800"', b"1e999999", b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
def test_a_hostile_member_is_an_error_of_ours_or_of_no_interest(member: str, value: bytes) -> None:
    body = b'{"status_code":1000,"' + member.encode() + b'":' + value + b"}"
    try:
        envelope = read_envelope(body)
    except (NotJson, InvalidObject):
        return
    assert envelope.status_code == 1000


# --- messages -------------------------------------------------------------------------------------------------------


def test_neither_headers_nor_body_of_a_request_show_in_a_repr() -> None:
    request = Request("GET", "/versions", "a=b", {"authorization": "Token secret"}, b"secret")
    assert repr(request) == "Request(method='GET', url='/versions', query='a=b')"
    assert repr(Response(200, [("a", "b")], b"secret")) == "Response(status=200, headers=[('a', 'b')])"


def test_a_header_of_a_response_is_found_by_its_lower_case_name() -> None:
    response = Response(200, [("link", "1"), ("link", "2"), ("x-limit", "")])
    assert (response.header("link"), response.header("x-limit"), response.header("Link")) == ("1", "", None)
