"""Pagination: queries and Link headers (transport_and_format.md pagination; PARTNER-QUIRKS.md rows 2 and 8)."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from ocpi_emsp.errors import InvalidParameter
from ocpi_emsp.wire import PageRequest, link_next, next_link, read_page_request

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
moment = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)).map(
    lambda value: value.replace(microsecond=0)
)


def read(query: str) -> PageRequest:
    return read_page_request(query, default=50, cap=200)


# --- the query ------------------------------------------------------------------------------------------------------


def test_without_parameters_the_first_page_of_the_default_size() -> None:
    assert read("") == PageRequest(limit=50)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("limit=1", PageRequest(limit=1)),
        ("limit=200", PageRequest(limit=200)),
        ("limit=201", PageRequest(limit=200)),
        ("limit=999999999999999999", PageRequest(limit=200)),
        ("limit=99999999999999999999", PageRequest(limit=200)),
        ("limit=" + "9" * 5000, PageRequest(limit=200)),
        ("limit=00000000000000000000007", PageRequest(limit=7)),
        ("offset=99999999999999999999", PageRequest(offset=10**18 - 1, limit=50)),
        ("offset=7", PageRequest(offset=7, limit=50)),
        ("offset=0&limit=9&vendor=x", PageRequest(limit=9)),
        ("limit=1&limit=2", PageRequest(limit=2)),
        ("date_from=2024-05-01T12:00:00Z", PageRequest(date_from=NOON, limit=50)),
        ("date_from=2024-05-01T12:00:00", PageRequest(date_from=NOON, limit=50)),
        ("date_from=2024-05-01T14:00:00%2B02:00", PageRequest(date_from=NOON, limit=50)),
        ("date_from=2024-05-01T14:00:00+02:00", PageRequest(date_from=NOON, limit=50)),
        ("date_to=2024-05-01T12%3A00%3A00.000Z", PageRequest(date_to=NOON, limit=50)),
    ],
)
def test_a_query_is_read(query: str, page: PageRequest) -> None:
    assert read(query) == page


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("limit=0", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=-5", ["limit"]),
        ("limit=+5", ["limit"]),
        ("limit=1e3", ["limit"]),
        ("limit=٣", ["limit"]),
        ("offset=-1", ["offset"]),
        ("offset=x", ["offset"]),
        ("date_from=2024-13-01T00:00:00Z", ["date_from"]),
        ("date_from=1714564800", ["date_from"]),
        ("date_to=&date_from=soon", ["date_from", "date_to"]),
        ("limit=a&offset=b&date_from=c&date_to=d", ["date_from", "date_to", "offset", "limit"]),
    ],
)
def test_every_parameter_that_cannot_be_read_is_named(query: str, names: list[str]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(query)
    assert [each.pointer for each in caught.value.findings] == [f"/{name}" for name in names]
    assert {each.clause for each in caught.value.findings} == {"transport_and_format.md#paginated-request"}
    assert (caught.value.http_status, caught.value.status_code) == (200, 2001)


def test_a_long_value_is_quoted_in_part() -> None:
    with pytest.raises(InvalidParameter) as caught:
        read("limit=" + "x" * 10_000)
    assert len(caught.value.findings[0].message) < 120


def test_a_request_names_only_what_is_not_the_default() -> None:
    assert PageRequest().query() == {}
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    assert PageRequest(date_from=east, date_to=NOON, offset=5, limit=0).query() == {
        "date_from": "2024-05-01T12:00:00Z",
        "date_to": "2024-05-01T12:00:00Z",
        "offset": "5",
        "limit": "0",
    }


# --- the Link header ------------------------------------------------------------------------------------------------


@given(st.none() | moment, st.none() | moment, st.integers(0, 10**6), st.integers(1, 200))
def test_the_next_link_asks_for_the_rest_of_the_same_list(
    date_from: datetime | None, date_to: datetime | None, offset: int, limit: int
) -> None:
    page = PageRequest(date_from=date_from, date_to=date_to, offset=offset, limit=None)
    target = next_link(link_next("https://emsp.test/tokens", page, limit))
    assert target is not None
    url, _, query = target.partition("?")
    assert url == "https://emsp.test/tokens"
    assert read(query) == PageRequest(date_from=date_from, date_to=date_to, offset=offset + limit, limit=limit)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a/?x=1>; rel="next"', "https://a/?x=1"),
        ("<https://a/>; rel=next", "https://a/"),
        ("<https://a/>;rel='next'", None),
        ('<https://a/> ; REL="Next"', "https://a/"),
        ('<https://a/?x=1,2;3>; title="t"; rel="next"', "https://a/?x=1,2;3"),
        ('<https://a/>; rel = "next"', "https://a/"),
        ('<https://p/>; rel="prev", <https://n/>; rel="next"', "https://n/"),
        ('<https://n/>; rel="next", <https://l/>; rel="last"', "https://n/"),
        ("< /relative?offset=2 >; rel=next", "/relative?offset=2"),
        ('<https://a/>; rel="prev"', None),
        ('<https://a/>; rel="next-archive"', None),
        ('<https://a/>; rel="nextish"', None),
        ('<https://a/>; rel="next', "https://a/"),
        ('<>; rel="next"', None),
        ("https://a/; rel=next", None),
        ("<https://a/>", None),
        ("", None),
        (None, None),
    ],
)
def test_the_target_of_the_next_link(header: str | None, target: str | None) -> None:
    assert next_link(header) == target


@pytest.mark.parametrize(
    "header", ["'<' * 200_000", "'<a>;' + ' ;rel' * 40_000", "'<a>; ' * 40_000", "'<a>' + ' ' * 99_999"]
)
def test_a_hostile_header_is_read_in_one_go(header: str) -> None:
    """In another process: an expression that goes back and forth would not end for minutes."""
    code = f"from ocpi_emsp.wire import next_link; assert next_link({header}) is None"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
