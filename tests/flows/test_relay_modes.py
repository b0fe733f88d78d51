"""Relays in either mode, and in the background (docs/reference/events.md)."""

import json
import logging
import threading
from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from flows.delivery_desk import waiting_event, warnings
from flows.relay_desk import RELAYED, Broker, journal, push, waiting
from flows.support import peer
from flows.test_events import LOCATION
from ocpi_emsp import Limits
from ocpi_emsp.events import LocationReceived, RelayedEvent
from ocpi_emsp.flows.events.relay import RelayFailed
from ocpi_emsp.ports import EVENT
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.testing.cpo import samples


@pytest.mark.parametrize("asynchronous", [False, True])
def test_publish_may_be_plain_or_async_in_either_mode(asynchronous: bool) -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    broker = Broker()

    async def publish(events: list[RelayedEvent]) -> None:
        await anyio.lowlevel.checkpoint()
        broker(events)

    function: Callable[[list[RelayedEvent]], object] = publish if asynchronous else broker
    push(cpo, ("S1", 1))
    assert cpo.emsp.relay(function).once() == 1
    push(cpo, ("S1", 2))
    assert anyio.run(cpo.emsp.aio.relay(function).once) == 1
    assert broker.taken == [("S1", 1), ("S1", 2)]
    broker.down = True
    push(cpo, ("S1", 3))
    with pytest.raises(RelayFailed):
        anyio.run(cpo.emsp.aio.relay(function).once)
    assert [event.error for event in waiting(cpo)] == ["ConnectionError: no broker"]


def test_a_relay_runs_until_it_is_stopped_and_outlives_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ocpi_emsp")
    cpo = peer(listen=False, outbox_events=RELAYED, limits=Limits(delivery=DeliveryLimits(first_wait=timedelta(0))))
    push(cpo, ("S1", 1), ("S2", 1))
    stop = threading.Event()
    broker = Broker(down=True)

    def publish(events: list[RelayedEvent]) -> None:
        broker.down = broker.calls < 3
        broker(events)
        if len(broker.taken) == 2:
            stop.set()

    cpo.emsp.relay(publish).run(stop, every=0)
    assert broker.taken == [("S1", 1), ("S2", 1)]
    error = "publishing 2 events failed: ConnectionError: no broker"
    assert warnings(caplog) == [f'loop.failed what="relaying events" error="{error}"']
    assert 'loop.recovered what="relaying events"' in caplog.text


def test_an_async_relay_runs_until_it_is_cancelled() -> None:
    cpo = peer(listen=False, outbox_events=RELAYED)
    push(cpo, ("S1", 1), ("S2", 1))
    broker = Broker()

    async def serve() -> None:
        done = anyio.Event()

        async def publish(events: list[RelayedEvent]) -> None:
            broker(events)
            if len(broker.taken) == 2:
                done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: cpo.emsp.aio.relay(publish, batch=1).run(every=0))
            with anyio.fail_after(10):
                await done.wait()
            tasks.cancel_scope.cancel()

    anyio.run(serve)
    assert broker.taken == [("S1", 1), ("S2", 1)]


def test_a_relay_outlives_a_store_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    cpo, _ = waiting_event(2)
    stop = threading.Event()
    stop_soon = iter([False, True])

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if next(stop_soon):
                stop.set()
            return stop.wait(timeout)

        def is_set(self) -> bool:
            return stop.is_set()

    cpo.emsp.relay(Broker()).run(Stopping(), every=0)
    assert warnings(caplog) == ['loop.failed what="relaying events" error="the database is away"']
    assert [entry.topic for entry in journal(cpo, EVENT)] == [EVENT]


def test_a_location_is_relayed_whole() -> None:
    cpo = peer(listen=False, outbox_events=(LocationReceived,))
    cpo.put(LOCATION, samples.location())
    broker = Broker()
    cpo.emsp.relay(broker).once()
    assert json.loads(broker.batches[0][0].to_json())["document"] == samples.location()
