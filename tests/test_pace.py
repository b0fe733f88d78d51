"""Slots and state of parties among real threads and tasks: never too many, none lost, no wait without an end."""

import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest
from attrs import evolve

from ocpi_emsp._bridge import run
from ocpi_emsp._rate_limiter import make_rate_limiter
from ocpi_emsp.errors import PartnerUnavailable
from ocpi_emsp.flows.core.limits import Health, PartyId, RateLimiter
from ocpi_emsp.ports import Mode
from ocpi_emsp.settings import RetryPolicy

TNM: PartyId = ("NL", "TNM")
OTHER: PartyId = ("DE", "ABC")
SOON = 0.01
LONG = 20.0
"""Seconds until a test that hangs fails."""
LONGER = 2 * LONG
"""Seconds that a call waits for its slot there: it has to be woken, its time does not end before that."""


def make(mode: Mode) -> RateLimiter:
    return make_rate_limiter(mode, Health.of(RetryPolicy()))


async def is_full(pace: RateLimiter, slots: int, party: PartyId = TNM) -> bool:
    """True where the party has no free slot."""
    try:
        async with pace.slot(party, slots, SOON):
            return False
    except PartnerUnavailable:
        return True


async def says_that_it_is_full(pace: RateLimiter) -> None:
    async with pace.slot(TNM, 1, LONG):
        with pytest.raises(PartnerUnavailable, match=r"NL-TNM: no slot was free for 0\.01 s"):
            async with pace.slot(TNM, 1, SOON):
                raise AssertionError


async def slots_in_either_shell(pace: RateLimiter) -> None:
    """One flow at a time: what holds in both shells."""
    async with pace.slot(TNM, 2, LONG):
        assert not await is_full(pace, 2)
        async with pace.slot(TNM, 2, LONG):
            assert await is_full(pace, 2)
            assert await is_full(pace, 1)
            assert not await is_full(pace, 3)
            assert not await is_full(pace, 1, OTHER)
        assert not await is_full(pace, 2)
        assert await is_full(pace, 1)
    with pytest.raises(KeyboardInterrupt):
        async with pace.slot(TNM, 1, LONG):
            raise KeyboardInterrupt
    assert not await is_full(pace, 1)


def test_a_party_without_a_free_slot_is_named() -> None:
    run(says_that_it_is_full(make("sync")))
    anyio.run(says_that_it_is_full, make("async"))


def test_slots_of_the_sync_shell() -> None:
    run(slots_in_either_shell(make("sync")))


def test_slots_of_the_async_shell() -> None:
    anyio.run(slots_in_either_shell, make("async"))


# --- threads --------------------------------------------------------------------------------------------------------


def test_threads_are_let_in_up_to_the_limit_and_all_get_their_turn() -> None:
    pace, rounds = make("sync"), 5
    gate = threading.Barrier(3)  # opens when three are inside, which they never are with fewer slots
    inside: list[int] = []
    most: list[int] = []

    async def call(number: int) -> None:
        async with pace.slot(TNM, 3, LONGER):
            inside.append(number)
            most.append(len(inside))
            gate.wait(LONG)
            inside.remove(number)

    with ThreadPoolExecutor(3 * rounds) as threads:
        for done in [threads.submit(run, call(number)) for number in range(3 * rounds)]:
            done.result(LONG)
    assert max(most) == 3
    assert run(is_full(pace, 1)) is False


def test_a_thread_that_waits_for_a_slot_gets_the_next_one() -> None:
    pace = make("sync")
    waits, holds, goes_on = threading.Event(), threading.Event(), threading.Event()

    async def hold() -> None:
        async with pace.slot(TNM, 1, LONGER):
            holds.set()
            assert goes_on.wait(LONG)

    async def follow() -> str:
        waits.set()
        async with pace.slot(TNM, 1, LONGER):
            return "got it"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(run, hold())
        assert holds.wait(LONG)
        second = threads.submit(run, follow())
        assert waits.wait(LONG)
        assert run(is_full(pace, 1))
        goes_on.set()
        assert second.result(LONG) == "got it"
        first.result(LONG)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_no_step_of_a_partys_state_is_lost_among_threads(mode: Mode) -> None:
    pace = make(mode)

    def count(health: Health) -> tuple[Health, int]:
        failures = health.breaker.failures + 1
        return evolve(health, breaker=evolve(health.breaker, failures=failures)), failures

    def many() -> list[int]:
        return [pace.step(TNM, count) for _ in range(500)]

    with ThreadPoolExecutor(8) as threads:
        counted = [number for done in [threads.submit(many) for _ in range(8)] for number in done.result(LONG)]
    assert sorted(counted) == list(range(1, 4001))
    assert pace.step(OTHER, count) == 1


# --- tasks ----------------------------------------------------------------------------------------------------------


def test_tasks_are_let_in_up_to_the_limit_and_all_get_their_turn() -> None:
    pace, inside, most = make("async"), list[int](), list[int]()

    async def call(number: int) -> None:
        async with pace.slot(TNM, 3, LONG):
            inside.append(number)
            most.append(len(inside))
            await anyio.lowlevel.checkpoint()
            inside.remove(number)

    async def host() -> None:
        with anyio.fail_after(LONG):
            async with anyio.create_task_group() as tasks:
                for number in range(15):
                    tasks.start_soon(call, number)

    anyio.run(host)
    assert (max(most), len(most)) == (3, 15)


def test_a_task_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    pace = make("async")

    async def wait_for_it() -> None:
        async with pace.slot(TNM, 1, LONG):
            raise AssertionError("there is no free slot")

    async def host() -> None:
        async with pace.slot(TNM, 1, LONG), anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert not await is_full(pace, 1)

    anyio.run(host)


def test_more_slots_let_a_waiting_task_in() -> None:
    pace = make("async")

    async def host() -> None:
        entered = anyio.Event()

        async def wait_for_it() -> None:
            async with pace.slot(TNM, 1, LONG):
                entered.set()

        async with anyio.create_task_group() as tasks, pace.slot(TNM, 1, LONG):
            tasks.start_soon(wait_for_it)
            await anyio.wait_all_tasks_blocked()
            async with pace.slot(TNM, 3, LONG):
                with anyio.fail_after(LONG):
                    await entered.wait()

    anyio.run(host)


def test_each_event_loop_has_slots_of_its_own() -> None:
    pace = make("async")

    def elsewhere() -> bool:
        return anyio.run(is_full, pace, 1)

    async def hold() -> None:
        async with pace.slot(TNM, 1, LONG):
            with ThreadPoolExecutor(1) as thread:
                assert not thread.submit(elsewhere).result(LONG)
            assert await is_full(pace, 1)

    anyio.run(hold)
    anyio.run(hold)
