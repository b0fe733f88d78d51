"""Lists that are complete, or are not (issue 11, numbers 9 to 12), by sync and by client, on every list of a CPO."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
import pytest

from client.support import drain
from foreign.cases import cases
from ocpi_emsp import Limits, PartyId
from ocpi_emsp.errors import AnswerUnusable
from ocpi_emsp.ports import Kind
from ocpi_emsp.settings import SyncLimits
from ocpi_emsp.testing.cpo.wire import timestamp
from our_emsp import CPO_TOKEN, LONG_AGO
from scripted_cpo import page, reply
from sync.support import NOW, OLD, OWNER, Synced, cdr, location, session, synced, tariff

Case: TypeAlias = dict[str, Any]
MADE: dict[str, tuple[str, str, Callable[[int], Any]]] = {
    "locations": (Kind.LOCATION, "LOC", location),
    "tariffs": (Kind.TARIFF, "TAR", tariff),
    "sessions": (Kind.SESSION, "SES", session),
    "cdrs": (Kind.CDR, "CDR", cdr),
}
each_module = pytest.mark.parametrize("module", MADE)
FIRST, FULL = "first sync", "full sync"
each_sync = pytest.mark.parametrize(
    ("sync", "module"),
    [(FIRST, "locations"), (FULL, "locations"), (FIRST, "sessions"), (FULL, "cdrs"), (FIRST, "tariffs")],
)
"""One walk reads every list; what the two syncs do with one is tried with locations."""


def answers(case: Case, module: str) -> Callable[[httpx.Request], httpx.Response]:
    """The pages of a case, in turn; what changes while everything is listed is an empty list."""
    pages: Iterator[Case] = iter(case["input"]["pages"])
    made = MADE[module][2]

    def answer(request: httpx.Request) -> httpx.Response:
        if "date_from" in request.url.params and "date_to" not in request.url.params:
            return page([], total=0)
        given = next(pages)
        if "status" in given or "code" in given:
            return reply(None, given.get("code", 2000), status=given.get("status", 200))
        link = str(request.url) if given.get("link") == "SELF" else given.get("link")
        return page([made(n) for n in given["ids"]], link, total=given.get("total"), limit=given.get("limit"))

    return answer


def ids(case: Case, module: str) -> list[str]:
    return [f"{MADE[module][1]}{n}" for n in case["outcome"]["ids"]]


def offsets(pair: Synced) -> list[int]:
    asked = [each for each in pair.cpo.asked if "date_to" in each.url.params or "date_from" not in each.url.params]
    return [int(each.url.params.get("offset", 0)) for each in asked]


def check_notes(case: Case, notes: Any) -> None:
    found = [note for note in notes if case["outcome"].get("note", "") in note]
    assert found or "note" not in case["outcome"], notes
    assert len(found) == 1 or not case["outcome"].get("once"), notes


@cases("lists")
@each_sync
def test_a_sync_is_done_where_the_list_is_complete(sync: str, module: str, case: Case) -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=3))) as pair:
        pair.cpo.answer = answers(case, module)
        report = pair.pull(module, full=sync == FULL)
        assert (report.ended.value, case["outcome"].get("reason", "") in report.reason) == (
            case["outcome"]["ended"],
            True,
        )
        assert pair.ids(MADE[module][0]) == ids(case, module)
        assert offsets(pair) == case["outcome"]["offsets"]
        check_notes(case, report.notes)
        is_done = case["outcome"]["ended"] == "done"
        assert (pair.checkpoint(module).done_until is not None) == is_done
        assert {each.url.host for each in pair.cpo.requests} == {"cpo.test"}
        assert CPO_TOKEN not in f"{report}"


@cases("lists")
@pytest.mark.parametrize("module", ["locations", "sessions"])  # the latter with a window
def test_a_client_lists_the_same_and_notes_it(module: str, case: Case) -> None:
    with synced() as pair:
        pair.cpo.answer = answers(case, module)
        window = {"date_from": LONG_AGO, "date_to": NOW} if module == "sessions" else {}
        drained = drain(pair.emsp, "sync", module, limit=3, **window)
        assert drained.ids == ids(case, module)
        assert offsets(pair) == case["outcome"]["offsets"]
        check_notes(case, drained.notes)
        if "reason" in case["outcome"]:
            assert any(case["outcome"]["reason"] in note for note in drained.notes)


def test_what_is_not_listed_in_an_incomplete_list_is_not_missing(any_store: Any) -> None:
    """Three full syncs of six locations of seven: the seventh keeps its EVSEs (issue 11, number 9)."""
    with synced(store=any_store) as pair:
        everything = [location(n) for n in range(7)]
        pair.cpo.lists["locations"] = everything
        assert pair.pull().ended.value == "done"
        before = pair.records(Kind.EVSE)
        pair.cpo.answer = lambda request: page(
            everything[:6] if "date_to" in request.url.params and "offset" not in request.url.params else [], total=7
        )
        for _ in range(4):
            pair.clock.advance(hours=1)
            report = pair.pull(full=True)
            assert report.ended.value == "failed"
            assert "X-Total-Count is 7, and 6 distinct objects were listed" in report.reason
        assert pair.missing() == []
        assert [each.document for each in pair.records(Kind.EVSE)] == [each.document for each in before]


@each_module
def test_a_total_that_is_the_same_for_any_dates_is_not_compared(module: str) -> None:
    kind, name, made = MADE[module]
    with synced() as pair:
        pair.cpo.lists[module] = [made(0)]
        assert pair.pull(module).ended.value == "done"
        pair.clock.advance(hours=1)
        pair.cpo.answer = lambda _: page([], total=500)
        report = pair.pull(module)
        assert (report.ended.value, report.reason) == ("done", "")
        assert "X-Total-Count is the same for any dates" in report.notes[-1]
        assert pair.ids(kind) == [f"{name}0"]
        pair.clock.advance(hours=1)
        pair.cpo.answer = lambda request: page([], total=0 if "2100" in str(request.url) else 500)
        assert pair.pull(module).ended.value == "failed", "an honest total of a window is believed"


def test_a_sync_that_continues_counts_what_was_listed_before() -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=3))) as pair:
        pair.cpo.page_size = 3
        pair.cpo.lists["tariffs"] = [tariff(n) for n in range(8)]
        assert pair.pull("tariffs", stop=lambda: len(pair.cpo.asked) > 0).ended.value == "stopped"
        window = pair.checkpoint("tariffs").window
        assert window is not None
        assert window.listed == 3
        assert pair.pull("tariffs").ended.value == "done"
        assert len(pair.ids(Kind.TARIFF)) == 8


def test_parties_behind_a_hub_may_use_the_same_ids() -> None:
    with synced() as pair:
        pair.emsp.partner(PartyId(*OWNER)).set_profile(allowed_parties=["NL-ABC"])
        theirs = {"country_code": "NL", "party_id": "ABC", "last_updated": timestamp(OLD + timedelta(days=1))}
        pair.cpo.answer = lambda _: page([tariff(1), tariff(1) | theirs], total=2)
        report = pair.pull("tariffs")
        assert (report.ended.value, report.created) == ("done", 2)


@pytest.mark.parametrize("total", [7, "7.0", "abc"])
def test_nothing_is_missing_where_the_total_is_said_once_or_cannot_be_read(any_store: Any, total: Any) -> None:
    """X-Total-Count on the first page alone, or no number: six of seven are listed, four times."""
    with synced(store=any_store) as pair:
        everything = [location(n) for n in range(7)]
        pair.cpo.lists["locations"] = everything
        assert pair.pull().ended.value == "done"
        before = pair.records(Kind.EVSE)

        def answer(request: httpx.Request) -> httpx.Response:
            if "date_to" not in request.url.params:
                return page([])
            offset = int(request.url.params.get("offset", 0))
            if offset == 0:
                return page(everything[:3], "?offset=3", total=total)
            return page(everything[offset:6])

        pair.cpo.answer = answer
        for _ in range(4):
            pair.clock.advance(hours=1)
            report = pair.pull(full=True)
            if total == "abc":
                assert report.ended.value == "done"
                assert "nothing is marked missing" in report.notes[-1]
            else:
                assert "X-Total-Count is 7, and 6 distinct objects were listed" in report.reason
        assert pair.missing() == []
        assert [each.document for each in pair.records(Kind.EVSE)] == [each.document for each in before]


def test_a_total_that_was_said_before_a_stop_counts_after_it() -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=3))) as pair:
        given = [tariff(n) for n in range(6)]
        pages = iter([page(given[:3], "?offset=3&limit=3", total=7), page(given[3:]), page([])])
        pair.cpo.answer = lambda _: next(pages)
        assert pair.pull("tariffs", stop=lambda: len(pair.cpo.asked) > 0).ended.value == "stopped"
        report = pair.pull("tariffs")
        assert "X-Total-Count is 7, and 6 distinct objects were listed" in report.reason


def test_a_total_in_two_headers_is_one() -> None:
    with synced() as pair:
        answered = page([tariff(0)])
        answered.headers = httpx.Headers([("x-total-count", "2"), ("x-total-count", "3")])
        pair.cpo.answer = lambda _: answered
        assert any("invalid X-Total-Count '2, 3'" in note for note in pair.pull("tariffs").notes)


def a_landing_page() -> httpx.Response:
    return httpx.Response(200, text="<html>Welcome</html>")


@each_module
@pytest.mark.parametrize("refusal", [lambda: reply(None, 2000, status=404), lambda: reply(status=500), a_landing_page])
@pytest.mark.parametrize("total", [7, None])
def test_a_link_that_the_partner_refuses_is_gone_around(
    total: int | None, refusal: Callable[[], httpx.Response], module: str
) -> None:
    """A proxy's prefix is missing in each next link (issue 11, number 12)."""
    kind, name, made = MADE[module]
    refused = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.startswith("/cpo/"):
            refused.append(str(request.url))
            return refusal()
        offset = int(request.url.params.get("offset", 0))
        end = min(offset + 3, 7)
        return page([made(n) for n in range(offset, end)], f"/{module}?offset={end}" if end < 7 else None, total=total)

    everything = [f"{name}{n}" for n in range(7)]
    window = {"date_from": LONG_AGO, "date_to": NOW} if module == "sessions" else {}
    with synced() as pair:
        pair.cpo.answer = answer
        drained = drain(pair.emsp, "sync", module, limit=3, **window)
        assert (drained.ids, len(refused)) == (everything, 1)
    with synced(limits=Limits(sync=SyncLimits(page_size=3))) as pair:
        pair.cpo.answer = answer
        report = pair.pull(module)
        assert (report.ended.value, pair.ids(kind)) == ("done", everything)
        assert sum("continues by offset" in note for note in report.notes) == 1
        assert len(set(refused[1:])) == 1


