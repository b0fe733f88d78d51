"""What a sync bears: GETs are asked for again within a budget, a party that keeps failing is left alone for a while."""

from datetime import timedelta

import httpx
import pytest

from ocpi_emsp.resources import SyncEnded
from ocpi_emsp.settings import RetryPolicy
from our_emsp import token
from sync.support import location, synced
from sync.test_checkpoint import honest


def envelope(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status_code": 3000, "timestamp": "x"}, headers=headers)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_page_that_fails_is_asked_for_again_and_counted(status: int) -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(15)]
        pair.cpo.answer = lambda _: envelope(status) if len(pair.cpo.asked) in (1, 3) else None
        report = pair.pull()
        assert (report.ended, report.created, report.retries, report.pages) == (SyncEnded.DONE, 15, 2, 2)
        assert len(pair.slept) == 2


def test_a_connection_that_is_reset_is_made_again() -> None:
    with synced() as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(15)]

        def reset(request: httpx.Request) -> httpx.Response | None:
            if len(pair.cpo.asked) == 2:
                raise httpx.ReadError("connection reset", request=request)
            return None

        pair.cpo.answer = reset
        report = pair.pull()
        assert (report.ended, report.created, report.retries) == (SyncEnded.DONE, 15, 1)


def test_retry_after_is_waited_for() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda _: envelope(429, **{"retry-after": "42"}) if len(pair.cpo.asked) == 1 else None
        assert pair.pull().ended is SyncEnded.DONE
        assert pair.slept == [pytest.approx(42, abs=1)]


def test_a_wait_ends_where_the_sync_was_asked_to_stop() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda _: envelope(429, **{"retry-after": "200"})
        pair.sync(modules=["locations"], stop=lambda: len(pair.slept) >= 3)
        assert pair.slept == [1.0] * 3


def test_one_budget_for_all_modules() -> None:
    with synced(retry_policy=RetryPolicy(retries_per_sync=3)) as pair:
        pair.cpo.answer = lambda _: envelope(503)
        report = pair.sync(modules=["locations", "tariffs"])
        assert sum(each.retries for each in report.modules) == 3
        assert report.failed


def test_what_a_party_refuses_is_not_asked_for_again() -> None:
    with synced() as pair:
        pair.cpo.answer = lambda _: httpx.Response(200, json={"status_code": 2001, "timestamp": "x"})
        assert pair.pull().ended is SyncEnded.FAILED
        assert (len(pair.cpo.asked), pair.slept) == (1, [])


def test_a_party_that_keeps_failing_is_left_alone_for_a_while() -> None:
    with synced(retry_policy=RetryPolicy(attempts=1, breaker_failures=3)) as pair:
        pair.cpo.answer = lambda _: envelope(503)
        report = pair.sync()
        assert len(pair.cpo.asked) == 3, "the fourth module is not asked for any more"
        assert "calls resume after" in report.module("cdrs").reason
        pair.cpo.answer = honest
        assert pair.sync().failed
        assert len(pair.cpo.asked) == 3
        pair.clock.time += timedelta(minutes=2)
        assert pair.sync().ok


def test_a_token_is_not_put_again() -> None:
    with synced() as pair:
        pair.emsp.tokens.put(token("T1"))
        pair.cpo.answer = lambda _: envelope(503)
        pair.sync(modules=["tokens"])
        assert [each.method for each in pair.cpo.asked].count("PUT") == 1
