"""In which order commands, sessions and reservations are locked, by whatever changes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from attrs import field, frozen

from flows.commands_desk import E1, E2, PARTY, desk
from ocpi_emsp import PartyId
from ocpi_emsp.ports import DEADLINE, NAMED_START, START, START_PLACE, Entry, Key, Kind, Record, Transaction
from ocpi_emsp.resources import ReservationState
from ocpi_emsp.storage import MemoryStore
from our_emsp import NOW

HOUR = timedelta(hours=1)


@frozen
class Watched:
    """A transaction whose locks are noted, in their order."""

    tx: Transaction
    locked: list[str] = field(factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tx, name)

    async def get(self, key: Key) -> Record | None:
        self.locked.append(key.kind)
        return await self.tx.get(key)

    async def entries(self, topic: str, *args: Any, **options: Any) -> Sequence[Entry]:
        found = await self.tx.entries(topic, *args, **options)
        self.locked.extend(map(_label, found))
        return found

    async def entry(self, entry_id: str) -> Entry | None:
        found = await self.tx.entry(entry_id)
        self.locked.extend([_label(found)] if found else [])
        return found

    async def settle(self, entry_id: str) -> None:
        await self.entry(entry_id)
        await self.tx.settle(entry_id)


def _label(entry: Entry) -> str:
    """The topic; a deadline with what it is of."""
    return (
        entry.topic if entry.topic != DEADLINE else _OF_RESERVATION if entry.name == Kind.RESERVATION else _OF_COMMAND
    )


_OF_COMMAND, _OF_RESERVATION = "deadline of a command", "deadline of a reservation"
STARTS_IN_ORDER = [START, START_PLACE, NAMED_START]
ORDER = [Kind.SESSION, *STARTS_IN_ORDER, Kind.COMMAND, _OF_COMMAND, Kind.RESERVATION, _OF_RESERVATION]


class WatchedStore:
    """A store in memory that notes what each transaction locks."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.transactions: list[list[str]] = []

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[Any]:
        async with self.store.transaction(read_only=read_only) as tx:
            if read_only:
                yield tx
                return
            watched = Watched(tx)
            self.transactions.append(watched.locked)
            yield watched


def test_every_transaction_locks_in_one_order() -> None:
    """PostgreSQL ends one of two transactions that wait for each other; in one order, none ever does."""
    store = WatchedStore()
    made = desk(store=store)
    made.result(made.reserve(1, evse_uid=E1))
    made.result(made.reserve(2, until=NOW + 2 * HOUR))
    made.result(made.reserve(2, until=NOW + 3 * HOUR))
    sent = [made.start(E1), made.start(E2), made.start()]
    made.result(sent[0])
    made.result(sent[1], "REJECTED")
    made.session("SES1")
    made.answers.lists["sessions"] += [made.began(f"SES{number}", evse_uid=E2) for number in (2, 3)]
    named = [made.start(authorization_id=f"A-{number}") for number in range(4)]
    made.cpo.put("sessions/*/SES4", {**made.began("SES4"), "authorization_id": "A-0"})
    made.session("SES5")
    made.answers.lists["sessions"] += [{**made.began("SES6"), "authorization_id": "a-2"}, made.began("SES7")]
    made.cpo.emsp.partner(PartyId(*PARTY)).sync(modules=["sessions"])
    linked = [made.linked(each) for each in named]
    assert (linked[0], None in linked) == ("SES4", False)
    made.pass_time(hours=2)
    made.pass_time(days=3)
    assert {each.state for each in made.cpo.emsp.reservations.list()} == {ReservationState.USED}
    for locked in store.transactions:
        places = [locked.index(kind) for kind in ORDER if kind in locked]
        assert places == sorted(places), locked
    pulls = [locked for locked in store.transactions if locked.count(Kind.SESSION) > 1]
    assert pulls
    for locked in pulls:
        last_session = max(place for place, kind in enumerate(locked) if kind == Kind.SESSION)
        assert last_session < locked.index(START)
