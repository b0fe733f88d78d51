"""Events that fail for good: tries, dead letters, and how they are delivered again (docs/reference/events.md)."""

import logging
from typing import Any

import anyio
import pytest
from attrs import evolve

from flows.delivery_desk import LEASE, another, journalled, minutes
from flows.support import Peer, drained, peer
from flows.test_events import SESSION, Flaky, pending, session
from ocpi_emsp import Limits, PartyId
from ocpi_emsp.errors import InvalidObject, StoreFailed
from ocpi_emsp.events import Event, SessionReceived
from ocpi_emsp.settings import DeliveryLimits
from ocpi_emsp.testing.cpo.wire import encode


def poisoned(cpo: Peer) -> list[Event]:
    """A listener that takes every session but the one of the first minute."""
    heard: list[Event] = []

    @cpo.emsp.on(SessionReceived)
    def listen(event: SessionReceived) -> None:
        if event.session.kwh == 1:
            raise ValueError("no such customer")
        heard.append(event)

    return heard


def exhausted(cpo: Peer, attempts: int) -> int:
    """Try until everything was tried often enough; how many were delivered."""
    delivered = 0
    for _ in range(attempts):
        cpo.clock.advance(hours=1)
        delivered += cpo.emsp.redeliver()
    return delivered


def test_an_event_that_fails_too_often_is_a_dead_letter_and_the_next_ones_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=3)))
    heard = poisoned(cpo)
    for minute in (1, 2, 3):
        cpo.push("PUT", SESSION, session(minute))
    assert exhausted(cpo, 1) == 0
    assert list(cpo.emsp.events.list(dead=True)) == []
    assert exhausted(cpo, 1) == 2
    assert minutes(heard) == [2, 3]
    (dead,) = cpo.emsp.events.list(dead=True)
    assert (dead.name, dead.dead, dead.topic, dead.attempts) == ("SessionReceived", True, "event", 3)
    assert (dead.error, dead.due) == ("ValueError: no such customer", None)
    assert (dead.country_code, dead.party_id) == ("NL", "TNM")
    assert dead.document == encode(session(1))
    assert f"event.dead topic=event name=SessionReceived id={dead.id}" in caplog.text
    assert list(cpo.emsp.events.list()) == []
    assert exhausted(cpo, 3) == 0, "it stays where it is"
    assert cpo.emsp.events.get(dead.id) == dead


def test_a_dead_letter_in_a_request_lets_the_requests_own_event_go_on() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=2)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    cpo.clock.advance(hours=1)
    assert cpo.push("PUT", SESSION, session(2)).status == 500, "a listener raised"
    assert minutes(heard) == [2]
    assert len(list(cpo.emsp.events.list(dead=True))) == 1


def test_a_dead_letter_is_tried_again_from_the_start() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    (dead,) = cpo.emsp.events.list(dead=True)
    cpo.emsp.on(SessionReceived)(heard.append)
    assert cpo.emsp.events.retry(dead.id)
    assert not cpo.emsp.events.retry(dead.id), "it is alive"
    assert not cpo.emsp.events.retry("nothing")
    (waiting,) = cpo.emsp.events.list()
    assert (waiting.id, waiting.attempts, waiting.dead) == (dead.id, 0, False)
    assert cpo.emsp.redeliver() == 0
    assert cpo.emsp.events.retry_all() == 1
    assert cpo.emsp.events.retry_all(topic="relay") == 0
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)
    assert other.emsp.redeliver() == 1
    assert list(other.emsp.events.list()) == list(other.emsp.events.list(dead=True)) == []
    assert other.emsp.events.get(dead.id) is None


def test_a_dead_letter_waits_while_its_object_is_in_hand() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    heard = poisoned(cpo)
    cpo.push("PUT", SESSION, session(1))
    (dead,) = cpo.emsp.events.list(dead=True)
    other = another(cpo)
    other.emsp.on(Event)(other.events.append)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        assert cpo.emsp.events.retry(dead.id)
        assert other.emsp.redeliver() == 0

    cpo.put(SESSION, session(2))
    assert minutes(heard) == [2]
    assert other.events == []
    cpo.clock.advance(seconds=LEASE.total_seconds())
    assert other.emsp.redeliver() == 1
    assert minutes(other.events) == [1]


def test_many_dead_letters_are_listed_in_pages_and_all_tried_again() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    cpo.emsp.on(Event)(Flaky())
    for number in range(120):
        cpo.push("PUT", f"sessions/*/S{number}", session(1, id=f"S{number}"))
    events, after = list[str](), 0
    while page := list(cpo.emsp.events.list(dead=True, limit=50, after=after)):
        events += [event.key.id for event in page if event.key]
        after = page[-1].sequence
    assert events == [f"S{number}" for number in range(120)]
    assert cpo.emsp.events.retry_all() == 120
    assert len(list(cpo.emsp.events.list(limit=1000))) == 120


