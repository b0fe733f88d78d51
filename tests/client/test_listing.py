"""Lists of a CPO, page by page (transport_and_format.md pagination; PARTNER-QUIRKS.md rows 8 and 13)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from client.support import BASE, MODES, Drained, Mode, drain, endless, in_turn, registered, simulated
from ocpi_emsp import Limits
from ocpi_emsp.errors import AnswerUnusable, PartnerRefused, TransportFailed, UnsafeUrl
from ocpi_emsp.resources import AsyncClient
from ocpi_emsp.settings import HttpLimits
from ocpi_emsp.testing.cpo import PRESETS, samples
from ocpi_emsp.testing.cpo.wire import Document, encode
from our_emsp import CPO_TOKEN
from scripted_cpo import ScriptedCpo, envelope, page

both_modes = pytest.mark.parametrize("mode", MODES)
pytestmark = both_modes

FIVE = ["LOC1", "LOC2", "LOC3", "LOC4", "LOC5"]


def locations(*numbers: int) -> list[Document]:
    return [samples.location(f"LOC{number}", evses=0) for number in numbers]


def pull(mode: Mode, *responses: httpx.Response | Exception, **settings: Any) -> tuple[Drained, list[str]]:
    """What a list gives that is answered so, and the URLs that were asked for."""
    server = ScriptedCpo(in_turn(*responses))
    return drain(registered(server, **settings), mode), server.urls


# --- presets of the simulated CPO -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "total", "notes"),
    [
        ("plain", 5, 0),
        ("base64", 5, 0),
        ("relative-link", 5, 0),
        ("lost-filters", 5, 2),
        ("no-totals", None, 0),
        ("empty-without-data", 5, 0),
        ("quirky", 5, 0),
    ],
)
def test_every_page_is_followed(mode: Mode, preset: str, total: int | None, notes: int) -> None:
    settings = {"locations": 5, "page_limit": 2, **PRESETS[preset]}
    with simulated(mode, settings, base64_token=preset == "base64") as pair:
        drained = pair.drain(date_from=samples.BASE)
        assert (drained.ids, drained.total, drained.rejected, drained.error) == (FIVE, total, [], None)
        assert len(drained.notes) == notes
        assert len(pair.received("locations")) == 3
        wanted = "base64" if preset == "base64" else "raw"
        assert {each.token_format for each in pair.received("locations")} == {wanted}


def test_a_page_is_requested_when_its_first_object_is_wanted(mode: Mode) -> None:
    requests: list[int] = []
    with simulated(mode, {"locations": 5, "page_limit": 2}) as pair:

        async def step(client: AsyncClient) -> None:
            listing = client.locations()
            requests.append(len(pair.received("locations")))
            async for _ in listing:
                requests.append(len(pair.received("locations")))

        if mode == "async":
            pair.awaited(step)
        else:
            with pair.client() as client:
                listing = client.locations()
                requests.append(len(pair.received("locations")))
                requests.extend(len(pair.received("locations")) for _ in listing)
        assert requests == [0, 1, 1, 2, 2, 3]


def test_pages_are_given_one_by_one_and_the_rest_can_be_left(mode: Mode) -> None:
    with simulated(mode, {"locations": 5, "page_limit": 2}) as pair:

        async def first(client: AsyncClient) -> tuple[list[str], int | None]:
            listing = client.locations(limit=1, offset=2)
            pages = listing.pages()
            given = await anext(pages)
            await pages.aclose()  # type: ignore[attr-defined] # an async generator
            return [item.id for item in given.items], listing.total

        if mode == "async":
            assert pair.awaited(first) == (["LOC3"], 5)
        else:
            with pair.client() as client:
                listing = client.locations(limit=1, offset=2)
                assert ([item.id for item in next(listing.pages()).items], listing.total) == (["LOC3"], 5)
        assert [each.query for each in pair.received("locations")] == ["offset=2&limit=1"]


@pytest.mark.parametrize(("name", "first"), [("sessions", "SES1"), ("cdrs", "CDR1"), ("tariffs", "TAR1")])
def test_the_other_lists_are_pulled_alike(mode: Mode, name: str, first: str) -> None:
    with simulated(mode, {"page_limit": 1}) as pair:
        window = {"date_from": datetime(2024, 1, 1, tzinfo=UTC), "date_to": datetime(2025, 1, 1, tzinfo=UTC)}
        drained = pair.drain(name, **window)
        assert drained.error is None
        assert drained.ids[0] == first
        assert len(drained.ids) == drained.total == len(pair.received(name))


def test_a_window_is_sent_as_it_was_asked_for(mode: Mode) -> None:
    with simulated(mode, {"locations": 5}) as pair:
        begin = datetime(2024, 1, 1, 0, 1, tzinfo=UTC)
        drained = pair.drain(date_from=begin, date_to=begin + timedelta(minutes=2))
        assert drained.ids == ["LOC2", "LOC3"]
        (asked,) = pair.received("locations")
        assert asked.query == "date_from=2024-01-01T00:01:00Z&date_to=2024-01-01T00:03:00Z"


def test_a_list_that_the_cpo_refuses_says_so(mode: Mode) -> None:
    with simulated(mode, PRESETS["html-errors"]) as pair:
        error = pair.drain().error
        assert isinstance(error, PartnerRefused)
        assert (error.answered_http, error.answered_code) == (502, None)
        assert str(error).endswith("answered HTTP 502: Bad Gateway")


# --- the next link --------------------------------------------------------------------------------------------------


def test_a_link_to_the_page_itself_is_not_followed_and_the_list_goes_on_by_offset(mode: Mode) -> None:
    with simulated(mode, {"locations": 5, "page_limit": 2, **PRESETS["loop"]}) as pair:
        drained = pair.drain()
        assert (drained.ids, drained.error) == (["LOC1", "LOC2", "LOC3", "LOC4", "LOC5"], None)
        assert "followed before" in drained.notes[0]
        assert len(pair.received("locations")) == 3


def test_a_link_to_the_page_itself_ends_a_list_without_a_total(mode: Mode) -> None:
    with simulated(mode, {"locations": 5, "page_limit": 2, "totals": False, **PRESETS["loop"]}) as pair:
        drained = pair.drain()
        assert (drained.ids, drained.error) == (["LOC1", "LOC2"], None)
        assert "followed before" in drained.notes[0]
        assert len(pair.received("locations")) == 1


def test_a_link_to_an_earlier_page_ends_the_list(mode: Mode) -> None:
    drained, urls = pull(
        mode,
        page(locations(1), f"{BASE}/locations?offset=1"),
        page(locations(2), f"{BASE}/locations?offset=2"),
        page(locations(3), f"{BASE}/locations?offset=1"),
    )
    assert (drained.ids, len(urls)) == (["LOC1", "LOC2", "LOC3"], 3)


@pytest.mark.parametrize(
    "link",
    [
        "http://cpo.test:8080/cpo/2.1.1/locations?offset=2",
        "https://pages.example.com/locations?offset=2",
        "//pages.example.com/locations",
        "https://cpo.test:8443/cpo/2.1.1/locations",
        "https://cpo.test@pages.example.com/",
        "https://cpo.test.example.com/",
        "ftp://cpo.test/",
    ],
)
def test_a_link_to_another_origin_is_refused_and_the_token_not_sent_there(mode: Mode, link: str) -> None:
    drained, urls = pull(mode, page(locations(1), link))
    assert isinstance(drained.error, UnsafeUrl)
    assert CPO_TOKEN not in str(drained.error)
    assert urls == [f"{BASE}/locations"]
    assert drained.ids == ["LOC1"]  # the good objects of the page are given nevertheless
    assert "another origin" in drained.notes[0]


def test_a_link_to_plain_http_of_a_server_behind_tls_is_read_as_https(mode: Mode) -> None:
    with simulated(mode, {"locations": 5, "page_limit": 2, **PRESETS["http-link"]}) as pair:
        drained = pair.drain()
        assert (drained.ids, drained.error) == (["LOC1", "LOC2", "LOC3", "LOC4", "LOC5"], None)
        assert drained.notes == ["the next link leads to plain http, read as https"] * 2


def test_a_link_to_another_origin_of_the_simulated_cpo(mode: Mode) -> None:
    with simulated(mode, {"locations": 5, "page_limit": 2, **PRESETS["foreign-link"]}) as pair:
        drained = pair.drain()
        assert (drained.ids, drained.error) == (FIVE, None)
        assert len(pair.received("locations")) == 3
        (note,) = drained.notes
        assert "another origin" in note


@pytest.mark.parametrize("link", ["http://[::1", "https://cpo.test:99999999/", "https://[bad]/"])
def test_a_link_that_is_no_url_is_named(mode: Mode, link: str) -> None:
    drained, _ = pull(mode, page(locations(1), link))
    assert isinstance(drained.error, AnswerUnusable | UnsafeUrl)
    assert drained.ids == ["LOC1"]


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("?offset=1", f"{BASE}/locations?offset=1"),
        ("locations?offset=1", f"{BASE}/locations?offset=1"),
        ("/other/path?p=2", "https://cpo.test/other/path?p=2"),
        ("https://CPO.test:443/x?cursor=a%2Bb", "https://cpo.test/x?cursor=a%2Bb"),
    ],
)
def test_a_link_is_resolved_against_the_url_that_was_asked(mode: Mode, link: str, followed: str) -> None:
    drained, urls = pull(mode, page(locations(1), link), page(locations(2)))
    assert (drained.ids, drained.error) == (["LOC1", "LOC2"], None)
    assert httpx.URL(urls[1]) == httpx.URL(followed)


def test_filters_that_a_link_loses_are_added_again(mode: Mode) -> None:
    server = ScriptedCpo(in_turn(page(locations(1), "?offset=1&date_to=2023-01-01T00:00:00Z"), page(locations(2))))
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    drained = drain(registered(server), mode, date_from=start, date_to=end, limit=1)
    assert drained.notes == ["the next link lacks date_from"]
    assert parse_qs(urlsplit(server.urls[1]).query) == {
        "offset": ["1"],
        "date_to": ["2023-01-01T00:00:00Z"],
        "date_from": ["2024-01-01T00:00:00Z"],
    }


# --- totals ---------------------------------------------------------------------------------------------------------


class Shrinking:
    """A list of numbers from which some are taken before the n-th request is answered."""

    def __init__(self, count: int, limit: int, taken: dict[int, list[int]]) -> None:
        self.numbers = list(range(1, count + 1))
        self.limit = limit
        self.taken = taken
        self.requests = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        assert self.requests < 50
        for number in self.taken.get(self.requests, []):
            self.numbers.remove(number)
        offset = int(request.url.params.get("offset", "0"))
        end = offset + self.limit
        link = f"{BASE}/locations?offset={end}&limit={self.limit}" if end < len(self.numbers) else None
        return page(locations(*self.numbers[offset:end]), link, total=len(self.numbers))


@pytest.mark.parametrize(
    ("count", "limit", "taken"),
    [
        (6, 2, {2: [1]}),
        (4, 2, {2: [1]}),
        (8, 2, {2: [1, 2]}),
        (8, 2, {3: [1, 2, 3, 4]}),
        (9, 3, {2: [2], 3: [1]}),
        (9, 2, {2: [1], 4: [2], 6: [3]}),
        (6, 1, {2: [1], 3: [2]}),
        (6, 2, {2: [6]}),
        (5, 2, {2: [1, 2, 3, 4, 5]}),
    ],
)
def test_a_shrinking_total_loses_no_object(mode: Mode, count: int, limit: int, taken: dict[int, list[int]]) -> None:
    """Repeat the previous GET with a lower offset (transport_and_format.md): what is behind has moved up."""
    shrinking = Shrinking(count, limit, taken)
    drained = drain(registered(ScriptedCpo(shrinking)), mode)
    assert drained.error is None
    assert set(drained.ids) >= {f"LOC{number}" for number in shrinking.numbers}
    assert len(set(drained.ids)) == len(drained.ids)
    assert all("X-Total-Count fell" in note for note in drained.notes)
    assert drained.notes


def test_a_total_that_goes_up_and_down_comes_to_an_end(mode: Mode) -> None:
    totals: Iterator[int] = iter([9, 3] * 100)

    def flickering(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", "0"))
        link = f"?offset={offset + 1}" if offset < 5 else None
        return page(locations(offset + 1), link, total=next(totals))

    drained = drain(registered(ScriptedCpo(flickering)), mode)
    assert drained.error is None
    assert set(drained.ids) == {*FIVE, "LOC6"}


@pytest.mark.parametrize("header", ["", "many", "-1", "1.5", "٣", "9" * 30])
def test_a_total_that_is_no_number_is_none(mode: Mode, header: str) -> None:
    content = encode(envelope(locations(1)))
    drained, _ = pull(mode, httpx.Response(200, content=content, headers=[(b"x-total-count", header.encode())]))
    assert (drained.ids, drained.total) == (["LOC1"], None)


def test_a_limit_of_zero_is_of_no_interest(mode: Mode) -> None:
    first = page(locations(1), "?offset=1&limit=0", total=2, limit=0)
    drained, _ = pull(mode, first, page(locations(2), total=2, limit=0))
    assert (drained.ids, drained.total) == (["LOC1", "LOC2"], 2)


# --- what is on a page ----------------------------------------------------------------------------------------------


def test_the_good_objects_of_a_page_are_given_although_others_are_bad(mode: Mode) -> None:
    bad = locations(2)[0]
    del bad["coordinates"]["latitude"]
    good = locations(1, 3)
    data = [good[0], bad, "LOC9", good[1], None]
    drained, _ = pull(mode, page(data, "?offset=5"), page([{}, *locations(4)]))
    assert drained.ids == ["LOC1", "LOC3", "LOC4"]
    assert drained.error is None
    documents = [document for document, _ in drained.rejected]
    assert documents == [encode(bad), b'"LOC9"', b"null", b"{}"]
    assert drained.rejected[0][1] == ["/coordinates/latitude"]
    assert all(pointers for _, pointers in drained.rejected)


def test_an_object_that_was_given_is_not_given_again(mode: Mode) -> None:
    drained, _ = pull(mode, page(locations(1, 2, 1), "?offset=2"), page(locations(2, 3)))
    assert drained.ids == ["LOC1", "LOC2", "LOC3"]


@pytest.mark.parametrize("data", [[], None])
def test_an_empty_page_may_have_a_next_page(mode: Mode, data: Any) -> None:
    drained, _ = pull(mode, page(data, "?offset=1"), page(locations(1)))
    assert (drained.ids, drained.error) == (["LOC1"], None)


def test_a_page_without_data_is_empty(mode: Mode) -> None:
    body = {"status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"}
    drained, _ = pull(mode, httpx.Response(200, json=body))
    assert (drained.ids, drained.error) == ([], None)


@pytest.mark.parametrize("data", [{}, "LOC1", 5, True, {"locations": []}])
def test_data_that_is_no_list_is_named(mode: Mode, data: Any) -> None:
    drained, _ = pull(mode, page(data))
    assert isinstance(drained.error, AnswerUnusable)
    assert str(drained.error) == f"GET {BASE}/locations: data is not a list"


def test_a_failure_in_the_middle_keeps_what_was_given(mode: Mode) -> None:
    drained, _ = pull(mode, page(locations(1), "?offset=1"), httpx.Response(200, json=envelope(None, 3000)))
    assert drained.ids == ["LOC1"]
    assert isinstance(drained.error, PartnerRefused)
    assert drained.error.answered_code == 3000


# --- limits ---------------------------------------------------------------------------------------------------------


def test_a_list_without_an_end_is_ended(mode: Mode) -> None:
    def without_end(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params.get("offset", "0"))
        return page(locations(offset), f"?offset={offset + 1}")

    server = ScriptedCpo(without_end)
    drained = drain(registered(server, limits=Limits(http=HttpLimits(max_pages=4))), mode)
    assert isinstance(drained.error, AnswerUnusable)
    assert "more than 4 pages" in str(drained.error)
    assert (len(drained.ids), len(server.urls)) == (4, 4)


def test_an_answer_over_the_limit_is_not_read(mode: Mode) -> None:
    drained, _ = pull(mode, page(locations(*range(20))), limits=Limits(http=HttpLimits(response_body=5000)))
    assert isinstance(drained.error, TransportFailed)
    assert str(drained.error) == f"GET {BASE}/locations: the response exceeds the limit of 5000 bytes"
    exact = page(locations(1))
    drained, _ = pull(mode, exact, limits=Limits(http=HttpLimits(response_body=len(exact.content))))
    assert drained.ids == ["LOC1"]


def test_an_answer_without_an_end_is_not_read_to_its_end(mode: Mode) -> None:
    given = 0

    def forever() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 1
            yield b" " * 1024

    response = httpx.Response(200, content=forever() if mode == "sync" else endless())
    drained, _ = pull(mode, response, limits=Limits(http=HttpLimits(response_body=10_000)))
    assert isinstance(drained.error, TransportFailed)
    assert given < 100
