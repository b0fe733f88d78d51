"""Delivery by several at once, over crashes and outages: leases, waits, the background (docs/reference/events.md)."""

import logging
import threading
from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeVar

import anyio
import pytest

from flows.delivery_desk import AWAY, LEASE, Watched, another, minutes, waiting_event, warnings
from flows.support import at, peer
from flows.test_events import LOCATION, SESSION, Flaky, pending, session
from ocpi_emsp import Limits
from ocpi_emsp.background import keep_doing
from ocpi_emsp.events import Event, EvseRemoved, LocationReceived, SessionReceived, TariffDeleted, TariffReceived
from ocpi_emsp.ports import EVENT
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode
from ocpi_emsp.wire import Request
from processes import Killed

T = TypeVar("T")


# --- in hand --------------------------------------------------------------------------------------------------------


def test_an_event_that_is_delivered_at_once_costs_one_transaction_more() -> None:
    silent: Any = Watched(MemoryStore())
    heard: Any = Watched(MemoryStore())
    for store, listen in ((silent, False), (heard, True)):
        cpo = peer(store=store, listen=listen)
        for minute in (1, 2):
            store.begun.clear()
            cpo.put(SESSION, session(minute))
    assert heard.begun == [*silent.begun, False]


def test_an_object_in_hand_is_left_to_whoever_has_it() -> None:
    """Two requests for one object and a retry at the same time: one after the other, in order."""
    cpo = peer(listen=False)
    begun, go_on = threading.Event(), threading.Event()
    heard: list[Event] = []
    threads: list[int] = []

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        threads.append(threading.get_ident())
        if event.session.kwh == 1:
            begun.set()
            assert go_on.wait(10)
        heard.append(event)

    first = threading.Thread(target=cpo.put, args=(SESSION, session(1)))
    first.start()
    assert begun.wait(10)
    for minute in (2, 3):
        assert cpo.push("PUT", SESSION, session(minute)).both == (200, 1000)
    assert cpo.emsp.redeliver() == 0
    other = another(cpo)
    other.emsp.on(Event)(heard.append)
    assert other.emsp.redeliver() == 0
    assert heard == []
    go_on.set()
    first.join(10)
    assert minutes(heard) == [1, 2, 3]
    assert len(set(threads)) == 1
    assert pending(cpo) == []


def test_a_process_that_dies_in_a_listener_holds_its_event_no_longer_than_the_lease() -> None:
    cpo = peer(listen=False)
    heard: list[Event] = []
    alive = [False]

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        if not alive[0]:
            raise Killed
        heard.append(event)

    with pytest.raises(Killed):
        cpo.push("PUT", SESSION, session(1))
    alive[0] = True
    assert cpo.push("PUT", SESSION, session(2)).both == (200, 1000)
    cpo.clock.advance(seconds=LEASE.total_seconds() - 1)
    assert cpo.emsp.redeliver() == 0
    assert heard == []
    cpo.clock.advance(seconds=1)
    assert cpo.emsp.redeliver() == 2
    assert minutes(heard) == [1, 2]
    assert pending(cpo) == []


def test_a_request_that_is_dropped_in_an_async_listener_loses_nothing() -> None:
    cpo = peer(listen=False)
    heard: list[Event] = []
    hangs = [True]

    class Forever:
        def __await__(self) -> Generator[None, None, None]:
            yield

    @cpo.emsp.on(SessionReceived)
    async def listen(event: SessionReceived) -> None:
        if hangs[0]:
            await Forever()
        heard.append(event)

    sent = {"authorization": f"Token {cpo.token}"}
    coroutine = cpo.emsp.aio.handle(Request("PUT", "/2.1.1/sessions/NL/TNM/SES1", "", sent, encode(session(1))))
    coroutine.send(None)
    coroutine.close()
    hangs[0] = False
    assert anyio.run(cpo.emsp.aio.redeliver) == 0
    cpo.clock.advance(seconds=LEASE.total_seconds())
    assert anyio.run(cpo.emsp.aio.redeliver) == 1
    assert minutes(heard) == [1]


@pytest.mark.parametrize("fails", [False, True])
def test_a_listener_that_is_slower_than_the_lease_brings_nothing_back(fails: bool) -> None:
    """Somebody else delivered the event meanwhile: at least once, but settled stays settled."""
    cpo = peer(listen=False)
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        cpo.clock.advance(seconds=LEASE.total_seconds())
        assert other.emsp.redeliver() == 1
        if fails:
            raise ConnectionError

    assert cpo.push("PUT", SESSION, session(1)).status == (500 if fails else 201)
    assert minutes(other.events) == [1]
    assert pending(cpo) == []


def test_a_failure_after_the_lease_is_not_noted_while_somebody_else_has_the_event_in_hand() -> None:
    cpo = peer(listen=False)
    other = another(cpo)

    @other.emsp.on(SessionReceived)
    def die(_: SessionReceived) -> None:
        raise Killed

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        cpo.clock.advance(seconds=LEASE.total_seconds())
        with pytest.raises(Killed):
            other.emsp.redeliver()
        raise ConnectionError

    assert cpo.push("PUT", SESSION, session(1)).status == 500
    (event,) = cpo.emsp.events.list()
    assert (event.attempts, event.due) == (0, cpo.clock.now() + LEASE)


