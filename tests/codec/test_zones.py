"""Timestamps without a zone get that of their party (docs/reference/profiles.md, Time zones)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.zones import in_zone, naive_timestamps, query_in_zone, zone_of
from ocpi_emsp.models import Cdr, Location, Session, Tariff
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

AMSTERDAM = "Europe/Amsterdam"
MEMBERS = (
    "end_datetime", "last_updated", "period_begin", "period_end", "start_date_time", "start_datetime",
    "stop_date_time",
)  # fmt: skip


def zoned(text: str, zone: str = AMSTERDAM) -> str:
    """What becomes of a timestamp."""
    document = in_zone(json.dumps({"last_updated": text}).encode(), zone).document
    return str(json.loads(document)["last_updated"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2024-01-01T00:00:00", "2024-01-01T00:00:00+01:00"),
        ("2024-07-01T00:00:00.123", "2024-07-01T00:00:00.123+02:00"),
        ("2024-07-01 00:00", "2024-07-01 00:00+02:00"),
        ("2024-07-01t00:00:00 ", "2024-07-01t00:00:00+02:00"),
        ("2024-10-27T02:30:00", "2024-10-27T02:30:00+02:00"),
        ("2024-10-27T03:00:00", "2024-10-27T03:00:00+01:00"),
        ("2024-03-31T02:30:00", "2024-03-31T02:30:00+01:00"),
        ("1900-01-01T00:00:00", "1899-12-31T23:40:28Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00"),
        ("2024-02-31T00:00:00", "2024-02-31T00:00:00"),
        ("2024-07-01T00:00:00Z", "2024-07-01T00:00:00Z"),
        ("2024-07-01T00:00:00-03:00", "2024-07-01T00:00:00-03:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_a_timestamp_gets_the_offset_of_its_time(text: str, kept: str) -> None:
    assert zoned(text) == kept


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("America/St_Johns", "-02:30"), ("Asia/Kathmandu", "+05:45"), ("Pacific/Kiritimati", "+14:00"), ("UTC", "+00:00")],
)
def test_offsets_in_both_directions(zone: str, offset: str) -> None:
    assert zoned("2024-07-01T00:00:00", zone) == f"2024-07-01T00:00:00{offset}"


def test_never_stays_never() -> None:
    assert zoned("9999-12-31T23:59:59", "America/New_York") == "9999-12-31T23:59:59"


def test_everything_else_keeps_its_bytes() -> None:
    vendor = rb'"vendor" :  {"at":"2024-07-01T00:00:00", "x":"\"last_updated\":\"2024-07-01T00:00:00"}'
    rest = vendor + rb', "a\"last_updated":"2024-07-01T00:00:00"'
    document = b'{\n"last_updated" : "2024-07-01T00:00:00" ,' + rest + b"}"
    read = in_zone(document, AMSTERDAM)
    assert read.document == b'{\n"last_updated" : "2024-07-01T00:00:00+02:00" ,' + rest + b"}"
    assert read.added == naive_timestamps(document) == 1


@pytest.mark.parametrize("data", [b"", b"null", b"no json", b"\xff\xfe", b'{"last_updated": 3}', b'{"last_updated"'])
def test_what_has_no_timestamp_is_left_alone(data: bytes) -> None:
    assert in_zone(data, AMSTERDAM).document == data
    assert in_zone(b'{"last_updated":"2024-07-01T00:00:00"}', None).added == 0


@pytest.mark.parametrize("zone", ["", ":", "CEST", "Europe/Nowhere", "/etc/localtime", "UTC+3", "europe/amsterdam"])
def test_only_names_of_the_iana_database_are_zones(zone: str) -> None:
    with pytest.raises(ValueError, match="invalid time zone"):
        zone_of(zone)


SAMPLES: dict[type[Any], dict[str, Any]] = {
    Cdr: samples.cdr(),
    Location: samples.location(),
    Session: samples.session(status="COMPLETED"),
    Tariff: samples.tariff(),
}


def without_zones(value: Any) -> Any:
    """The document with every timestamp as a clock in Amsterdam shows it, but for the zone."""
    if isinstance(value, dict):
        return {name: local(each) if name in MEMBERS else without_zones(each) for name, each in value.items()}
    return [without_zones(each) for each in value] if isinstance(value, list) else value


def local(text: Any) -> Any:
    if not (isinstance(text, str) and text.endswith("Z")):
        return text
    moment = datetime.fromisoformat(text).astimezone(zone_of(AMSTERDAM))
    return moment.replace(tzinfo=None).isoformat()


@pytest.mark.parametrize("kind", list(SAMPLES), ids=lambda kind: kind.__name__)
def test_a_whole_object_says_the_same(kind: type[Any]) -> None:
    document = SAMPLES[kind]
    naive = encode(without_zones(document))
    assert naive_timestamps(naive)
    assert decode(kind, in_zone(naive, AMSTERDAM).document) == decode(kind, encode(document))


@given(
    st.datetimes(datetime(1950, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from([AMSTERDAM, "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_it_is_the_moment_that_the_zone_had(moment: datetime, zone: str) -> None:
    read = datetime.fromisoformat(zoned(moment.isoformat(), zone))
    offset = moment.replace(tzinfo=zone_of(zone)).utcoffset()
    assert offset is not None
    assert read.astimezone(UTC).replace(tzinfo=None) == moment - offset
    assert zoned(read.isoformat(), zone) == read.isoformat(), "once is enough"
    assert abs(offset) <= timedelta(hours=14)


def test_the_dates_of_a_query() -> None:
    query = "offset=3&date_from=2024-07-01T00%3A00%3A00&date_to=2024-07-01T00:00:00Z&x=2024-07-01T00:00:00"
    assert query_in_zone(query, AMSTERDAM) == (
        "offset=3&date_from=2024-07-01T00%3A00%3A00%2B02%3A00&date_to=2024-07-01T00%3A00%3A00Z&x=2024-07-01T00%3A00%3A00"
    )


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "2024-02-31T00:00:00", "2024-06-01T00:00:61"])
def test_what_gets_no_offset_is_not_counted(text: str) -> None:
    document = json.dumps({"last_updated": text, "start_datetime": "2024-01-01T00:00:00"}).encode()
    found = in_zone(document, AMSTERDAM)
    assert found.added == 1
    assert text.encode() + b'"' in found.document