def test_events_are_listed_by_party() -> None:
    cpo = peer(listen=False)
    other = cpo.other()
    cpo.emsp.on(SessionReceived)(Flaky())
    for each in (cpo, other, cpo):
        each.push("PUT", SESSION, session(len(list(cpo.emsp.events.list()))))
    owners = {
        wanted: [event.party_id for event in cpo.emsp.events.list(wanted)]
        for wanted in (None, "nl-tnm", "DE-ABC", "DE-TNM", PartyId("de", "abc"))
    }
    assert owners == {
        None: ["TNM", "ABC", "TNM"],
        "nl-tnm": ["TNM", "TNM"],
        "DE-ABC": ["ABC"],
        "DE-TNM": [],
        PartyId("DE", "ABC"): ["ABC"],
    }
    assert anyio.run(drained, cpo.emsp.aio.events.list("NL-TNM")) == list(cpo.emsp.events.list("NL-TNM"))


def test_the_async_accessor_does_the_same() -> None:
    cpo = peer(listen=False, limits=Limits(delivery=DeliveryLimits(attempts=1)))
    cpo.emsp.on(SessionReceived)(Flaky())
    for number in (1, 2):
        cpo.push("PUT", f"sessions/*/S{number}", session(1, id=f"S{number}"))

    async def look() -> None:
        events = cpo.emsp.aio.events
        first, _ = await drained(events.list(dead=True))
        assert await events.get(first.id) == first
        assert await events.retry(first.id)
        assert await events.retry_all() == 1
        assert await drained(events.list(dead=True)) == []

    anyio.run(look)


def test_a_rejection_is_no_event() -> None:
    cpo = peer()
    cpo.push("PUT", SESSION, b"{")
    (rejection,) = cpo.emsp.rejections.list()
    assert cpo.emsp.events.get(rejection.id) is None
    assert not cpo.emsp.events.retry(rejection.id)
    assert list(cpo.emsp.rejections.list(after=rejection.sequence)) == []
    assert cpo.emsp.rejections.get(rejection.id) == rejection


def test_an_event_is_no_rejection() -> None:
    cpo = peer(listen=False)
    cpo.emsp.on(SessionReceived)(Flaky())
    cpo.push("PUT", SESSION, session(1))
    (event,) = cpo.emsp.events.list()
    assert cpo.emsp.rejections.get(event.id) is None


@pytest.mark.parametrize("change", [{"name": "CarFlewAway"}, {"body": b"{}"}, {"body": b""}, {"details": {"x": 1}}])
def test_an_event_that_cannot_be_read_is_a_dead_letter_at_once_and_stops_nobody(change: dict[str, Any]) -> None:
    cpo = peer(listen=False)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    (entry,) = pending(cpo)
    owner = {name: entry.details[name] for name in ("country_code", "party_id", "correlation_id")}
    journalled(cpo, evolve(entry, **{**change, "details": owner} if "details" in change else change))
    listener.broken = False
    cpo.clock.advance(seconds=1)
    assert cpo.push("PUT", SESSION, session(2)).both == (200, 1000)
    assert minutes(listener.heard) == [2]
    (dead,) = cpo.emsp.events.list(dead=True)
    assert dead.error.startswith("UnreadableEvent: ")
    assert pending(cpo) == []


def test_what_went_wrong_is_kept_in_characters_that_a_database_can_hold(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "ocpi_emsp")  # the traceback has the text as it is, which no report can carry
    cpo = peer(listen=False)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        raise ValueError("\x00\ud800" + "x" * 10_000)

    cpo.push("PUT", SESSION, session(1))
    (event,) = cpo.emsp.events.list()
    assert event.error.startswith("ValueError: \N{REPLACEMENT CHARACTER}?xxx")
    assert len(event.error) == 500


@pytest.mark.parametrize("error", [InvalidObject("mine"), StoreFailed("mine"), RecursionError()])
def test_whatever_a_listener_raises_is_its_own_failure(error: Exception) -> None:
    cpo = peer(listen=False)

    @cpo.emsp.on(SessionReceived)
    def listen(_: SessionReceived) -> None:
        raise error

    assert cpo.push("PUT", SESSION, session(1)).both == (500, 3000)
    assert [event.attempts for event in cpo.emsp.events.list()] == [1]
    assert list(cpo.emsp.rejections.list()) == []
