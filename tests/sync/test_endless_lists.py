"""Lists without an end: every one ends at a number that has a name, and what it gave before is stored."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.support import BASE, MODES, Mode, drain, registered
from ocpi_emsp import Limits
from ocpi_emsp.errors import AnswerUnusable, InvalidObject, NotJson
from ocpi_emsp.flows.calls.list_trail import STALE_PAGES
from ocpi_emsp.flows.calls.page_items import TooManyObjects, page_items
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.settings import HttpLimits
from scripted_cpo import ScriptedCpo, page
from sync.support import Synced, on_sqlite, synced, tariff

LIST = f"{BASE}/tariffs"


def offset(request: httpx.Request) -> int:
    return int(request.url.params.get("offset", 0))


def beyond(request: httpx.Request, step: int = 2) -> str:
    return str(request.url.copy_with(params={**request.url.params, "offset": offset(request) + step}))


def always_new(request: httpx.Request) -> httpx.Response:
    start = offset(request)
    return page([tariff(start), tariff(start + 1)], beyond(request))


def up_to_12(request: httpx.Request) -> httpx.Response:
    start = offset(request)
    return page([tariff(start), tariff(start + 1)], beyond(request) if start < 10 else None)


# --- objects --------------------------------------------------------------------------------------------------------


def stops_and_goes_on(pair: Synced) -> None:
    pair.cpo.answer = always_new
    report = pair.pull("tariffs")
    assert (report.ended, report.created, report.pages) == (SyncEnded.FAILED, 6, 3)
    assert "the list has more than 6 objects (HttpLimits.max_objects)" in report.reason
    assert pair.ids(Kind.TARIFF) == [f"TAR{n}" for n in range(6)], "nothing of it is lost"
    assert pair.checkpoint("tariffs").done_until is None
    pair.cpo.answer = up_to_12
    pair.cpo.asked.clear()
    report = pair.pull("tariffs")
    assert (report.ended, report.created) == (SyncEnded.FAILED, 6), "the next sync goes on where this one was"
    assert offset(pair.cpo.asked[0]) == 6


LIMIT = Limits(http=HttpLimits(max_objects=6, max_pages=50))


@pytest.mark.parametrize("mode", MODES)
def test_a_list_whose_links_never_end_stops_at_a_number_of_objects(
    mode: Mode, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the number: the sync goes on for max_pages, 100,000 by default, of any size."""
    with synced(mode, limits=LIMIT) as pair:
        stops_and_goes_on(pair)
    assert "sync.failed" in caplog.text


def test_so_it_is_on_a_database(tmp_path: Path) -> None:
    with on_sqlite(tmp_path / "emsp.db", limits=LIMIT) as pair:
        stops_and_goes_on(pair)


def test_a_list_of_just_as_many_is_whole() -> None:
    with synced(limits=Limits(http=HttpLimits(max_objects=12))) as pair:
        pair.cpo.answer = up_to_12
        assert pair.pull("tariffs").ended is SyncEnded.DONE


def test_a_full_sync_that_stops_marks_nothing_missing() -> None:
    with synced(limits=LIMIT) as pair:
        pair.cpo.answer = up_to_12
        pair.pull("tariffs")
        pair.cpo.answer = always_new
        report = pair.pull("tariffs", full=True)
        assert (report.ended, report.missing, pair.missing(Kind.TARIFF)) == (SyncEnded.FAILED, 0, [])


@pytest.mark.parametrize("mode", MODES)
def test_the_list_of_a_client_ends_there_too(mode: Mode) -> None:
    drained = drain(registered(ScriptedCpo(always_new), limits=LIMIT), mode, "tariffs")
    assert drained.ids == [f"TAR{n}" for n in range(6)]
    assert isinstance(drained.error, AnswerUnusable)
    assert "more than 6 objects" in str(drained.error)


def test_the_other_modules_are_synced() -> None:
    with synced(limits=LIMIT) as pair:
        pair.cpo.answer = lambda request: always_new(request) if request.url.path.endswith("/tariffs") else None
        report = pair.sync()
        assert [each.module for each in report.modules if each.ended is SyncEnded.FAILED] == ["tariffs"]


# --- nothing new ----------------------------------------------------------------------------------------------------


