"""The rules of transactions: all or nothing, and one after the other if they conflict.

Rules of this module: what must not be visible is looked for while the other transaction is certainly open: it has set
an event, and waits for another one that the observer sets, or for ``pause_seconds``.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import msgspec
import pytest
from attrs import evolve

from ocpi_emsp.errors import InvalidObject, StoreFailed
from ocpi_emsp.ports import AUTHORIZATION, DEAD, EVENT, REJECTION, AnyStore, Kind, Query, Record, Transaction, prefetch
from ocpi_emsp.testing.contract.tools import (
    LOCATION,
    SECONDS,
    ContractTools,
    Undo,
    Work,
    entry,
    evse,
    ids,
    record,
    session,
    token,
)

THREADS = 8


class TransactionRules(ContractTools):
    """Several operations in a transaction, several transactions at once."""

    increments: ClassVar[int] = 25
    """How often each of eight threads changes one record."""

    # --- one at a time ------------------------------------------------------------------------------------------

    def test_a_transaction_sees_its_own_changes(self, store: AnyStore) -> None:
        self.put(store, record(), session("S1"), session("S2"), evse("E1"), evse("E2"))
        self.append(store, entry("1"), entry("2"))

        async def work(tx: Transaction) -> None:
            await tx.put(record(document=b'"new"'))
            await tx.put(session("S3"))
            await tx.put(evse("E3"))
            await tx.delete(session("S1").key)
            await tx.delete(evse("E1").key)
            await tx.append(entry("3"))
            await tx.settle("1")
            assert await tx.get(LOCATION) == record(document=b'"new"')
            assert await tx.get(session("S1").key) is None
            page = await tx.page(Query(kind=Kind.SESSION))
            assert (ids(page.records), page.total) == (["S2", "S3"], 2)
            assert ids(await tx.children(LOCATION)) == ["E2", "E3"]
            assert [each.id for each in await tx.entries(EVENT)] == ["2", "3"]

        self.run(store, work)

    def test_a_transaction_that_raises_leaves_nothing(self, store: AnyStore) -> None:
        self._prepare(store)
        reason = Undo("anything")

        async def work(tx: Transaction) -> None:
            await self._change_everything(tx)
            raise reason

        with pytest.raises(Undo) as caught:
            self.run(store, work)
        assert caught.value is reason
        self._assert_unchanged(store)

    def test_a_rollback_in_the_middle_leaves_nothing(self, store: AnyStore) -> None:
        self._prepare(store)

        async def work(tx: Transaction) -> None:
            for number in range(50):
                await tx.put(session(f"new {number}"))
                await tx.put(token(f"new {number}"))
                await tx.put(evse(f"new {number}"))
                await tx.append(entry(f"new {number}", key=evse(f"new {number}").key))
                if number == 25:  # read in between: a store that buffers writes must write now
                    assert (await tx.page(Query(kind=Kind.TOKEN))).total == 28
                    assert len(await tx.children(LOCATION)) == 27
            await self._change_everything(tx)
            await tx.put(evse("E9", LOCATION._replace(id="nowhere")))

        with pytest.raises(InvalidObject):
            self.run(store, work)
        self._assert_unchanged(store)

    def _prepare(self, store: AnyStore) -> None:
        self.put(store, record(document=b'"old"'), session("S1"), evse("E1"), token("T1"), token("T2"))
        self.append(store, entry("1"), entry("2"))

    @staticmethod
    async def _change_everything(tx: Transaction) -> None:
        await tx.put(record(document=b'"new"'))
        await tx.put(session("S2"))
        await tx.put(evse("E2"))
        await tx.delete(session("S1").key)
        await tx.delete(evse("E1").key)
        await tx.delete(token("T1").key)
        await tx.append(entry("1", DEAD[EVENT], error="changed"))
        await tx.append(entry("3"))
        await tx.append(entry("4", REJECTION))
        await tx.settle("2")
        await tx.delete(LOCATION)

    def _assert_unchanged(self, store: AnyStore) -> None:
        assert self.get(store, LOCATION) == record(document=b'"old"')
        assert self.got(store).revision == 1
        assert self.page(store) == (["S1"], 1)
        assert self.children(store) == ["E1"]
        assert self.page(store, Kind.TOKEN, country_code="IT", party_id="BEC") == (["T1", "T2"], 2)
        assert self.journal(store) == [entry("1"), entry("2")]
        assert self.journal(store, DEAD[EVENT]) == self.journal(store, REJECTION) == []

    def test_a_transaction_follows_one_that_raised(self, store: AnyStore) -> None:
        async def fail(tx: Transaction) -> None:
            await tx.get(LOCATION)
            raise Undo

        for _ in range(3):
            with pytest.raises(Undo):
                self.run(store, fail)
        self.put(store, record())
        assert self.get(store, LOCATION) == record()

    def test_an_empty_transaction_is_fine(self, store: AnyStore) -> None:
        async def nothing(tx: Transaction) -> None:
            assert tx is not None

        self.run(store, nothing, nothing)
        self.run(store, nothing, read_only=True)

    # --- read-only ----------------------------------------------------------------------------------------------

    def test_a_read_only_transaction_reads_everything(self, store: AnyStore) -> None:
        self._prepare(store)

        async def work(tx: Transaction) -> None:
            assert await tx.get(LOCATION) == record(document=b'"old"')
            assert ids(await tx.children(LOCATION)) == ["E1"]
            page = await tx.page(Query(kind=Kind.TOKEN, country_code="IT", party_id="BEC", offset=1))
            assert (ids(page.records), page.total) == (["T2"], 2)
            assert await tx.entries(EVENT) == [entry("1"), entry("2")]
            assert await tx.entry("2") == entry("2")

        self.run(store, work, work, read_only=True)

    @pytest.mark.parametrize("write", range(4), ids=["put", "delete", "append", "settle"])
    def test_a_read_only_transaction_cannot_write(self, store: AnyStore, write: int) -> None:
        self._prepare(store)
        writes: list[Work] = [
            lambda tx: tx.put(session("S2")),
            lambda tx: tx.delete(LOCATION),
            lambda tx: tx.append(entry("3")),
            lambda tx: tx.settle("1"),
        ]
        with pytest.raises(StoreFailed):
            self.run(store, writes[write], read_only=True)
        self._assert_unchanged(store)

    def test_a_reader_sees_what_is_committed_and_ends(self, store: AnyStore) -> None:
        written, read, ending = threading.Event(), threading.Event(), threading.Event()
        seen = list[tuple[bytes, bool]]()

        async def change(tx: Transaction) -> None:
            await tx.get(LOCATION)
            await tx.put(record(document=b'"new"'))
            written.set()
            await self.pause(read)
            ending.set()

        def reader() -> None:
            assert written.wait(SECONDS)
            found = self.run(store, lambda tx: tx.get(LOCATION), read_only=True)
            seen.append((found.document, ending.is_set()))
            read.set()

        self.put(store, record(document=b'"old"'))
        self.concurrently(lambda: self.run(store, change), reader)
        assert seen[0] in [(b'"old"', False), (b'"old"', True), (b'"new"', True)]
        assert self.got(store).document == b'"new"'

    # --- what is read, and recorded -----------------------------------------------------------------------------

    def test_what_is_read_can_be_recorded_at_once(self, store: AnyStore) -> None:
        self.put(store, record(), evse("E1"), evse("E2"), token("T1"))
        wanted = entry("1", AUTHORIZATION, None, details={"country_code": "NL", "party_id": "TNM", "list": ["E1"]})
        keys = [token("T1").key, LOCATION, evse("E1").key, session("S1").key]

        async def work(tx: Transaction) -> None:
            await prefetch(tx, keys)
            assert [await tx.get(key) for key in keys] == [token("T1"), record(), evse("E1"), None]
            assert ids(await tx.children(LOCATION)) == ["E1", "E2"]
            assert (await tx.page(Query(kind=Kind.TOKEN, id_in_any_case="t1"))).records == [token("T1")]
            await tx.append(wanted)

        async def fail(tx: Transaction) -> None:
            await tx.get(LOCATION)
            raise Undo

        if not self.recorded(store, work):
            pytest.skip("the store has no method recording: what is read and what is recorded are two transactions")
        assert self.journal(store, AUTHORIZATION) == [wanted]
        with pytest.raises(Undo):
            self.recorded(store, fail)
        assert self.recorded(store, lambda tx: tx.append(evolve(wanted, id="2")))
        assert [each.id for each in self.journal(store, AUTHORIZATION)] == ["1", "2"]

    def test_what_may_be_repeated_is_done_as_a_whole(self, store: AnyStore) -> None:
        async def work(tx: Transaction) -> None:
            await prefetch(tx, [session("S1").key, LOCATION], children=True)
            assert await tx.get(LOCATION) is None
            await tx.put(record())
            await tx.put(evse("E1"))

        async def fail(tx: Transaction) -> None:
            await tx.delete(LOCATION)
            await tx.append(entry("lost"))
            raise Undo

        self.repeated(store, work)
        assert self.got(store) == record()
        with pytest.raises(Undo):
            self.repeated(store, fail)
        assert ids(self.run(store, lambda tx: tx.children(LOCATION))) == ["E1"]
        self.repeated(store, lambda tx: tx.append(entry("kept")))
        assert [each.id for each in self.journal(store)] == ["kept"]

    # --- several at once ----------------------------------------------------------------------------------------

    def test_transactions_that_change_one_record_lose_nothing(self, store: AnyStore) -> None:
        async def increment(tx: Transaction) -> None:
            found = await tx.get(LOCATION)
            assert found is not None
            await tx.put(record(document=b"%d" % (int(found.document) + 1)))

        self.put(store, record(document=b"0"))
        self.concurrently(*[lambda: self.run(store, *[increment] * self.increments)] * THREADS)
        found = self.got(store)
        assert int(found.document) == THREADS * self.increments
        assert found.revision == THREADS * self.increments + 1

    def test_a_record_that_is_not_there_yet_is_locked_too(self, store: AnyStore) -> None:
        start, rounds = threading.Barrier(THREADS), 5

        def create(key_id: str, seen: list[bool]) -> Work:
            async def work(tx: Transaction) -> None:
                found = await tx.get(session(key_id).key)
                seen.append(found is None)
                members = msgspec.json.decode(found.document, type=list[int]) if found else []
                await tx.put(record(session(key_id).key, msgspec.json.encode([*members, len(members)])))

            return work

        def worker(seen: dict[str, list[bool]]) -> None:
            for key_id, those in seen.items():
                start.wait(SECONDS)
                self.run(store, create(key_id, those))

        seen: dict[str, list[bool]] = {f"S{number}": [] for number in range(rounds)}
        self.concurrently(*[lambda: worker(seen)] * THREADS)
        assert [those.count(True) for those in seen.values()] == [1] * rounds
        for key_id in seen:
            found = self.got(store, session(key_id).key)
            assert msgspec.json.decode(found.document) == list(range(THREADS))
            assert found.revision == THREADS
        assert self.records(store).total == rounds

    def test_one_that_raises_does_not_disturb_the_others(self, store: AnyStore) -> None:
        times = 5

        async def fail(tx: Transaction) -> None:
            await tx.put(record(document=b"-1"))
            await tx.put(session("never"))
            await tx.append(entry("never"))
            raise Undo

        async def count(tx: Transaction) -> None:
            found = await tx.get(LOCATION)
            number = int(found.document) + 1 if found else 1
            await tx.put(record(document=b"%d" % number))
            await tx.put(session(f"S{number}"))

        def failing() -> None:
            for _ in range(times):
                with pytest.raises(Undo):
                    self.run(store, fail)

        self.concurrently(*[failing, lambda: self.run(store, *[count] * times)] * (THREADS // 2))
        committed = times * THREADS // 2
        assert (int(self.got(store).document), self.got(store).revision) == (committed, committed)
        assert self.page(store) == ([f"S{number + 1}" for number in range(committed)], committed)
        assert self.journal(store) == []

    def test_what_is_not_committed_is_seen_by_nobody(self, store: AnyStore) -> None:
        written, ended = threading.Event(), threading.Event()
        seen = list[Any]()

        async def change_and_undo(tx: Transaction) -> None:
            await tx.put(record(document=b'"never"'))
            await tx.put(session("never"))
            await tx.append(entry("never"))
            written.set()
            await self.pause(ended)  # a reader that must wait for this transaction ends after it
            raise Undo

        def writer() -> None:
            with pytest.raises(Undo):
                self.run(store, change_and_undo)

        def reader() -> None:
            assert written.wait(SECONDS)
            for read_only in (True, False):
                seen.append(self.run(store, lambda tx: tx.get(LOCATION), read_only=read_only))
                seen.append(self.run(store, lambda tx: tx.get(session("never").key), read_only=read_only))
                seen.append(self.run(store, lambda tx: tx.entry("never"), read_only=read_only))
            ended.set()

        self.put(store, record(document=b'"old"'))
        self.concurrently(writer, reader)
        assert seen == [record(document=b'"old"'), None, None] * 2

    def test_what_is_committed_is_seen_by_all(self, store: AnyStore) -> None:
        self.put(store, record())
        seen = list[Record | None]()
        self.concurrently(*[lambda: seen.append(self.get(store, LOCATION))] * 4)
        assert seen == [record()] * 4
