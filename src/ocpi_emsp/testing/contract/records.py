"""The rules of get, put, delete and children.

Rules of this module: a document is stored byte for byte or rejected with InvalidObject; it is never altered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.ports import AnyStore, Key, Kind, Query, Record, Transaction
from ocpi_emsp.testing.contract.tools import BASE, LOCATION, ContractTools, evse, ids, pushed, record, session

_PARTY = (
    b'{"country_code":"NL","party_id":"TNM","state":"REGISTERED","issued":[{"sha256":"ab","issued_at":'
    b'"2024-01-01T00:00:00Z"}],"token":"a secret","versions_url":"https://tnm.test/versions",'
    b'"endpoints":[{"identifier":"locations","url":"https://tnm.test/locations"}]}'
)
_KINDS: Mapping[str, tuple[Key, bytes]] = {
    Kind.PARTY: (Key(Kind.PARTY, "NL", "TNM", ""), _PARTY),
    Kind.CREDENTIAL: (Key(Kind.CREDENTIAL, "", "", "ab" * 32), b'["NL","TNM"]'),
    Kind.LOCATION: (LOCATION, b'{"id":"LOC1"}'),
    Kind.EVSE: (evse("E1").key, b'{"uid":"E1","status":"AVAILABLE"}'),
    Kind.SESSION: (session("S1").key, b'{"id":"S1","kwh":0.1}'),
    Kind.TARIFF: (Key(Kind.TARIFF, "NL", "TNM", "T1"), b'{"id":"T1","currency":"EUR"}'),
    Kind.TARIFF_VERSION: (Key(Kind.TARIFF_VERSION, "NL", "TNM", "T1", "2024 ab"), b'{"id":"T1","currency":"EUR"}'),
    Kind.CDR: (Key(Kind.CDR, "NL", "TNM", "CDR1"), b'{"id":"CDR1","total_cost":10.50}'),
    Kind.CDR_CONFLICT: (Key(Kind.CDR_CONFLICT, "NL", "TNM", "CDR1", "cd" * 16), b'{"id":"cdr1"}'),
    Kind.TOKEN: (Key(Kind.TOKEN, "IT", "BEC", "012345678", "RFID"), b'{"uid":"012345678"}'),
    Kind.COMMAND: (Key(Kind.COMMAND, "NL", "TNM", "x_Y-1"), b'{"command":"START_SESSION"}'),
    Kind.CHECKPOINT: (Key(Kind.CHECKPOINT, "NL", "TNM", "locations"), b'{"offset":100}'),
    Kind.PUSHED: (pushed("012345678").key, b'{"valid":true}'),
    Kind.RESERVATION: (Key(Kind.RESERVATION, "NL", "TNM", "7", "LOC1"), b'{"reservation_id":7}'),
    Kind.AUDIT: (Key(Kind.AUDIT, "NL", "TNM", "CDR1"), b'{"cdr":"CDR1","verdict":"right"}'),
}
"""A record of each kind."""
each_kind = pytest.mark.parametrize("kind", _KINDS)

_EXTREME = [
    b'{"price":1e-400}',
    b'{"price":1e400}',
    b'{"price":-0.0,"other":0E+3}',
    b'{"text":"\\u0000"}',
    b'{"text":"\\ud800"}',
    b'{"text":"\xf4\x8f\xbf\xbf\xef\xbf\xbf\\/"}',
    b'{"twice":1,"twice":2}',
    b'{"":' + b"[" * 200 + b"]" * 200 + b"}",
    b' {\r\n\t"id" : null } ',
    b"null",
    b'"text"',
    b'{"number":' + b"9" * 5000 + b"}",
]
_HARD_IDS = [
    "",
    " ",
    "a\x00b",
    "\x00",
    "\ud800",
    "a\udfffb",
    "X" * 10_000,
    "\U0010ffff",
    "é" * 3000,
    "\n\r\t",
    "'\"`\\",
]


class RecordRules(ContractTools):
    """One record at a time."""

    # --- get, put, delete ---------------------------------------------------------------------------------------

    def test_what_was_put_is_got(self, store: AnyStore) -> None:
        wanted = record(document=b'{ "id":"LOC1",\n "price" : 1.10}', minute=0.123456)
        self.put(store, wanted)
        found = self.got(store)
        assert found == wanted
        assert found.last_updated.utcoffset() == timedelta(0)
        assert found.received_at.utcoffset() == timedelta(0)

    def test_what_was_never_put_is_none(self, store: AnyStore) -> None:
        assert self.get(store, LOCATION) is None

    @each_kind
    def test_every_kind_is_kept_listed_and_deleted(self, store: AnyStore, kind: str) -> None:
        key, document = _KINDS[kind]
        others = [record(*other) for name, other in _KINDS.items() if name != kind]
        first, second = record(key, document), record(key._replace(id=key.id + "2"), document, 1)
        self.put(store, *others, first, second)
        assert self.get(store, key) == first
        page = self.records(store, kind)
        assert (list(page.records), page.total) == ([first, second], 2)
        changed = evolve(first, document=document + b"\n", last_updated=second.last_updated)
        self.put(store, changed)
        assert list(self.records(store, kind).records) == [changed, second]
        self.run(store, lambda tx: tx.delete(key))
        assert self.get(store, key) is None
        assert self.page(store, kind) == ([second.key.id], 1)
        for other in others:
            with_location = kind != Kind.LOCATION or other.key.kind != Kind.EVSE
            assert self.get(store, other.key) == (other if with_location else None)

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
        ],
    )
    def test_keys_that_differ_in_any_part_are_two_records(self, store: AnyStore, other: Key) -> None:
        self.put(store, record(document=b"1"), record(other, b"2"))
        assert (self.got(store).document, self.got(store, other).document) == (b"1", b"2")
        assert self.got(store, other).key == other

    @pytest.mark.parametrize(
        "kind",
        [Kind.EVSE, Kind.TOKEN, Kind.CDR_CONFLICT, Kind.TARIFF_VERSION, Kind.PUSHED, Kind.RESERVATION],
    )
    def test_keys_that_differ_in_their_parent_are_two_records(self, store: AnyStore, kind: str) -> None:
        keys = [Key(kind, "NL", "TNM", "X", parent) for parent in ("P", "p")]
        self.put(store, *(record(LOCATION._replace(id=key.parent)) for key in keys))
        self.put(store, *(record(key, b"%d" % number) for number, key in enumerate(keys)))
        assert [self.got(store, key).document for key in keys] == [b"0", b"1"]
        self.run(store, lambda tx: tx.delete(keys[0]))
        assert [self.get(store, key) for key in keys] == [None, record(keys[1], b"1")]

    def test_what_a_party_has_of_a_token_is_kept_by_uid_and_type(self, store: AnyStore) -> None:
        own = [pushed("T1", document=b"1"), pushed("T1", "OTHER", b"2"), pushed("T2", document=b"3")]
        other = pushed("T1", document=b"4", party_id="ABC")
        token = record(Key(Kind.TOKEN, "NL", "TNM", "T1", "RFID"), b"5")
        self.put(store, *own, other, token)
        for each in (*own, other, token):
            assert self.get(store, each.key) == each
        self.put(store, evolve(own[0], document=b"6"))
        self.run(store, lambda tx: tx.delete(own[1].key))
        found = self.records(store, Kind.PUSHED, country_code="NL", party_id="TNM")
        assert [(each.key, each.document) for each in found.records] == [(own[0].key, b"6"), (own[2].key, b"3")]
        assert self.records(store, Kind.PUSHED).total == 3

    @each_kind
    def test_what_is_missing_is_so_until_it_is_put_again(self, store: AnyStore, kind: str) -> None:
        key, document = _KINDS[kind]
        listed = record(key, document)
        self.put(store, record(), listed)
        assert self.missing(store, key) == (None, 0)
        since = BASE + timedelta(days=1, microseconds=123_457)
        for missed in (1, 2):
            self.put(store, evolve(self.got(store, key), missing_since=since, missed=missed))
            assert self.missing(store, key) == (since, missed)
        assert self.got(store, key) == listed
        again = evolve(listed, received_at=listed.received_at + timedelta(days=2))
        self.put(store, again)
        assert self.got(store, key) == again
        assert self.missing(store, key) == (None, 0)

    @pytest.mark.parametrize("key", [evse("E1").key, LOCATION], ids=["evse", "location"])
    def test_what_is_missing_is_so_with_a_new_document_too(self, store: AnyStore, key: Key) -> None:
        self.put(store, record(), evse("E1"))
        since = BASE + timedelta(minutes=1)

        async def change(tx: Transaction) -> None:
            old = await tx.get(key)
            assert old is not None
            await tx.put(evolve(old, document=b"1", missing_since=since, missed=5))
            inside = await tx.get(key)
            assert inside is not None
            assert (inside.missing_since, inside.missed) == (since, 5)

        self.run(store, change)
        assert self.missing(store, key) == (since, 5)
        self.put(store, record(key, b"2"))
        assert self.missing(store, key) == (None, 0)

    def test_children_and_pages_say_what_is_missing(self, store: AnyStore) -> None:
        since = BASE + timedelta(hours=1)
        lost = evolve(evse("E2"), missing_since=since, missed=3)
        self.put(store, record(), evse("E1"), lost)
        for found in self.found_in_lists(store):
            assert [(each.missing_since, each.missed) for each in found] == [(None, 0), (since, 3)]
            given = found[1].missing_since
            assert given is not None
            assert given.utcoffset() == timedelta(0)

    def test_when_a_tariff_and_its_versions_hold_is_kept(self, store: AnyStore) -> None:
        moments = [BASE + timedelta(days=day, microseconds=day) for day in range(4)]
        tariff, version = (
            evolve(record(*_KINDS[kind]), valid_from=moments[1], first_received_at=moments[2], valid_until=until)
            for kind, until in ((Kind.TARIFF, None), (Kind.TARIFF_VERSION, moments[3]))
        )
        self.put(store, record(*_KINDS[Kind.TARIFF]), record(*_KINDS[Kind.TARIFF_VERSION]))
        for each in (tariff, version):
            assert self.got(store, each.key) != each
            changed = evolve(each, document=b"{}", valid_from=moments[0])
            for wanted in (each, changed, evolve(changed, first_received_at=None)):  # other times, and other documents
                self.put(store, wanted)
                assert self.got(store, each.key) == wanted
                assert list(self.records(store, each.key.kind).records) == [wanted]
            given = self.got(store, each.key).valid_from
            assert given is not None
            assert given.utcoffset() == timedelta(0)

    @each_kind
    def test_what_a_change_came_under_is_kept_with_it(self, store: AnyStore, kind: str) -> None:
        key, document = _KINDS[kind]
        self.put(store, record(), evolve(record(key, document), correlation_id="first Ü"))
        assert self.got(store, key).correlation_id == "first Ü"
        self.put(store, evolve(self.got(store, key), correlation_id="second"))
        assert self.got(store, key).correlation_id == "second"

        async def change(tx: Transaction) -> None:
            old = await tx.get(key)
            assert old is not None
            assert old.correlation_id == "second"
            await tx.put(evolve(old, document=document + b" ", correlation_id="third"))
            inside = await tx.get(key)
            assert inside is not None
            assert inside.correlation_id == "third"

        self.run(store, change)
        assert self.got(store, key).correlation_id == "third"
        self.put(store, record(key, document))
        assert self.got(store, key).correlation_id == ""

    def test_children_and_pages_say_what_a_change_came_under(self, store: AnyStore) -> None:
        self.put(store, record(), evse("E1"), evolve(evse("E2"), correlation_id="c"))
        for found in self.found_in_lists(store):
            assert [each.correlation_id for each in found] == ["", "c"]

    def found_in_lists(self, store: AnyStore) -> Iterator[Sequence[Record]]:
        """Yield the EVSEs of a location: as its children, and in pages of each kind of selection."""
        yield self.run(store, lambda tx: tx.children(LOCATION))
        queries: list[dict[str, Any]] = [{}, {"received_from": BASE}, {"country_code": "NL", "party_id": "TNM"}]
        for query in queries:
            yield self.records(store, Kind.EVSE, **query).records

    def missing(self, store: AnyStore, key: Key) -> tuple[datetime | None, int]:
        """Return since when a record is missing, and how often it was missed."""
        found = self.got(store, key)
        return found.missing_since, found.missed

    def test_an_owner_compares_without_case_and_is_kept_in_upper_case(self, store: AnyStore) -> None:
        small = LOCATION._replace(country_code="nl", party_id="tNm")
        self.put(store, record(small, b"1"), evse("E1", small))
        assert self.get(store, LOCATION) == record(document=b"1")
        assert self.get(store, small) == record(document=b"1")
        self.put(store, record(document=b"2"))
        assert self.got(store, small).document == b"2"
        assert self.got(store).revision == 2
        for location in (small, LOCATION):
            assert self.children(store, location) == ["E1"]
        assert self.records(store, Kind.EVSE).records[0].key == evse("E1").key
        for owner in (("nl", "tnm"), ("Nl", "TNM")):
            page = self.records(store, Kind.LOCATION, country_code=owner[0], party_id=owner[1])
            assert ([each.key for each in page.records], page.total) == ([LOCATION], 1)

        async def work(tx: Transaction) -> None:
            await tx.put(record(small, b"3"))
            assert await tx.get(LOCATION) == record(document=b"3")
            assert ids((await tx.page(Query(kind=Kind.LOCATION, country_code="nL"))).records) == ["LOC1"]
            await tx.delete(small)
            assert await tx.get(LOCATION) is None

        self.run(store, work)
        assert self.page(store, Kind.LOCATION) == ([], 0)

    def test_a_put_replaces(self, store: AnyStore) -> None:
        self.put(store, record(document=b"1", minute=5))
        self.put(store, record(document=b"2", minute=3))
        assert self.get(store, LOCATION) == record(document=b"2", minute=3)

    def test_revisions_count_the_puts(self, store: AnyStore) -> None:
        seen = []
        for document in (b"1", b"2", b"2", b"1"):
            self.put(store, record(document=document), session("S1"))
            seen.append((self.got(store).revision, self.records(store).records[0].revision))
        assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]
        with pytest.raises(InvalidObject):
            self.put(store, record(document=b"3"), evse("E1", LOCATION._replace(id="unknown")))
        self.run(store, lambda tx: tx.delete(session("S1").key))
        self.put(store, record(document=b"4"), session("S1"))
        assert (self.got(store).revision, self.got(store, session("S1").key).revision) == (5, 1)

    def test_sequences_grow_and_stay(self, store: AnyStore) -> None:
        for name in ("S1", "S2", "S3"):
            self.put(store, session(name))
        before = {each.key.id: each.sequence for each in self.records(store).records}
        assert 0 < before["S1"] < before["S2"] < before["S3"]
        self.put(store, session("S1", 9), session("S4"))
        self.run(store, lambda tx: tx.delete(session("S3").key))
        self.put(store, session("S3"))
        after = {each.key.id: each.sequence for each in self.records(store).records}
        assert list(after) == ["S1", "S2", "S4", "S3"]
        assert (after["S1"], after["S2"]) == (before["S1"], before["S2"])
        assert before["S3"] < after["S4"] < after["S3"]
        assert self.got(store, session("S4").key).sequence == after["S4"]

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
        assert self.got(store).revision == 1

    def test_what_one_transaction_deletes_and_puts_is_new(self, store: AnyStore) -> None:
        self.put(store, session("S1"), session("S2"))

        async def work(tx: Transaction) -> None:
            await tx.delete(session("S1").key)
            await tx.put(session("S1", 1))
            assert ids((await tx.page(Query(kind=Kind.SESSION))).records) == ["S2", "S1"]

        self.run(store, work)
        assert self.page(store) == (["S2", "S1"], 2)
        assert self.got(store, session("S1").key).revision == 1
        assert self.get(store, session("S1").key) == session("S1", 1)

    # --- what a store can hold ----------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "text", ["Ünïcödé", "日本語", "\U0001f50c", "a\u0301", "'; DROP TABLE", "%_\\", "\x7f", "A/B*C D", ":x", "NULL"]
    )
    def test_text_of_any_kind_is_kept(self, store: AnyStore, text: str) -> None:
        location, key = LOCATION._replace(id=text), Key(Kind.EVSE, "NL", "TNM", text, text)
        wanted = record(key, f' {{"id":"{text}"}}'.replace("\\", "\\\\").encode())
        self.put(store, record(location), wanted)
        assert self.get(store, key) == wanted
        assert self.children(store, location) == [text]

    def test_a_document_of_a_megabyte_is_kept(self, store: AnyStore) -> None:
        document = b'{"vendor":"' + "é€𝄞".encode() * 120_000 + b'"}'
        assert len(document) > 1_000_000
        self.put(store, record(document=document))
        assert self.got(store).document == document

    @pytest.mark.parametrize(
        "number",
        ["123456789012345678901234567890.123456789", "0.10", "-1.500", "1E+2", "0.000000000000000000000000000001"],
    )
    def test_decimals_are_kept_to_the_last_digit(self, store: AnyStore, number: str) -> None:
        document = b'{"price":%s}' % number.encode()
        kinds = [Kind.LOCATION, Kind.SESSION, Kind.TARIFF, Kind.CDR]
        self.put(store, *(record(LOCATION._replace(kind=kind), document) for kind in kinds))
        for kind in kinds:
            assert self.got(store, LOCATION._replace(kind=kind)).document == document
            assert self.records(store, kind).records[0].document == document

    @pytest.mark.parametrize("document", _EXTREME, ids=range(len(_EXTREME)))
    def test_an_extreme_document_is_kept_as_it_is_or_refused(self, store: AnyStore, document: bytes) -> None:
        self.keep_or_refuse(store, record(document=document))

    @pytest.mark.parametrize("text", _HARD_IDS, ids=range(len(_HARD_IDS)))
    def test_a_hard_key_is_kept_as_it_is_or_refused(self, store: AnyStore, text: str) -> None:
        self.keep_or_refuse(store, session(text))
        self.keep_or_refuse(store, record(Key(Kind.TOKEN, "IT", "BEC", "T1", text)))
        if self.keep_or_refuse(store, record(LOCATION._replace(id=text))):
            self.keep_or_refuse(store, record(Key(Kind.EVSE, "NL", "TNM", text, text)))

    @pytest.mark.parametrize("year", [1, 999, 1969, 9999])
    def test_a_moment_far_away_is_kept_as_it_is_or_refused(self, store: AnyStore, year: int) -> None:
        moment = datetime(year, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)
        wanted = evolve(session("S1"), last_updated=moment, received_at=moment)
        if self.keep_or_refuse(store, wanted):
            assert self.page(store, date_from=moment) == (["S1"], 1)
            assert self.page(store, date_to=moment) == ([], 0)

    def keep_or_refuse(self, store: AnyStore, wanted: Record) -> bool:
        """Return True if the store holds it; fail if it alters it, or rejects it with another error than
        InvalidObject.
        """
        usual = record(LOCATION._replace(id="usual"), minute=1)
        try:
            self.put(store, wanted)
            kept = True
        except InvalidObject:
            kept = False
        try:
            found = self.get(store, wanted.key)
        except InvalidObject:
            found = None
        assert found == (wanted if kept else None)
        self.put(store, usual)
        assert self.get(store, usual.key) == usual
        return kept

    # --- children -----------------------------------------------------------------------------------------------

    def test_children_are_the_evses_of_one_location_oldest_first(self, store: AnyStore) -> None:
        other_location, other_party = LOCATION._replace(id="LOC2"), LOCATION._replace(party_id="ABC")
        own = ["E3", "E1", "E2"]
        self.put(store, record(), record(other_location), record(other_party))
        self.put(store, *map(evse, own), evse("X", other_location), evse("Y", other_party))
        self.put(store, record(Key(Kind.TOKEN, "NL", "TNM", "T1", LOCATION.id)))
        assert self.children(store) == own
        assert self.children(store, other_location) == ["X"]
        assert self.children(store, other_party) == ["Y"]
        assert self.children(store, LOCATION._replace(id="LOC9")) == []

    def test_a_replaced_child_keeps_its_place(self, store: AnyStore) -> None:
        self.put(store, record(), *map(evse, ["E1", "E2", "E3"]))
        self.put(store, evse("E1", document=b'"new"'))
        self.run(store, lambda tx: tx.delete(evse("E2").key))
        found: Sequence[Record] = self.run(store, lambda tx: tx.children(LOCATION))
        assert [(each.key.id, each.document) for each in found] == [("E1", b'"new"'), ("E3", b"{}")]
        assert [each.revision for each in found] == [2, 1]

    def test_an_evse_without_its_location_is_refused_and_nothing_is_kept(self, store: AnyStore) -> None:
        self.put(store, record(LOCATION._replace(id="LOC2")))
        for changes in ([evse("E1")], [session("S1"), evse("E1"), session("S2")]):
            with pytest.raises(InvalidObject):
                self.put(store, *changes)
        assert self.get(store, evse("E1").key) is None
        assert self.children(store) == []
        assert self.page(store) == ([], 0)
        self.put(store, record(), evse("E1"))
        assert self.children(store) == ["E1"]

    def test_an_evse_may_come_before_its_location_in_a_transaction(self, store: AnyStore) -> None:
        async def work(tx: Transaction) -> None:
            await tx.put(evse("E1"))
            assert ids(await tx.children(LOCATION)) == ["E1"]
            assert await tx.get(evse("E1").key) == evse("E1")
            await tx.put(record())

        self.run(store, work)
        assert self.children(store) == ["E1"]

    def test_a_location_goes_with_its_evses(self, store: AnyStore) -> None:
        other = LOCATION._replace(id="LOC2")
        self.put(store, record(), evse("E1"), evse("E2"), record(other), evse("E1", other))

        async def work(tx: Transaction) -> None:
            await tx.put(evse("E3"))
            await tx.delete(LOCATION)
            assert ids(await tx.children(LOCATION)) == []
            assert await tx.get(evse("E1").key) is None
            assert (await tx.page(Query(kind=Kind.EVSE))).total == 1

        self.run(store, work)
        assert [self.get(store, evse(name).key) for name in ("E1", "E2", "E3")] == [None] * 3
        assert self.page(store, Kind.EVSE) == (["E1"], 1)
        assert self.children(store, other) == ["E1"]
        self.put(store, record())
        assert self.children(store) == []

    def test_a_location_that_goes_while_an_evse_comes_is_refused(self, store: AnyStore) -> None:
        self.put(store, record(), evse("E1"))

        async def work(tx: Transaction) -> None:
            await tx.delete(LOCATION)
            await tx.put(evse("E2"))

        with pytest.raises(InvalidObject):
            self.run(store, work)
        assert self.children(store) == ["E1"]