def test_a_request_gives_up_what_somebody_else_took_before_its_turn() -> None:
    cpo = peer(listen=False)
    cpo.put(LOCATION, samples.location())
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)
    heard: list[str] = []

    @cpo.emsp.on(EvseRemoved)
    def listen(event: EvseRemoved) -> None:
        heard.append(event.evse.uid)
        cpo.clock.advance(seconds=LEASE.total_seconds())
        assert other.emsp.redeliver() == 2

    cpo.put(LOCATION, samples.location() | {"evses": [], "last_updated": at(1)})
    assert heard == ["LOC1-E1"]
    assert [event.evse.uid for event in other.events if isinstance(event, EvseRemoved)] == ["LOC1-E1", "LOC1-E2"]


def test_an_event_of_a_change_that_was_rolled_back_is_not_delivered() -> None:
    broken = [False]

    def breaks(method: str, argument: Any) -> None:
        if broken[0] and method == "put" and argument.key.kind == "location":
            raise OSError

    store: Any = Watched(MemoryStore(), breaks)
    cpo = peer(store=store)
    cpo.put(LOCATION, samples.location())
    cpo.taken()
    broken[0] = True
    without_evses = samples.location() | {"evses": [], "last_updated": at(1)}
    assert cpo.push("PUT", LOCATION, without_evses).status == 500
    assert cpo.taken() == []
    assert pending(cpo) == []
    broken[0] = False
    cpo.put(LOCATION, without_evses)
    assert cpo.taken() == ["EvseRemoved", "EvseRemoved", "LocationReceived"]


def test_what_nobody_here_listens_to_is_left_to_another_process() -> None:
    cpo = peer(listen=False)
    cpo.emsp.on(TariffReceived)(Flaky())
    cpo.push("PUT", "tariffs/*/TAR1", samples.tariff())
    cpo.clock.advance(hours=2)
    other = another(cpo)
    assert other.emsp.redeliver() == 0
    for kind in (LocationReceived, TariffDeleted):
        other.emsp.on(kind)(other.events.append)
        assert other.emsp.redeliver() == 0
    assert other.push("DELETE", "tariffs/*/TAR1").both == (200, 1000)
    assert other.events == [], "it comes after the one that is left"
    assert [entry.name for entry in pending(cpo)] == ["TariffReceived", "TariffDeleted"]
    other.emsp.on(TariffReceived)(other.events.append)
    assert other.emsp.redeliver() == 2
    assert other.taken() == ["TariffReceived", "TariffDeleted"]


# --- the clock ------------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_blocks_nothing_forever() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.clock.advance(days=365)
    cpo.push("PUT", SESSION, session(1))
    cpo.push("PUT", SESSION, session(2))
    cpo.clock.advance(days=-365)
    listener.broken = False
    assert cpo.emsp.redeliver() == 2
    assert minutes(listener.heard) == [1, 2]


def test_a_clock_that_goes_back_a_little_delays_by_no_more_than_that() -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    cpo.clock.advance(minutes=-10)
    listener.broken = False
    cpo.clock.advance(minutes=10, seconds=1)
    assert cpo.emsp.redeliver() == 1


def test_waits_grow_to_the_longest_and_are_spread() -> None:
    limits = Limits(
        delivery=DeliveryLimits(first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=20), attempts=100)
    )
    cpo = peer(listen=False, limits=limits)
    cpo.emsp.on(SessionReceived)(Flaky())
    cpo.push("PUT", SESSION, session(1))
    waits: list[float] = []
    for longest in (1, 4, 16, *[20] * 40):
        (event,) = cpo.emsp.events.list()
        assert event.due is not None
        waits.append((event.due - cpo.clock.now()).total_seconds())
        assert 0 <= waits[-1] <= longest
        cpo.clock.advance(seconds=longest)
        assert cpo.emsp.redeliver() == 0
    assert len(set(waits)) > 30
    assert max(waits[3:]) > 10


# --- in the background ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [AWAY, RuntimeError("a bug")], ids=["an outage", "a bug"])
def test_a_loop_delivers_and_outlives_what_fails(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    cpo, listener = waiting_event(3, error)
    stop = threading.Event()
    cpo.emsp.on(SessionReceived)(lambda _: stop.set())
    with cpo.emsp.running(push=False, every=0):
        assert stop.wait(10)
    assert minutes(listener.heard) == [1]
    assert pending(cpo) == []
    assert warnings(caplog) == [f'loop.failed what="delivering events" error="{error}"']


def test_an_async_loop_does_so_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocpi_emsp")
    cpo, listener = waiting_event(3)

    async def serve() -> None:
        heard = anyio.Event()

        @cpo.emsp.on(SessionReceived)
        async def listen(_: SessionReceived) -> None:
            heard.set()

        async with cpo.emsp.aio.running(push=False, every=0):
            with anyio.fail_after(10):
                await heard.wait()
                while pending(cpo):
                    await anyio.lowlevel.checkpoint()

    anyio.run(serve)
    assert minutes(listener.heard) == [1]
    assert len(warnings(caplog)) == 1
    assert 'loop.recovered what="delivering events" failures=3' in caplog.text


def test_a_loop_that_was_stopped_before_does_nothing() -> None:
    cpo, listener = waiting_event(0)
    stop = threading.Event()
    stop.set()
    keep_doing(cpo.emsp.redeliver, "delivering events", stop, 1.0)
    assert listener.heard == []
    assert [entry.topic for entry in pending(cpo)] == [EVENT]
