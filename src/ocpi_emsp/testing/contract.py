"""What every store does, as tests: subclass :class:`StoreContract`, give the fixture ``store``, and run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self) -> MyStore:
            return MyStore(...)          # an empty Store or BlockingStore, a new one for every test

Each test is one rule of :class:`ocpi_emsp.ports.Transaction`; its name says which. For pytest's detailed failures, a
conftest.py calls ``pytest.register_assert_rewrite("ocpi_emsp.testing.contract")`` before the import. A store that is
bound to one event loop overrides :meth:`StoreContract.concurrently`, which runs each scenario in a thread and a loop of
its own.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeAlias

import anyio
import pytest
from attrs import evolve

from ocpi_emsp._bridge import in_place, lift_store
from ocpi_emsp.ports import EVENT, REJECTION, AnyStore, Entry, Key, Kind, Page, Query, Record, Transaction

Work: TypeAlias = Callable[[Transaction], Awaitable[Any]]

BASE = datetime(2024, 1, 1, tzinfo=UTC)
LOCATION = Key(Kind.LOCATION, "NL", "TNM", "LOC1")
_PATIENCE = 0.2
"""Seconds that a transaction leaves another one time to see what it must not see."""


class Undo(Exception):
    """Ends a transaction that shall leave nothing."""


def record(key: Key = LOCATION, document: bytes = b"{}", minute: float = 0) -> Record:
    """A record, last updated so many minutes after BASE."""
    moment = BASE + timedelta(minutes=minute)
    return Record(key, document, moment, moment + timedelta(seconds=1.5))


def session(session_id: str, minute: float = 0, country_code: str = "NL", party_id: str = "TNM") -> Record:
    """A session's record."""
    return record(Key(Kind.SESSION, country_code, party_id, session_id), minute=minute)


def evse(uid: str, location: Key = LOCATION, document: bytes = b"{}") -> Record:
    """An EVSE's record."""
    return record(Key(Kind.EVSE, location.country_code, location.party_id, uid, location.id), document)


def entry(entry_id: str, topic: str = EVENT, key: Key | None = LOCATION, **values: Any) -> Entry:
    """An entry of the journal."""
    return Entry(id=entry_id, topic=topic, name="LocationReceived", key=key, at=BASE, **values)


def ids(records: Iterable[Record]) -> list[str]:
    """The ids of records, in order."""
    return [each.key.id for each in records]


