"""The rules of prefetch: it reads ahead and locks, and changes nothing of what is read or stored.

Rules of this module: a store without ``prefetch`` passes, since its records are then read one by one.
"""

from __future__ import annotations

import threading

from attrs import evolve

from ocpi_emsp.ports import AnyStore, Key, Kind, Record, Transaction, prefetch
from ocpi_emsp.testing.contract.tools import LOCATION, SECONDS, ContractTools, Work, evse, ids, record, session

_MANY = 70
"""More than a store may request at once."""
_NEW = LOCATION._replace(id="NEW")


class PrefetchRules(ContractTools):
    """Many records at once."""

    def test_what_is_prefetched_reads_as_it_is_stored(self, store: AnyStore) -> None:
        sessions = [session(f"S{number:02}", number) for number in range(_MANY)]
        others = [session("S00", 1000, "DE", "ABC"), record(), record(Key(Kind.CDR, "NL", "TNM", "C1"))]
        self.put(store, *sessions, *others)
        stored = [self.got(store, each.key) for each in (*sessions, *others)]
        keys = [each.key for each in stored]
        missing = [
            session("none").key,
            _NEW,
            Key(Kind.CDR, "NL", "TNM", "C2"),
            Key(Kind.TOKEN, "NL", "TNM", "T", "RFID"),
        ]

        async def work(tx: Transaction) -> None:
            await prefetch(tx, [])
            await prefetch(tx, [*missing[:2], *keys[:2], *keys, *missing])
            found = [await tx.get(key) for key in keys]
            assert found == stored
            numbers = [(each.sequence, each.revision, each.correlation_id) for each in found if each is not None]
            assert numbers == [(each.sequence, each.revision, each.correlation_id) for each in stored]
            assert [await tx.get(key) for key in missing] == [None] * len(missing)
            assert await tx.get(sessions[0].key._replace(country_code="nl", party_id="tnm")) == sessions[0]

        self.run(store, work)
        self.run(store, work, read_only=True)

    def test_the_evses_of_prefetched_locations_are_read_with_them(self, store: AnyStore) -> None:
        other = LOCATION._replace(id="LOC2")
        self.put(store, record(), record(other), evse("E2"), evse("E1"), evse("E1", other))

        async def work(tx: Transaction) -> None:
            await prefetch(tx, [LOCATION, other, _NEW], children=True)
            assert ids(await tx.children(LOCATION)) == ["E2", "E1"]
            assert await tx.children(other) == [evse("E1", other)]
            assert await tx.children(_NEW) == []
            assert await tx.get(evse("E1").key) == evse("E1")

        self.run(store, work)
        self.run(store, work, read_only=True)

    def test_what_is_put_after_it_is_seen(self, store: AnyStore) -> None:
        self.put(store, record(), evse("E1"), evse("E2"), session("S1"))
        changed = [record(document=b'"new"'), record(evse("E2").key, b'"new"')]

        async def work(tx: Transaction) -> None:
            await prefetch(tx, [LOCATION, _NEW, session("S1").key], children=True)
            for each in (*changed, evse("E3"), record(_NEW), evse("E1", _NEW)):
                await tx.put(each)
            assert [await tx.get(each.key) for each in changed] == changed
            assert await tx.children(LOCATION) == [evse("E1"), changed[1], evse("E3")]
            assert (await tx.get(_NEW), await tx.children(_NEW)) == (record(_NEW), [evse("E1", _NEW)])
            await tx.delete(evse("E1").key)
            assert await tx.children(LOCATION) == [changed[1], evse("E3")]
            again = evolve(changed[1], document=b'"newer"')
            await tx.put(again)
            await tx.delete(session("S1").key)
            assert (await tx.get(again.key), await tx.get(session("S1").key)) == (again, None)
            await tx.delete(LOCATION)
            assert (await tx.get(LOCATION), await tx.get(again.key), await tx.children(LOCATION)) == (None, None, [])
            await prefetch(tx, [LOCATION, _NEW, session("S1").key], children=True)
            assert (await tx.get(LOCATION), await tx.get(session("S1").key)) == (None, None)
            assert await tx.children(_NEW) == [evse("E1", _NEW)]

        self.run(store, work)
        assert self.children(store, _NEW) == ["E1"]
        assert self.get(store, LOCATION) is None

    def test_transactions_that_prefetch_the_same_run_in_sequence(self, store: AnyStore) -> None:
        threads, rounds = 4, 5
        self.put(store, session("there", 0))
        start = threading.Barrier(threads)

        def keys(number: int) -> list[Key]:
            return [session(name).key for name in (f"new {number}", "there", f"also new {number}")]

        def increment(wanted: list[Key]) -> Work:
            async def work(tx: Transaction) -> None:
                await prefetch(tx, wanted)
                for key in wanted:
                    await tx.put(_incremented(key, await tx.get(key)))

            return work

        def worker(place: int) -> None:
            for number in range(rounds):
                start.wait(SECONDS)
                self.run(store, increment(keys(number)[:: 1 if place % 2 else -1]))

        self.concurrently(*[lambda place=place: worker(place) for place in range(threads)])
        for number in range(rounds):
            new, _, also_new = (int(self.got(store, key).document) for key in keys(number))
            assert (new, also_new) == (threads, threads)
        assert int(self.got(store, session("there").key).document.replace(b"{}", b"0")) == threads * rounds


def _incremented(key: Key, found: Record | None) -> Record:
    number = int(found.document) if found is not None and found.document != b"{}" else 0
    return record(key, b"%d" % (number + 1))