def test_a_sync_that_stopped_at_a_refused_link_begins_again() -> None:
    with synced(limits=Limits(sync=SyncLimits(page_size=3))) as pair:

        def answer(request: httpx.Request) -> httpx.Response:
            if not request.url.path.startswith("/cpo/"):
                return reply(status=500)
            offset = int(request.url.params.get("offset", 0))
            return page([tariff(n) for n in range(offset, min(offset + 3, 7))], "/tariffs?offset=3", total=7)

        pair.cpo.answer = answer
        assert pair.pull("tariffs", stop=lambda: len(pair.cpo.asked) > 0).ended.value == "stopped"
        report = pair.pull("tariffs")
        assert "begins again" in report.notes[0]
        assert (report.ended.value, len(pair.ids(Kind.TARIFF))) == ("done", 7)


@each_module
def test_an_item_that_is_a_list_of_one_is_that_item(module: str) -> None:
    """Number 21: `data: [[{...}], {...}]`, by sync and by client, also in a full sync."""
    kind, name, made = MADE[module]
    window = {"date_from": LONG_AGO, "date_to": NOW} if module == "sessions" else {}
    with synced() as pair:
        pair.cpo.answer = lambda request: page([[made(1)], made(2)] if "date_to" in request.url.params else [])
        drained = (
            drain(pair.emsp, "sync", module, date_to=NOW) if not window else drain(pair.emsp, "sync", module, **window)
        )
        assert (drained.ids, len(drained.rejected)) == ([f"{name}1", f"{name}2"], 0)
        assert any("a list of one" in note for note in drained.notes)
        report = pair.pull(module, full=True)
        assert (report.ended.value, report.rejected, pair.ids(kind)) == ("done", 0, [f"{name}1", f"{name}2"])
        assert sum("a list of one" in note for note in report.notes) == 1


def test_a_location_that_is_asked_for_and_comes_in_a_list_is_that_location() -> None:
    with synced() as pair:
        pair.push("PATCH", "locations/*/LOC1", {"name": "x"})
        pair.cpo.answer = lambda request: reply([location(1)]) if "/LOC1" in request.url.path else page([])
        report = pair.pull()
        assert (report.rejected, pair.ids(Kind.LOCATION)) == (0, ["LOC1"])


def test_versions_that_are_one_object_are_a_list_of_it() -> None:
    with synced() as pair:
        pair.cpo.script["/versions"] = lambda _: reply({"version": "2.1.1", "url": "https://cpo.test/cpo/2.1.1"})
        partner = pair.emsp.partner(PartyId(*OWNER))
        assert [each.version.value for each in partner.client().versions()] == ["2.1.1"]
        pair.cpo.script["/versions"] = lambda _: reply({"versions": []})
        with pytest.raises(AnswerUnusable, match="versions cannot be read"):
            partner.client().versions()