class StoreContract:
    """The tests. ``store`` is empty at the start of each."""

    increments: ClassVar[int] = 25
    """How often each of eight threads changes one record."""

    @pytest.fixture
    def store(self) -> AnyStore:
        """The store to be tested."""
        raise NotImplementedError("give the fixture `store`")

    # --- tools --------------------------------------------------------------------------------------------------

    def run(self, store: AnyStore, *works: Work) -> Any:
        """Do each piece of work in a transaction of its own; the result of the last."""

        async def scenario() -> Any:
            result = None
            for work in works:
                async with lift_store(store, in_place).transaction() as tx:
                    result = await work(tx)
            return result

        return anyio.run(scenario)

    def concurrently(self, *scenarios: Callable[[], object]) -> None:
        """Do all of them at the same time; raises what one of them raises."""
        with ThreadPoolExecutor(len(scenarios)) as threads:
            for done in [threads.submit(scenario) for scenario in scenarios]:
                done.result()

    def put(self, store: AnyStore, *records: Record) -> None:
        """Store records, in one transaction."""

        async def work(tx: Transaction) -> None:
            for each in records:
                await tx.put(each)

        self.run(store, work)

    def append(self, store: AnyStore, *entries: Entry) -> None:
        """Journal entries, in one transaction."""

        async def work(tx: Transaction) -> None:
            for each in entries:
                await tx.append(each)

        self.run(store, work)

    def get(self, store: AnyStore, key: Key) -> Record | None:
        """A record, read in a transaction of its own."""
        found: Record | None = self.run(store, lambda tx: tx.get(key))
        return found

    def children(self, store: AnyStore, location: Key = LOCATION) -> list[str]:
        """The EVSEs of a location, read in a transaction of its own."""
        return ids(self.run(store, lambda tx: tx.children(location)))

    def page(self, store: AnyStore, **query: Any) -> tuple[list[str], int]:
        """Ids and total of a page of sessions, read in a transaction of its own."""
        page: Page = self.run(store, lambda tx: tx.page(Query(kind=Kind.SESSION, **query)))
        return ids(page.records), page.total

    def journal(self, store: AnyStore, topic: str = EVENT, **selection: Any) -> list[Entry]:
        """Entries of the journal, read in a transaction of its own."""
        found: Sequence[Entry] = self.run(store, lambda tx: tx.entries(topic, **selection))
        return list(found)

    # --- get, put, delete ---------------------------------------------------------------------------------------

    def test_what_was_put_is_got(self, store: AnyStore) -> None:
        wanted = record(document=b'{ "id":"LOC1",\n "price" : 1.10}', minute=0.123456)
        self.put(store, wanted)
        found = self.get(store, LOCATION)
        assert found == wanted
        assert found is not None
        assert found.last_updated.utcoffset() == timedelta(0)
        assert found.received_at.utcoffset() == timedelta(0)

    def test_what_was_never_put_is_none(self, store: AnyStore) -> None:
        assert self.get(store, LOCATION) is None

    @pytest.mark.parametrize(
        "other",
        [
            LOCATION._replace(kind=Kind.TARIFF),
            LOCATION._replace(country_code="DE"),
            LOCATION._replace(party_id="ABC"),
            LOCATION._replace(id="LOC2"),
            LOCATION._replace(id="loc1"),
            LOCATION._replace(id="LOC1 "),
            LOCATION._replace(id="LÖC1"),
            LOCATION._replace(id=""),
            LOCATION._replace(parent="P"),
        ],
    )
    def test_keys_that_differ_in_any_part_are_two_records(self, store: AnyStore, other: Key) -> None:
        self.put(store, record(document=b"1"), record(other, b"2"))
        first, second = self.get(store, LOCATION), self.get(store, other)
        assert first is not None
        assert second is not None
        assert (first.document, second.document, second.key) == (b"1", b"2", other)

    def test_a_put_replaces(self, store: AnyStore) -> None:
        self.put(store, record(document=b"1", minute=5))
        self.put(store, record(document=b"2", minute=3))
        assert self.get(store, LOCATION) == record(document=b"2", minute=3)

    def test_what_was_deleted_is_gone(self, store: AnyStore) -> None:
        self.put(store, record(), session("S1"))
        self.run(store, lambda tx: tx.delete(LOCATION))
        assert self.get(store, LOCATION) is None
        assert self.page(store) == (["S1"], 1)

    def test_deleting_what_is_not_there_is_no_error(self, store: AnyStore) -> None:
        self.run(store, lambda tx: tx.delete(LOCATION), lambda tx: tx.delete(LOCATION))
        assert self.get(store, LOCATION) is None

    def test_what_was_deleted_can_be_put_again(self, store: AnyStore) -> None:
        self.put(store, record(document=b"1"))
        self.run(store, lambda tx: tx.delete(LOCATION))
        self.put(store, record(document=b"2"))
        assert self.get(store, LOCATION) == record(document=b"2")

    @pytest.mark.parametrize(
        "text", ["Ünïcödé", "日本語", "\U0001f50c", "a\u0301", "'; DROP TABLE", "%_\\", "\x7f", "A/B*C D"]
    )
    def test_text_of_any_kind_is_kept(self, store: AnyStore, text: str) -> None:
        key = Key(Kind.EVSE, "NL", "TNM", text, text)
        self.put(store, record(key, text.encode()))
        assert self.get(store, key) == record(key, text.encode())
        assert self.children(store, LOCATION._replace(id=text)) == [text]

    def test_a_document_of_a_megabyte_is_kept(self, store: AnyStore) -> None:
        document = b'{"vendor":"' + "é€𝄞".encode() * 120_000 + b'"}'
        assert len(document) > 1_000_000
        self.put(store, record(document=document))
        found = self.get(store, LOCATION)
        assert found is not None
        assert found.document == document

    # --- inside a transaction -----------------------------------------------------------------------------------

    def test_a_transaction_sees_its_own_changes(self, store: AnyStore) -> None:
        self.put(store, record(), session("S1"), session("S2"), evse("E1"), evse("E2"))
        self.append(store, entry("1"), entry("2"))

        async def work(tx: Transaction) -> None:
            await tx.put(record(document=b"new"))
            await tx.put(session("S3"))
            await tx.put(evse("E3"))
            await tx.delete(session("S1").key)
            await tx.delete(evse("E1").key)
            await tx.append(entry("3"))
            await tx.settle("1")
            assert await tx.get(LOCATION) == record(document=b"new")
            assert await tx.get(session("S1").key) is None
            page = await tx.page(Query(kind=Kind.SESSION))
            assert (ids(page.records), page.total) == (["S2", "S3"], 2)
            assert ids(await tx.children(LOCATION)) == ["E2", "E3"]
            assert [each.id for each in await tx.entries(EVENT)] == ["2", "3"]

        self.run(store, work)

    def test_a_transaction_that_raises_leaves_nothing(self, store: AnyStore) -> None:
        self.put(store, record(document=b"old"), session("S1"), evse("E1"))
        self.append(store, entry("1"), entry("2"))
        reason = Undo("anything")

        async def work(tx: Transaction) -> None:
            await tx.put(record(document=b"new"))
            await tx.put(session("S2"))
            await tx.put(evse("E2"))
            await tx.delete(session("S1").key)
            await tx.delete(evse("E1").key)
            await tx.append(entry("1", error="changed"))
            await tx.append(entry("3"))
            await tx.append(entry("4", REJECTION))
            await tx.settle("2")
            raise reason

        with pytest.raises(Undo) as caught:
            self.run(store, work)
        assert caught.value is reason
        assert self.get(store, LOCATION) == record(document=b"old")
        assert self.page(store) == (["S1"], 1)
        assert self.children(store) == ["E1"]
        assert self.journal(store) == [entry("1"), entry("2")]
        assert self.journal(store, REJECTION) == []

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

    # --- children -----------------------------------------------------------------------------------------------

    def test_children_are_the_evses_of_one_location_oldest_first(self, store: AnyStore) -> None:
        other_location, other_party = LOCATION._replace(id="LOC2"), LOCATION._replace(party_id="ABC")
        own = ["E3", "E1", "E2"]
        self.put(store, record(), *map(evse, own), evse("X", other_location), evse("Y", other_party))
        self.put(store, record(Key(Kind.TOKEN, "NL", "TNM", "T1", LOCATION.id)))
        assert self.children(store) == own
        assert self.children(store, other_location) == ["X"]
        assert self.children(store, other_party) == ["Y"]
        assert self.children(store, LOCATION._replace(id="LOC9")) == []

    def test_a_replaced_child_keeps_its_place(self, store: AnyStore) -> None:
        self.put(store, *map(evse, ["E1", "E2", "E3"]))
        self.put(store, evse("E1", document=b"new"))
        self.run(store, lambda tx: tx.delete(evse("E2").key))
        found: Sequence[Record] = self.run(store, lambda tx: tx.children(LOCATION))
        assert [(each.key.id, each.document) for each in found] == [("E1", b"new"), ("E3", b"{}")]

    # --- pages --------------------------------------------------------------------------------------------------

    def test_a_page_has_one_kind_oldest_first_and_the_total(self, store: AnyStore) -> None:
        self.put(store, session("S3", 1), record(), session("S1", 9), evse("E1"), session("S2", 5))
        assert self.page(store) == (["S3", "S1", "S2"], 3)
        assert self.page(store, limit=2) == (["S3", "S1"], 3)
        assert self.page(store, offset=1, limit=1) == (["S1"], 3)
        assert self.page(store, offset=2, limit=5) == (["S2"], 3)
        assert self.page(store, offset=3) == ([], 3)
        assert self.page(store, offset=99) == ([], 3)

    def test_a_page_of_nothing_is_empty(self, store: AnyStore) -> None:
        self.put(store, record())
        assert self.page(store) == ([], 0)

    def test_a_page_selects_by_owner(self, store: AnyStore) -> None:
        self.put(store, session("S1"), session("S2", 0, "DE"), session("S3", 0, "NL", "ABC"), session("S4"))
        assert self.page(store, country_code="NL", party_id="TNM") == (["S1", "S4"], 2)
        assert self.page(store, country_code="NL") == (["S1", "S3", "S4"], 3)
        assert self.page(store, party_id="TNM", limit=1) == (["S1"], 3)
        assert self.page(store, country_code="nl") == ([], 0)

    def test_a_page_selects_from_date_from_inclusive_to_date_to_exclusive(self, store: AnyStore) -> None:
        self.put(store, *(session(f"S{minute}", minute) for minute in range(5)))
        start, end = BASE + timedelta(minutes=1), BASE + timedelta(minutes=3)
        assert self.page(store, date_from=start) == (["S1", "S2", "S3", "S4"], 4)
        assert self.page(store, date_to=end) == (["S0", "S1", "S2"], 3)
        assert self.page(store, date_from=start, date_to=end) == (["S1", "S2"], 2)
        assert self.page(store, date_from=start, date_to=end, offset=1, limit=1) == (["S2"], 2)
        assert self.page(store, date_from=end, date_to=start) == ([], 0)

    def test_fractions_of_a_second_count(self, store: AnyStore) -> None:
        self.put(store, record(session("S1").key, minute=0.5 / 60))
        assert self.page(store, date_from=BASE + timedelta(seconds=0.5)) == (["S1"], 1)
        assert self.page(store, date_from=BASE + timedelta(seconds=0.500001)) == ([], 0)
        assert self.page(store, date_to=BASE + timedelta(seconds=0.5)) == ([], 0)

    def test_a_replaced_record_keeps_its_place(self, store: AnyStore) -> None:
        self.put(store, session("S1", 1), session("S2", 2), session("S3", 3))
        self.put(store, session("S1", 9))
        assert self.page(store) == (["S1", "S2", "S3"], 3)
        assert self.page(store, date_from=BASE + timedelta(minutes=3)) == (["S1", "S3"], 2)

    def test_pages_are_stable_while_records_are_added_and_changed(self, store: AnyStore) -> None:
        self.put(store, *(session(f"S{number}", number) for number in range(4)))
        assert self.page(store, limit=2) == (["S0", "S1"], 4)
        self.put(store, session("A", -5), session("S0", 99), session("S3", -9))
        assert self.page(store, offset=2, limit=2) == (["S2", "S3"], 5)
        assert self.page(store, offset=4, limit=2) == (["A"], 5)

    # --- journal ------------------------------------------------------------------------------------------------

    def test_an_entry_is_kept_as_it_was_appended(self, store: AnyStore) -> None:
        details = {
            "text": "Ü€\U0001f50c",
            "number": 1,
            "flag": True,
            "none": None,
            "list": [1, {"a": "b"}],
            "empty": {},
        }
        event = entry("1", body=b"\x00\xff not UTF-8", details=details, attempts=3, error="ValueError: x")
        rejection = entry("2", REJECTION, None, body=b"{" * 100_000)
        self.append(store, event, rejection)
        assert self.journal(store) == [event]
        assert self.journal(store, REJECTION) == [rejection]

    def test_entries_are_given_oldest_first_by_topic_and_key(self, store: AnyStore) -> None:
        child = evse("E1").key
        self.append(store, entry("c"), entry("a", key=child), entry("d", REJECTION, None))
        self.append(store, entry("b"), entry("e", REJECTION, None))
        assert [each.id for each in self.journal(store)] == ["c", "a", "b"]
        assert [each.id for each in self.journal(store, key=LOCATION)] == ["c", "b"]
        assert [each.key for each in self.journal(store, key=child)] == [child]
        assert [each.id for each in self.journal(store, REJECTION)] == ["d", "e"]
        assert [each.id for each in self.journal(store, limit=2)] == ["c", "a"]
        assert [each.id for each in self.journal(store, key=LOCATION, limit=1)] == ["c"]
        assert self.journal(store, key=session("S1").key) == []

    def test_an_entry_with_the_same_id_is_replaced_in_its_place(self, store: AnyStore) -> None:
        self.append(store, entry("1"), entry("2"))
        failed = evolve(entry("1"), attempts=1, error="ValueError: x")
        self.append(store, failed)
        assert self.journal(store) == [failed, entry("2")]

    def test_a_settled_entry_is_gone(self, store: AnyStore) -> None:
        self.append(store, entry("1"), entry("2"), entry("3", REJECTION, None))
        self.run(store, lambda tx: tx.settle("1"), lambda tx: tx.settle("3"), lambda tx: tx.settle("unknown"))
        assert self.journal(store) == [entry("2")]
        assert self.journal(store, REJECTION) == []

    def test_the_journal_outlives_its_object(self, store: AnyStore) -> None:
        self.put(store, record())
        self.append(store, entry("1"))
        self.run(store, lambda tx: tx.delete(LOCATION))
        assert self.journal(store, key=LOCATION) == [entry("1")]

    # --- several at once ----------------------------------------------------------------------------------------

    def test_transactions_that_change_one_record_lose_nothing(self, store: AnyStore) -> None:
        threads, times = 8, self.increments

        async def increment(tx: Transaction) -> None:
            found = await tx.get(LOCATION)
            assert found is not None
            await tx.put(record(document=b"%d" % (int(found.document) + 1)))

        self.put(store, record(document=b"0"))
        self.concurrently(*[lambda: self.run(store, *[increment] * times)] * threads)
        found = self.get(store, LOCATION)
        assert found is not None
        assert int(found.document) == threads * times

    def test_what_is_not_committed_is_seen_by_nobody(self, store: AnyStore) -> None:
        written, seen = threading.Event(), list[Record | None]()
        ended = threading.Event()

        async def change_and_undo(tx: Transaction) -> None:
            await tx.put(record(document=b"never"))
            await tx.put(session("never"))
            written.set()
            ended.wait(_PATIENCE)  # a reader that has to wait for us ends after us
            raise Undo

        def writer() -> None:
            with pytest.raises(Undo):
                self.run(store, change_and_undo)

        def reader() -> None:
            assert written.wait(30)
            seen.append(self.get(store, LOCATION))
            seen.append(self.get(store, session("never").key))
            ended.set()

        self.put(store, record(document=b"old"))
        self.concurrently(writer, reader)
        assert seen == [record(document=b"old"), None]

    def test_what_is_committed_is_seen_by_all(self, store: AnyStore) -> None:
        self.put(store, record())
        seen = list[Record | None]()
        self.concurrently(*[lambda: seen.append(self.get(store, LOCATION))] * 4)
        assert seen == [record()] * 4
