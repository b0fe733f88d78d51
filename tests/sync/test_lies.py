"""Lists that lie (docs/spec-choices.md row 8): every one ends, says what was wrong, and loses nothing that it gave."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from client.support import BASE, MODES, Mode
from ocpi_emsp import Limits
from ocpi_emsp.flows.calls.list_trail import EMPTY_PAGES
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.settings import HttpLimits
from our_emsp import CPO_TOKEN
from scripted_cpo import page
from sync.support import location, synced, tariff

LIST = f"{BASE}/locations"


def offset(request: httpx.Request) -> int:
    return int(request.url.params.get("offset", 0))


def items(first: int, count: int = 2) -> list[Any]:
    return [location(n) for n in range(first, first + count)]


def next_to(request: httpx.Request, **changes: Any) -> str:
    return str(request.url.copy_with(params={**request.url.params, **changes}))


def no_links(request: httpx.Request) -> httpx.Response:
    return page(items(offset(request)), total=6) if offset(request) < 6 else page([], total=6)


def loop(request: httpx.Request) -> httpx.Response:
    return page(items(offset(request)), str(request.url), total=6)


def zero_limit(request: httpx.Request) -> httpx.Response:
    following = next_to(request, offset=offset(request) + 2, limit=0) if offset(request) < 4 else None
    given_limit = request.url.params.get("limit")
    return page(items(offset(request)) if given_limit != "0" else [], following, total=6, limit=0)


def no_data(request: httpx.Request) -> httpx.Response:
    if offset(request) < 6:
        return page(items(offset(request)), next_to(request, offset=offset(request) + 2))
    return httpx.Response(200, json={"status_code": 1000, "timestamp": "2024-01-01T00:00:00Z"})


def relative(request: httpx.Request) -> httpx.Response:
    return page(items(offset(request)), f"?offset={offset(request) + 2}" if offset(request) < 4 else None)


def overlapping(request: httpx.Request) -> httpx.Response:
    """Each page begins with the last object of the page before."""
    start = offset(request)
    return page(items(max(start - 1, 0), 3)[: 6 - start + 1], next_to(request, offset=start + 2) if start < 4 else None)


def empty_in_between(request: httpx.Request) -> httpx.Response:
    start = offset(request)
    return page(items(start) if start in (0, 2, 4) else [], next_to(request, offset=start + 1) if start < 5 else None)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("lie", "noted"),
    [
        (empty_in_between, ""),
        (loop, "the sync continues by offset"),
        (no_data, ""),
        (no_links, "the sync continues by offset"),
        (overlapping, ""),
        (relative, "lacks date_to"),
        (zero_limit, "limit=0"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_everything_is_had_all_the_same(mode: Mode, lie: Callable[[httpx.Request], httpx.Response], noted: str) -> None:
    with synced(mode) as pair:
        pair.cpo.answer = lie
        report = pair.pull()
        assert report.ended is SyncEnded.DONE
        assert pair.ids(Kind.LOCATION) == [f"LOC{n}" for n in range(6)]
        assert len(pair.cpo.asked) <= 8
        assert any(noted in note for note in report.notes) or not noted


def circle(request: httpx.Request) -> httpx.Response:
    return page(items(offset(request)), next_to(request, offset=2 - offset(request)))


def endless_pages(request: httpx.Request) -> httpx.Response:
    return page(items(0), next_to(request, offset=offset(request) + 2))


def empty_before_the_total(request: httpx.Request) -> httpx.Response:
    return page([], next_to(request, offset=offset(request) + 2), total=60)


def total_too_large(request: httpx.Request) -> httpx.Response:
    return page(items(offset(request)), total=60) if offset(request) < 6 else page([], total=60)


def ignores_offset(_: httpx.Request) -> httpx.Response:
    return page(items(0), total=6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("lie", "most", "reason"),
    [
        (circle, 3, "listed before"),
        (empty_before_the_total, EMPTY_PAGES, "empty pages in a row"),
        (total_too_large, 4, "X-Total-Count is 60, and 6 distinct objects were listed"),
        (endless_pages, 2, "listed before"),
        (ignores_offset, 2, "listed before"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_turns_in_circles_ends_and_is_not_done(
    mode: Mode, lie: Callable[[httpx.Request], httpx.Response], most: int, reason: str
) -> None:
    with synced(mode) as pair:
        pair.cpo.answer = lie
        report = pair.pull()
        assert report.ended is SyncEnded.FAILED
        assert reason in report.reason
        assert len(pair.cpo.asked) == most
        assert pair.checkpoint("locations").done_until is None


@pytest.mark.parametrize("mode", MODES)
def test_a_link_to_another_origin_is_refused_and_the_token_not_sent_there(mode: Mode) -> None:
    with synced(mode) as pair:
        pair.cpo.answer = lambda _: page(items(0), "https://evil.test/cpo/2.1.1/locations?offset=2")
        report = pair.pull()
        assert (report.ended, report.created) == (SyncEnded.FAILED, 2)
        assert "another origin" in report.reason
        assert CPO_TOKEN not in report.reason
        assert {each.url.host for each in pair.cpo.asked} == {"cpo.test"}


def test_a_list_without_an_end_is_ended() -> None:
    with synced(limits=Limits(http=HttpLimits(max_pages=5))) as pair:
        pair.cpo.answer = lambda request: page(items(offset(request)), next_to(request, offset=offset(request) + 2))
        report = pair.pull()
        assert (report.ended, report.created) == (SyncEnded.FAILED, 10)
        assert "more than 5 pages" in report.reason
        pair.cpo.answer = lambda request: page(items(offset(request)))
        assert pair.pull().ended is SyncEnded.DONE, "the next sync goes on where this one was"
        assert len(pair.ids(Kind.LOCATION)) == 12


@given(
    count=st.integers(1, 40),
    most=st.integers(1, 9),
    taken=st.dictionaries(st.integers(1, 6), st.lists(st.integers(0, 39), min_size=1, max_size=4), max_size=3),
)
def test_a_list_that_shrinks_loses_nothing_that_stays(count: int, most: int, taken: dict[int, list[int]]) -> None:
    """Before a page is given, some objects are taken off the list: those that are never taken are all had."""
    with synced() as pair:
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(count)]
        pair.cpo.page_size = most
        gone: set[str] = set()

        def shrinking(_: httpx.Request) -> httpx.Response | None:
            ids = {f"TAR{n}" for n in taken.get(len(pair.cpo.asked), ())}
            gone.update(ids)
            pair.cpo.lists["tariffs"] = [each for each in pair.cpo.lists["tariffs"] if each["id"] not in ids]
            return None

        pair.cpo.answer = shrinking
        pair.pull("tariffs")
        assert {f"TAR{n}" for n in range(count)} - gone <= set(pair.ids(Kind.TARIFF))


def test_data_that_is_no_list_is_named() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda _: page({"id": "LOC1"})
        report = pair.pull()
        assert (report.ended, "data is not a list" in report.reason) == (SyncEnded.FAILED, True)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(200, content=b"<html>Bad gateway</html>"), "invalid JSON"),
        (httpx.Response(200, content=b'{"data": [{"id": "LOC'), "invalid JSON"),
        (httpx.Response(302, headers={"location": LIST}), "HTTP 302"),
        (httpx.Response(200, content=b"\xff"), "invalid UTF-8"),
        (httpx.Response(200, content=b"\xff\xfe"), "the body is UTF-16, expected UTF-8"),
        (httpx.Response(200, json={"data": []}), "status_code"),
    ],
    ids=["html", "cut", "redirect", "bytes", "utf-16", "no status_code"],
)
def test_what_is_no_answer_ends_the_module_and_not_the_others(answer: httpx.Response, reason: str) -> None:
    with synced() as pair:
        pair.cpo.lists["tariffs"] = [tariff(1)]
        pair.cpo.answer = lambda request: answer if request.url.path.endswith("/locations") else None
        report = pair.sync(modules=["locations", "tariffs"])
        assert report.module("locations").ended is SyncEnded.FAILED
        assert reason in report.module("locations").reason
        assert report.module("tariffs").created == 1
