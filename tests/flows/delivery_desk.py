"""Processes that deliver the events of one store: what the tests of delivery share."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, evolve, field

from flows.support import Peer, offline_emsp, peer
from flows.test_events import SESSION, Flaky, session
from ocpi_emsp import Limits
from ocpi_emsp._bridge import run
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.events import Event, SessionReceived
from ocpi_emsp.ports import Entry, Store, Transaction
from ocpi_emsp.storage import MemoryStore

LEASE = Limits().delivery.lease


def minutes(heard: list[Event]) -> list[int]:
    """Which of the session's changes were heard."""
    return [int(event.session.kwh) for event in heard if isinstance(event, SessionReceived)]


def journalled(cpo: Peer, *entries: Entry) -> None:
    """Write to the journal what no eMSP of this version would."""

    async def write() -> None:
        async with cpo.store.transaction() as tx:
            for entry in entries:
                await tx.append(entry)

    run(write())


def another(cpo: Peer, **settings: Any) -> Peer:
    """Another process on the same store, with listeners of its own."""
    return evolve(cpo, emsp=offline_emsp(clock=cpo.clock, store=cpo.store, **settings), events=[])


@define
class Watched:
    """A store that counts its transactions, and fails where ``breaks`` says so."""

    inner: Store
    breaks: Callable[[str, Any], None] = lambda _method, _argument: None
    begun: list[bool] = field(factory=list)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Transaction]:
        self.begun.append(read_only)
        self.breaks("transaction", read_only)
        async with self.inner.transaction(read_only=read_only) as tx:
            yield _Watched(tx, self.breaks)


class _Watched:
    def __init__(self, tx: Transaction, breaks: Callable[[str, Any], None]) -> None:
        self._tx = tx
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._tx, name)  # what the store is not able to do, this is not either

        def call(*args: Any, **named: Any) -> Any:
            self._breaks(name, args[0])
            return method(*args, **named)

        return call


AWAY = StoreFailed("the database is away")


def failing(times: int, error: Exception) -> tuple[Callable[[str, Any], None], list[int]]:
    """What makes a store fail so many times, once it is told to by setting the counter to 0."""
    done = [times]

    def breaks(method: str, _: Any) -> None:
        if method == "transaction" and done[0] < times:
            done[0] += 1
            raise error

    return breaks, done


def waiting_event(times: int, error: Exception = AWAY) -> tuple[Peer, Flaky]:
    """A party with an event that is due, and a store that fails so many times before it gives it."""
    breaks, done = failing(times, error)
    store: Any = Watched(MemoryStore(), breaks)
    cpo = peer(listen=False, store=store)
    listener = Flaky()
    cpo.emsp.on(SessionReceived)(listener)
    cpo.push("PUT", SESSION, session(1))
    listener.broken = False
    cpo.clock.advance(seconds=1)
    done[0] = 0
    return cpo, listener


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]
