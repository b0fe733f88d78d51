"""The next page is fetched while this one is stored, and no more than that."""

import asyncio
import threading
from contextvars import ContextVar, copy_context

import httpx
import pytest

from client.support import MODES, Mode
from ocpi_emsp._beside import begin_in_thread, sleep_in_place
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.events import LocationReceived
from ocpi_emsp.ports import Kind
from ocpi_emsp.resources import SyncEnded
from scripted_cpo import SECONDS
from sync.support import location, synced

THREAD = "ocpi-emsp fetch"
WHERE = ContextVar("WHERE", default="nowhere")


def fetching() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == THREAD]


@pytest.mark.parametrize("mode", MODES)
def test_the_next_page_is_asked_for_while_this_one_is_stored_and_none_behind_it(mode: Mode) -> None:
    asked, numbers = threading.Event(), list[int]()
    with synced(mode) as pair:

        def answer(_: httpx.Request) -> None:
            if len(pair.cpo.asked) == 2:
                asked.set()

        def heard(_: LocationReceived) -> None:
            assert asked.wait(SECONDS)
            numbers.append(len(pair.cpo.asked))

        pair.cpo.lists["locations"] = [location(n) for n in range(25)]
        pair.cpo.answer = answer
        pair.emsp.on(LocationReceived)(heard)
        assert pair.pull().created == 25
        assert (max(numbers[:10]), len(pair.cpo.asked)) == (2, 3)
        assert fetching() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_page_that_was_fetched_meanwhile_is_not_stored_after_a_stop(mode: Mode) -> None:
    with synced(mode) as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(35)]
        pages = list[object]()
        report = pair.pull(watch=pages.append, stop=lambda: len(pages) >= 1)
        assert (report.ended, report.created) == (SyncEnded.STOPPED, 10)
        assert fetching() == []
        assert pair.pull().created == 25


def test_a_sync_that_is_cancelled_leaves_no_task() -> None:
    with synced("async") as pair:
        pair.cpo.lists["locations"] = [location(n) for n in range(25)]

        async def play() -> None:
            listening = asyncio.Event()

            async def heard(_: LocationReceived) -> None:
                listening.set()
                await asyncio.sleep(SECONDS)

            pair.emsp.on(LocationReceived)(heard)
            syncing = asyncio.create_task(pair._async_sync({"modules": ["locations"]}))
            await listening.wait()
            assert len(asyncio.all_tasks()) == 3, "this one, the sync, and its next page"
            syncing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await syncing
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(play())
        assert len(pair.ids(Kind.LOCATION)) == 10


def test_what_runs_in_a_thread_has_the_context_and_ends_with_its_block() -> None:
    async def work() -> str:
        await sleep_in_place(0.0)
        return WHERE.get()

    async def play() -> str:
        WHERE.set("here")
        async with begin_in_thread(work()) as result:
            return await result()

    async def fail() -> None:
        async with begin_in_thread(sleep_in_place(3600.0)):
            raise StoreFailed("the page was not stored")

    assert copy_context().run(run, play()) == "here"
    with pytest.raises(StoreFailed):
        run(fail())
    assert fetching() == []


def test_a_process_that_is_to_end_waits_for_no_answer() -> None:
    answered = threading.Event()

    async def work() -> None:
        answered.wait(SECONDS)

    async def play() -> None:
        async with begin_in_thread(work()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(play())
    (left,) = fetching()
    assert left.daemon
    answered.set()
    left.join(SECONDS)
    assert not left.is_alive()
