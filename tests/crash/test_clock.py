"""A clock that goes backwards: objects are ordered by their own time, tokens work on, and no event waits for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flows.support import Peer, at, peer, stamp
from ocpi_emsp.events import Event, SessionReceived
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import Document
from our_emsp import NOW, credentials

SESSION = "sessions/*/SES1"


class Gone(BaseException):
    """The process ends in the middle of a listener."""


def session(minute: int) -> Document:
    return {**samples.session(status="ACTIVE"), "kwh": minute, "last_updated": at(minute)}


def kept(cpo: Peer) -> tuple[int, str]:
    stored = cpo.data(SESSION)
    return stored["kwh"], stored["last_updated"]


# Back in the month of the objects, before all of them, and just a little.
@pytest.mark.parametrize("back", [timedelta(days=31), timedelta(days=365), timedelta(seconds=90)])
def test_objects_are_ordered_by_their_own_time(back: timedelta) -> None:
    cpo = peer()
    cpo.put(SESSION, session(2))
    cpo.clock.time -= back
    cpo.put(SESSION, session(4))
    assert kept(cpo) == (4, at(4))
    assert cpo.put(SESSION, session(3)).message.startswith("Not stored")
    assert kept(cpo) == (4, at(4))
    cpo.clock.time -= back
    assert cpo.push("PATCH", SESSION, {"kwh": 5}).both == (200, 1000)
    # A change without a time of its own gets ours, but never goes back.
    assert kept(cpo) == (5, max(at(4), stamp(cpo.clock.time)))
    assert cpo.taken() == ["SessionReceived"] * 3


def test_a_replaced_token_works_on_and_its_grace_ends() -> None:
    cpo = peer()
    renewed = cpo.push("PUT", "credentials", credentials())
    assert renewed.both == (200, 1000)
    for days in (0, -10, -365):
        cpo.clock.time = NOW + timedelta(days=days)
        cpo.put(SESSION, session(1))
    cpo.clock.time = NOW + timedelta(hours=25)
    assert cpo.push("PUT", SESSION, session(2)).status == 401


def test_a_new_token_works_before_it_was_given_out() -> None:
    cpo = peer()
    new = f"Token {cpo.push('PUT', 'credentials', credentials()).data['token']}"
    cpo.clock.time -= timedelta(days=10)
    assert cpo.push("PUT", SESSION, session(1), authorization=new).both == (201, 1000)
    assert cpo.push("PUT", SESSION, session(2)).status == 401


def test_an_event_in_the_hand_of_a_dead_process_is_delivered() -> None:
    cpo, heard = peer(listen=False), list[Event]()

    @cpo.emsp.on(SessionReceived)
    def listener(event: Event) -> None:
        heard.append(event)
        if len(heard) == 1:
            raise Gone

    with pytest.raises(Gone):
        cpo.push("PUT", SESSION, session(1))
    assert cpo.emsp.redeliver() == 0
    # No lease lasts until then: it was set by a clock that has gone back.
    cpo.clock.time -= timedelta(days=1)
    cpo.put(SESSION, session(2))
    assert [event.session.kwh for event in heard if isinstance(event, SessionReceived)] == [1, 1, 2]
    assert list(cpo.emsp.events.list()) == []


def test_an_event_that_failed_waits_at_most_for_the_longest_wait() -> None:
    cpo, heard = peer(listen=False), list[Event]()

    @cpo.emsp.on(SessionReceived)
    def listener(event: Event) -> None:
        heard.append(event)
        if len(heard) < 3:
            raise ConnectionError("the billing system is down")

    assert cpo.push("PUT", SESSION, session(1)).both == (500, 3000)
    cpo.clock.time -= timedelta(minutes=30)
    assert cpo.emsp.redeliver() == 0
    assert len(heard) == 1
    cpo.clock.time -= cpo.emsp.limits.delivery.longest_wait
    assert cpo.emsp.redeliver() == 0
    assert len(heard) == 2
    cpo.clock.time += timedelta(minutes=1)
    assert cpo.emsp.redeliver() == 1
    assert list(cpo.emsp.events.list()) == []