def bumped(request: httpx.Request) -> dict[str, Any]:
    """The first tariff, in other bytes on each page."""
    return tariff(0) | {"tariff_alt_url": f"https://cpo.test/{offset(request)}"}


def same_again(request: httpx.Request) -> httpx.Response:
    return page([bumped(request)], beyond(request))


def same_of_many(request: httpx.Request) -> httpx.Response:
    return page([bumped(request)], beyond(request), total=10**15)


def same_without_a_link(request: httpx.Request) -> httpx.Response:
    return page([bumped(request)], total=10**15)


def ever_fewer(request: httpx.Request) -> httpx.Response:
    """The list shrinks by one object with every page, so each is asked for from one place before."""
    start = offset(request) or 10**9
    return page([bumped(request)], beyond(request, 10**9), total=start * 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lie", [same_again, same_of_many, same_without_a_link, ever_fewer])
def test_pages_that_list_nothing_new_end(mode: Mode, lie: Callable[[httpx.Request], httpx.Response]) -> None:
    """Without STALE_PAGES: 100,000 requests, since each page has other bytes and another link."""
    with synced(mode) as pair:
        pair.cpo.answer = lie
        report = pair.pull("tariffs")
        assert report.ended is SyncEnded.FAILED
        assert f"{STALE_PAGES + 2} pages in a row list nothing new" in report.reason
        assert len(pair.cpo.asked) <= STALE_PAGES + 4
        assert pair.ids(Kind.TARIFF) == ["TAR0"]


def test_a_list_that_is_asked_for_once_more_is_listed_to_its_end() -> None:
    """Its last object showed on no page, since another one came twice: it is behind more than STALE_PAGES old ones."""
    count = STALE_PAGES + 50
    with synced() as pair:

        def restless(request: httpx.Request) -> httpx.Response:
            number, is_second = offset(request), len(pair.cpo.asked) > count
            listed = bumped(request) if number == count - 1 and not is_second else tariff(number)
            return page([listed], beyond(request, 1) if number < count - 1 else None, total=count)

        pair.cpo.answer = restless
        report = pair.pull("tariffs")
        assert (report.ended, report.created) == (SyncEnded.DONE, count)


# --- one page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_page_of_too_many_objects_is_not_taken(mode: Mode) -> None:
    """Without the number: 64 MiB of ``{}`` are 22 million objects, each of them a rejection."""
    with synced(mode, limits=Limits(http=HttpLimits(max_objects_of_page=3))) as pair:
        pair.cpo.answer = lambda _: page([b"{}"] * 4)
        report = pair.pull("tariffs")
        assert (report.ended, report.objects) == (SyncEnded.FAILED, 0)
        assert "the page has more than 3 objects (HttpLimits.max_objects_of_page)" in report.reason
        pair.cpo.answer = lambda _: page([tariff(n) for n in range(3)])
        assert pair.pull("tariffs").created == 3


def test_the_doctor_names_it() -> None:
    with synced(limits=Limits(http=HttpLimits(max_objects_of_page=3))) as pair:
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(4)]
        checks = {check.name: check.sentence for check in pair.emsp.partner("NL-TNM").diagnose().checks}
        assert "the page has more than 3 objects" in checks["tariffs"]


@pytest.mark.parametrize("item", [b"{}", b"0", b"[]", b'""', b'{"id":"1","a":{"b":[1,2]}}'])
def test_they_are_counted_without_a_list_of_them(item: bytes) -> None:
    """Without counting first: 56 bytes for each of 500,000, and 1.2 GB for a page of 64 MiB."""
    data = b"[" + b",".join([item] * 500_000) + b"]"
    tracemalloc.start()
    try:
        with pytest.raises(TooManyObjects):
            page_items(data, 1000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "count"), [(b"", 0), (b"null", 0), (b"[]", 0), (b"[1,2,3]", 3), (b'[[1,2],[3,4],"a,b"]', 3)]
)
def test_just_as_many_are_given(data: bytes, count: int) -> None:
    assert len(page_items(data, 3)) == count


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"a":1,"b":2,"c":3,"d":4}', InvalidObject),
        (b"[1,2,3,x]", NotJson),
        (b'[1,2,"\xff",3]', NotJson),
        (b"[1,2," + b"[" * 5000 + b",", NotJson),
    ],
)
def test_what_is_no_list_is_named_as_before(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        page_items(data, 3)
