"""The rules of pages: what is selected, in which order, and stability under changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from ocpi_emsp.ports import AnyStore, Documents, Key, Kind, Query, Record, Transaction, read_documents
from ocpi_emsp.testing.contract.tools import BASE, LOCATION, ContractTools, evse, ids, record, session, token


def received(record: Record, second: float) -> Record:
    """Return a record that was received that many seconds after BASE."""
    return evolve(record, received_at=BASE + timedelta(seconds=second))


def _joined(records: Sequence[Record], limit: int, total: int) -> Documents:
    """Return the documents of the first of these records."""
    given = records[:limit]
    last = given[-1].sequence if given else 0
    return Documents(b",".join(each.document for each in given), last, len(records) > limit, total)


class PageRules(ContractTools):
    """Records of one kind, page by page."""

    def test_the_documents_of_a_page_are_those_of_its_records(self, store: AnyStore) -> None:
        """A store that joins documents returns the same bytes, and says where they end and whether others follow."""
        documents = [f'{{"n": {number}, "text": "\u00fc,\\\\"}}'.encode() for number in range(4)]
        self.put(store, *(evolve(token(f"T{n}", minute=n), document=each) for n, each in enumerate(documents)))
        self.put(store, token("OTHER", party_id="ABC"))
        whole = Query(kind=Kind.TOKEN, country_code="it", party_id="BEC")
        window = evolve(whole, date_from=BASE + timedelta(minutes=1))

        async def compare(tx: Transaction) -> None:
            for query in (whole, window, evolve(window, date_to=BASE), evolve(whole, country_code="XX")):
                records = (await tx.page(query)).records
                for limit, offset in product((1, 2, 4, 5), (0, 2, 9)):
                    asked = evolve(query, limit=limit, offset=offset)
                    assert await read_documents(tx, asked) == _joined(records[offset:], limit, len(records))
                for number, each in enumerate(records):
                    asked = evolve(query, after=each.sequence, limit=2, count=False)
                    assert await read_documents(tx, asked) == _joined(records[number + 1 :], 2, 0)

        async def change(tx: Transaction) -> Documents:
            await tx.put(token("NEW", minute=9))
            return await read_documents(tx, evolve(window, limit=9))

        self.run(store, compare)
        assert self.run(store, change).joined == b",".join([*documents[1:], b"{}"]), "its own changes count"

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

    def test_a_total_that_nobody_wants_is_zero(self, store: AnyStore) -> None:
        self.put(store, session("S1"), session("S2"))
        assert self.page(store, limit=1, count=False) == (["S1"], 0)
        assert self.page(store, country_code="NL", party_id="TNM", offset=1, count=False) == (["S2"], 0)

    def test_a_page_selects_by_owner(self, store: AnyStore) -> None:
        self.put(store, session("S1"), session("S2", 0, "DE"), session("S3", 0, "NL", "ABC"), session("S4"))
        assert self.page(store, country_code="NL", party_id="TNM") == (["S1", "S4"], 2)
        assert self.page(store, country_code="NL") == (["S1", "S3", "S4"], 3)
        assert self.page(store, party_id="TNM", limit=1) == (["S1"], 3)
        assert self.page(store, country_code="nl", party_id="tnm") == (["S1", "S4"], 2)
        assert self.page(store, country_code="XX") == ([], 0)

    def test_a_page_selects_from_date_from_inclusive_to_date_to_exclusive(self, store: AnyStore) -> None:
        self.put(store, *(session(f"S{minute}", minute) for minute in range(5)))
        start, end = BASE + timedelta(minutes=1), BASE + timedelta(minutes=3)
        assert self.page(store, date_from=start) == (["S1", "S2", "S3", "S4"], 4)
        assert self.page(store, date_to=end) == (["S0", "S1", "S2"], 3)
        assert self.page(store, date_from=start, date_to=end) == (["S1", "S2"], 2)
        assert self.page(store, date_from=start, date_to=end, offset=1, limit=1) == (["S2"], 2)
        assert self.page(store, date_from=end, date_to=start) == ([], 0)

    def test_a_page_selects_from_received_from_inclusive_to_received_to_exclusive(self, store: AnyStore) -> None:
        self.put(store, *(received(session(f"S{9 - second}"), second) for second in range(5)))
        start, end = BASE + timedelta(seconds=1), BASE + timedelta(seconds=3)
        assert self.page(store, received_from=start) == (["S8", "S7", "S6", "S5"], 4)
        assert self.page(store, received_to=end) == (["S9", "S8", "S7"], 3)
        assert self.page(store, received_from=start, received_to=end) == (["S8", "S7"], 2)
        assert self.page(store, received_from=end, received_to=start) == ([], 0)
        just_after = start + timedelta(microseconds=1)
        assert self.page(store, received_from=just_after, received_to=end + timedelta(microseconds=1)) == (
            ["S7", "S6"],
            2,
        )
        self.put(store, received(session("S9"), 9))
        assert self.page(store, received_from=end) == (["S9", "S6", "S5"], 3)

    def test_what_was_received_is_selected_with_everything_else(self, store: AnyStore) -> None:
        names = [f"S{number}" for number in range(8)]
        self.put(store, *(received(session(name, number), -number) for number, name in enumerate(names)))
        self.put(store, received(session("X", 1, "DE"), 0), received(session("Y", 1, "NL", "ABC"), 0))
        query: dict[str, Any] = {"country_code": "nl", "party_id": "tnm", "received_from": BASE - timedelta(seconds=5)}
        assert self.page(store, **query) == (names[:6], 6)
        assert self.page(store, **query, limit=2, offset=3) == (names[3:5], 6)
        assert self.page(store, **query, limit=2, count=False) == (names[:2], 0)
        third = self.records(store).records[2].sequence
        assert self.page(store, **query, after=third, limit=2) == (names[3:5], 3)
        assert self.page(store, **query, after=third, offset=2, limit=2) == (names[5:6], 3)
        query["received_to"] = BASE
        assert self.page(store, **query, limit=3) == (names[1:4], 5)
        assert self.page(store, **query, after=third) == (names[3:6], 3)
        query["date_from"] = BASE + timedelta(minutes=2)
        assert self.page(store, **query, date_to=BASE + timedelta(minutes=4)) == (names[2:4], 2)
        assert self.page(store, received_from=BASE) == (["S0", "X", "Y"], 3)

    def test_tokens_are_selected_by_when_they_were_received(self, store: AnyStore) -> None:
        self.put(store, *(received(token(f"T{number}"), number % 3) for number in range(9)), token("X", 0, "DE"))
        query: dict[str, Any] = {"kind": Kind.TOKEN, "country_code": "IT", "party_id": "BEC"}
        latest = BASE + timedelta(seconds=2)
        assert self.page(store, **query, received_from=latest, offset=1, limit=5) == (["T5", "T8"], 3)
        assert self.page(store, **query, received_to=latest, offset=1, limit=2) == (["T1", "T3"], 6)

    def test_a_page_of_what_was_received_is_read_inside_a_transaction(self, store: AnyStore) -> None:
        self.put(store, *(received(session(f"S{number}"), number) for number in range(4)))

        async def work(tx: Transaction) -> list[str]:
            await tx.put(received(session("S0"), 9))
            await tx.put(received(session("S9"), 8))
            await tx.delete(session("S3").key)
            return ids((await tx.page(Query(kind=Kind.SESSION, received_from=BASE + timedelta(seconds=2)))).records)

        assert self.run(store, work) == ["S0", "S2", "S9"]

    def test_a_page_selects_by_id_whoever_owns_it(self, store: AnyStore) -> None:
        keys = [session("S1").key, session("s1").key, session("S1", 0, "DE").key, session("S1", 0, "FR").key]
        self.put(store, *map(record, keys))

        async def found(tx: Transaction, **query: Any) -> list[Key]:
            return [each.key for each in (await tx.page(Query(kind=Kind.SESSION, id="S1", **query))).records]

        assert self.run(store, found) == [keys[0], *keys[2:]]
        assert self.page(store, id="S1") == (["S1"] * 3, 3)
        assert self.page(store, id="S1", country_code="DE", party_id="TNM") == (["S1"], 1)
        assert self.page(store, id="S1", limit=1, offset=1, count=False) == (["S1"], 0)
        assert self.page(store, id="S2") == ([], 0)

        async def work(tx: Transaction) -> list[Key]:
            await tx.put(record(session("S1", 0, "BE").key))
            await tx.delete(keys[2])
            return await found(tx)

        assert self.run(store, work) == [keys[0], keys[3], session("S1", 0, "BE").key]
        assert self.run(store, found) == [keys[0], keys[3], session("S1", 0, "BE").key]

    def test_a_page_selects_by_id_in_any_case(self, store: AnyStore) -> None:
        other_type = record(Key(Kind.TOKEN, "IT", "BEC", "aBc", "OTHER"), minute=1)
        self.put(store, *map(token, ("ABC", "abc", "ab", "abcd", "a_c", "a%")), other_type, token("abc", 0, "DE"))
        owner: dict[str, Any] = {"kind": Kind.TOKEN, "country_code": "IT", "party_id": "BEC"}
        for spelled in ("abc", "ABC", "Abc"):
            assert self.page(store, **owner, id_in_any_case=spelled) == (["ABC", "abc", "aBc"], 3)
        assert self.page(store, **owner, id_in_any_case="A_C") == (["a_c"], 1)
        assert self.page(store, **owner, id_in_any_case="A%") == (["a%"], 1)
        assert self.page(store, **owner, id_in_any_case="x") == ([], 0)
        assert self.page(store, **owner, id_in_any_case="abc", limit=1, offset=1) == (["abc"], 3)
        assert self.page(store, **owner, id_in_any_case="abc", limit=2, count=False) == (["ABC", "abc"], 0)
        assert self.page(store, Kind.TOKEN, id_in_any_case="abc") == (["ABC", "abc", "aBc", "abc"], 4)
        assert self.page(store, **owner, id_in_any_case="ABC", date_from=other_type.last_updated) == (["aBc"], 1)

    def test_a_page_selects_what_held_at_a_moment(self, store: AnyStore) -> None:
        def held(tariff_id: str, start: int, end: int | None = None, owner: str = "NL") -> Record:
            kind, parent = (Kind.TARIFF, "") if end is None else (Kind.TARIFF_VERSION, f"{start}")
            until = None if end is None else BASE + timedelta(hours=end)
            updated = record(Key(kind, owner, "TNM", tariff_id, parent), minute=90)  # 01:30
            return evolve(updated, valid_from=BASE + timedelta(hours=start), valid_until=until)

        self.put(store, held("T2", 3), held("T1", 2), held("T3", 2, owner="DE"), record(held("T4", 0).key, minute=90))
        versions = [held("T1", 1, 2), held("T1", 0, 1), held("T2", 1, 3), held("T3", 0, 2, "DE"), held("T9", 0, 4)]
        self.put(store, *versions)
        expected = {
            -1: ([], []),
            0: ([], ["T1", "T3", "T9"]),
            1: ([], ["T1", "T2", "T3", "T9"]),
            2: (["T1", "T3", "T4"], ["T2", "T9"]),
            3: (["T2", "T1", "T3", "T4"], ["T9"]),
            4: (["T2", "T1", "T3", "T4"], []),
        }
        for hour, wanted in expected.items():
            moment = BASE + timedelta(hours=hour)
            for kind, names in zip((Kind.TARIFF, Kind.TARIFF_VERSION), wanted, strict=True):
                assert self.page(store, kind, at=moment) == (names, len(names))
                first = self.page(store, kind, at=moment, country_code="nl", party_id="tnm", limit=1, count=False)
                assert first == ([name for name in names if name != "T3"][:1], 0)
                assert self.page(store, kind, at=moment, id="T3")[0] == [name for name in names if name == "T3"]
        late: dict[str, Any] = {"kind": Kind.TARIFF_VERSION, "country_code": "NL", "party_id": "TNM"}
        late["at"] = BASE + timedelta(hours=1)
        (before, _) = self.records(store, **{**late, "limit": 2}).records
        assert self.page(store, **late, after=before.sequence) == (["T2", "T9"], 2)
        assert self.page(store, **{**late, "at": BASE + timedelta(minutes=59, seconds=59.999999)}) == (["T1", "T9"], 2)
        assert [each.valid_until for each in self.records(store, **late, id="T1").records] == [versions[0].valid_until]

        async def work(tx: Transaction) -> list[str]:
            await tx.delete(versions[0].key)
            await tx.put(held("T5", 1, 2))
            return ids((await tx.page(Query(**late))).records)

        assert self.run(store, work) == ["T2", "T9", "T5"] == self.page(store, **late)[0]

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

    def test_a_page_goes_on_after_a_record(self, store: AnyStore) -> None:
        self.put(store, session("S1", 1), session("S2", 9, "DE"), session("S3", 5), session("S4", 2))
        first = self.records(store, limit=1).records[0]
        assert self.page(store, after=first.sequence) == (["S2", "S3", "S4"], 3)
        assert self.page(store, after=first.sequence, limit=1, offset=1) == (["S3"], 3)
        assert self.page(store, after=first.sequence, country_code="NL", party_id="TNM") == (["S3", "S4"], 2)
        late = BASE + timedelta(minutes=3)
        assert self.page(store, after=first.sequence, date_from=late, count=False) == (["S2", "S3"], 0)
        assert self.page(store, after=first.sequence, date_from=BASE) == (["S2", "S3", "S4"], 3)
        assert self.page(store, after=self.records(store).records[-1].sequence) == ([], 0)

    def test_reading_on_gives_everything_once_while_records_change(self, store: AnyStore) -> None:
        self.put(store, *(session(f"S{number}", number) for number in range(10)))
        seen, after = list[str](), 0
        while page := self.records(store, after=after, limit=3, count=False).records:
            seen += ids(page)
            assert len(seen) < 20, "it does not end"
            after = page[-1].sequence
            if len(seen) == 3:  # records change and are deleted, read ones and unread ones, and one is added
                self.put(store, session("S1", 99), session("S7", -99), session("new"))
                self.run(store, lambda tx: tx.delete(session("S0").key))
        assert seen == [*(f"S{number}" for number in range(10)), "new"]

    def test_tokens_of_an_owner_are_paged_at_any_offset(self, store: AnyStore) -> None:
        names = [f"T{number}" for number in range(12)]
        self.put(
            store, *map(token, names[:6]), token("X", country_code="DE"), *map(token, names[6:]), token("Y", 0, "DE")
        )
        owner = {"kind": Kind.TOKEN, "country_code": "IT", "party_id": "BEC"}
        for offset in (0, 1, 5, 11, 12, 99):
            assert self.page(store, **owner, offset=offset, limit=4) == (names[offset : offset + 4], 12)
        assert self.page(store, Kind.TOKEN, country_code="DE", party_id="BEC") == (["X", "Y"], 2)
        assert self.page(store, Kind.TOKEN, offset=5, limit=3) == (["T5", "X", "T6"], 14)

    @pytest.mark.parametrize("gone", [["T0"], ["T5"], ["T3", "T4"], ["T5", "T0", "T2"]])
    def test_pages_have_no_gap_where_tokens_were_deleted(self, store: AnyStore, gone: list[str]) -> None:
        names = [f"T{number}" for number in range(6)]
        self.put(store, *map(token, names), token("X", country_code="DE"))
        owner: dict[str, Any] = {"country_code": "IT", "party_id": "BEC"}

        async def work(tx: Transaction) -> None:
            for name in gone:
                await tx.delete(token(name).key)
            inside = await tx.page(Query(kind=Kind.TOKEN, offset=1, limit=2, **owner))
            assert (ids(inside.records), inside.total) == (left[1:3], len(left))

        left = [name for name in names if name not in gone]
        self.run(store, work)
        self.put(store, token("new"), token(left[0], 5))
        left.append("new")
        for offset in range(len(left) + 1):
            found = self.page(store, Kind.TOKEN, offset=offset, limit=2, **owner)
            assert found == (left[offset : offset + 2], len(left))
        assert self.page(store, Kind.TOKEN, country_code="DE") == (["X"], 1)

    def test_a_page_is_read_inside_a_transaction_as_it_would_be_after_it(self, store: AnyStore) -> None:
        self.put(store, *(session(f"S{number}") for number in range(4)), record(LOCATION))

        async def work(tx: Transaction) -> tuple[list[str], int]:
            await tx.put(session("S4"))
            await tx.delete(session("S1").key)
            await tx.put(session("S2", 50))
            page = await tx.page(Query(kind=Kind.SESSION, offset=1, limit=2))
            return ids(page.records), page.total

        assert self.run(store, work) == (["S2", "S3"], 4) == self.page(store, offset=1, limit=2)
