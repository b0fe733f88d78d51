"""The indexes of the memory store find what a scan finds, after any changes, and read no more than that."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings, strategies as st

from ocpi_emsp._bridge import run
from ocpi_emsp.errors import CannotStore, StoreFailed
from ocpi_emsp.ports import AUTHORIZATION, DEAD, EVENT, REJECTION, Entry, Key, Kind, Query, Record, Transaction, Usage
from ocpi_emsp.storage import MemoryStore, ordered
from ocpi_emsp.testing.contract import record
from ocpi_emsp.testing.contract.tools import BASE, Undo, entry, token
from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.wire import encode

FEW = st.integers(0, 3)
MOMENTS = FEW.map(lambda number: BASE + timedelta(hours=number))
OWNERS = st.sampled_from([("NL", "TNM"), ("DE", "ABC")])
DOCUMENTS = {
    Kind.SESSION: [encode(samples.session(start=BASE + timedelta(hours=at), auth_id=f"D{at % 2}")) for at in range(3)],
    Kind.TOKEN: [encode(samples.token("T", auth_id=f"D{at}")) for at in range(2)],
    Kind.TARIFF_VERSION: [b"{}", b"{ }"],
}
KINDS = tuple(DOCUMENTS)


@pytest.fixture
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that are divided, and emptied, at once."""
    monkeypatch.setattr(ordered, "SIZE", 2)


# --- Ordered ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_lists")
@settings(max_examples=50)
@given(first=st.sets(st.integers(0, 40)), steps=st.lists(st.integers(0, 40), max_size=60), at=st.integers(0, 30))
def test_items_are_in_their_order(first: set[int], steps: list[int], at: int) -> None:
    here, items = set(first), ordered.Ordered[int](lambda item: item, first)
    for step in steps:
        add = items.append if step > max(here, default=-1) else items.add
        (items.remove if step in here else add)(step)
        here ^= {step}
        assert items.place(step) == sorted(here | {step}).index(step)
    wanted = sorted(here)
    assert (list(items), len(items)) == (wanted, len(wanted))
    assert max(map(len, items._lists)) <= 2 * ordered.SIZE
    for last in (at, at + 1, at + 9, 99):
        end = min(last, len(wanted))
        assert list(items.between(at, end)) == wanted[at:end]
        assert list(items.between_reversed(at, end)) == wanted[at:end][::-1]


# --- the store ----------------------------------------------------------------------------------------------------


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(KINDS))
    key = draw(st.sampled_from([Key(kind, "NL", "TNM", "a"), Key(kind, "NL", "TNM", "A"), Key(kind, "DE", "ABC", "a")]))
    document, until = draw(st.sampled_from(DOCUMENTS[kind])), draw(st.none() | MOMENTS)
    return Record(key, document, draw(MOMENTS), draw(MOMENTS), valid_until=until)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    country_code, party_id = draw(OWNERS)
    of = {"country_code": country_code, "party_id": party_id} if draw(FEW) else {}
    key = draw(st.sampled_from([None, token("1").key, token("2").key]))
    topic = draw(st.sampled_from([EVENT, AUTHORIZATION, DEAD[EVENT]]))
    return entry(f"{topic == AUTHORIZATION} {draw(FEW)}", topic, key, body=b"." * draw(FEW), details=of)


STEPS = st.lists(st.tuples(st.booleans(), records() | entries()), min_size=4, max_size=25)
TRANSACTIONS = st.lists(st.tuples(st.booleans(), STEPS), min_size=2, max_size=5)
LATER = st.none() | st.none() | MOMENTS


@st.composite
def queries(draw: st.DrawFn) -> Query:
    owner = draw(st.sampled_from([(None, None), (None, None), ("NL", None), ("nl", "tnm"), ("DE", "ABC")]))
    others: list[tuple[str, Any]] = [("id", "a"), ("id_in_any_case", "A"), ("at", BASE + timedelta(hours=1))]
    others += [("auth_id", "D1"), ("by_start", "first"), ("by_start", "last"), *5 * [("limit", 99)]]
    name, value = draw(st.sampled_from(others))
    names = ["date_from", "date_to", "received_from", "received_to"]
    names += ["start_from", "start_to"] if name == "auth_id" else []
    query = Query(
        kind=draw(st.sampled_from(KINDS)),
        country_code=owner[0],
        party_id=owner[1],
        after=draw(st.sampled_from([0, 0, 5, 9])) if name != "by_start" else 0,
        offset=draw(st.sampled_from([0, 0, 1, 3])) if name != "by_start" else 0,
        limit=draw(st.sampled_from([1, 2, 99])),
        count=draw(st.booleans()),
    )
    changes: dict[str, Any] = {each: draw(LATER) for each in names} | {name: value}
    return evolve(query, **changes)


class Scan:
    """What is stored, in lists."""

    def __init__(self) -> None:
        self.records: dict[Key, Record] = {}
        self.entries: dict[str, Entry] = {}

    async def read(self, tx: Transaction) -> None:
        """Take the numbers that the store gave."""
        for key in self.records:
            self.records[key] = await found(tx.get(key))
        for entry_id in self.entries:
            self.entries[entry_id] = await found(tx.entry(entry_id))

    def do(self, adds: bool, step: Record | Entry) -> None:
        known: dict[Any, Any] = self.records if isinstance(step, Record) else self.entries
        name = step.key if isinstance(step, Record) else step.id
        if adds:
            known[name] = step
        else:
            known.pop(name, None)

    def page(self, query: Query) -> tuple[list[Record], int]:
        rows = [each for each in self.records.values() if matches(each, query)]
        rows.sort(key=lambda each: each.sequence)
        if query.by_start is not None:
            rows.sort(key=lambda each: (start(each), each.sequence), reverse=query.by_start == "last")
        return rows[query.offset : query.offset + query.limit], len(rows) if query.count else 0

    def journal(self, topic: str, key: Key | None, owner: tuple[str, str] | None, after: int) -> list[Entry]:
        rows = [
            each
            for each in self.entries.values()
            if each.topic == topic and key in (None, each.key) and owner in (None, owner_of(each, ""))
        ]
        return sorted((each for each in rows if each.sequence > after), key=lambda each: each.sequence)

    def usage(self, name: str) -> dict[Any, Usage]:
        sizes = [(each.key[1:3], len(each.document)) for each in self.records.values() if each.key.kind == name]
        owned = [each for each in self.entries.values() if each.topic == name and each.details]
        sizes += [(owner_of(each, None), each.size) for each in owned]
        usage: dict[Any, Usage] = {}
        for owner, size in sizes:
            usage[owner] = usage.get(owner, Usage()).plus(1, size)
        return usage


async def found(reading: Any) -> Any:
    value = await reading
    assert value is not None
    return value


def owner_of(each: Entry, missing: Any) -> Any:
    return each.details.get("country_code", missing), each.details.get("party_id", missing)


def start(each: Record) -> datetime:
    return BASE + timedelta(hours=DOCUMENTS[each.key.kind].index(each.document))


def driver(each: Record) -> str:
    return f"D{DOCUMENTS[each.key.kind].index(each.document) % 2}"


def within(moment: datetime, first: datetime | None, last: datetime | None) -> bool:
    return (first is None or first <= moment) and (last is None or moment < last)


def matches(each: Record, query: Query) -> bool:
    is_charged = query.auth_id is not None or query.by_start is not None
    is_timed = query.by_start is not None or query.start_from is not None or query.start_to is not None
    return (
        each.key.kind == query.kind
        and (query.country_code or "").upper() in ("", each.key.country_code)
        and (query.party_id or "").upper() in ("", each.key.party_id)
        and each.sequence > query.after
        and within(each.last_updated, query.date_from, query.date_to)
        and within(each.received_at, query.received_from, query.received_to)
        and query.id in (None, each.key.id)
        and (query.id_in_any_case or each.key.id).lower() == each.key.id.lower()
        and (query.at is None or within(query.at, each.last_updated, each.valid_until))
        and not (is_charged and query.kind == Kind.TARIFF_VERSION)
        and not (is_timed and query.kind != Kind.SESSION)
        and (query.auth_id is None or query.auth_id == driver(each))
        and (not is_timed or within(start(each), query.start_from, query.start_to))
    )


async def step(tx: Transaction, adds: bool, what: Record | Entry) -> None:
    if isinstance(what, Record):
        await (tx.put(what) if adds else tx.delete(what.key))
    else:
        await (tx.append(what) if adds else tx.settle(what.id))


async def compare(tx: Transaction, scan: Scan, asked: list[Query]) -> None:
    await scan.read(tx)
    for query in asked:
        page = await tx.page(query)
        assert (list(page.records), page.total) == scan.page(query), query
    for topic in (EVENT, AUTHORIZATION, DEAD[EVENT]):
        for key in (None, token("1").key):
            for owner in (None, ("NL", "TNM"), ("", "")):
                for after in (0, 6):
                    wanted = scan.journal(topic, key, owner, after)
                    assert await tx.entries(topic, key, owner=owner, after=after) == wanted
    for name in (*KINDS, AUTHORIZATION):  # of events nobody asks until the end
        assert await tx.usage(name) == scan.usage(name)


@pytest.mark.usefixtures("short_lists")
@settings(max_examples=40)
@given(transactions=TRANSACTIONS, asked=st.lists(queries(), min_size=4, max_size=8))
def test_the_indexes_find_what_a_scan_finds(
    transactions: list[tuple[bool, list[tuple[bool, Record | Entry]]]], asked: list[Query]
) -> None:
    store, scan = MemoryStore(), Scan()

    async def work(steps: list[tuple[bool, Record | Entry]], commits: bool) -> None:
        inside = Scan()
        inside.records, inside.entries = dict(scan.records), dict(scan.entries)
        async with store.transaction() as tx:
            for adds, what in steps:
                await step(tx, adds, what)
                inside.do(adds, what)
            await compare(tx, inside, asked)
            if not commits:
                raise Undo
        scan.records, scan.entries = inside.records, inside.entries

    async def look() -> None:
        async with store.transaction(read_only=True) as tx:
            await compare(tx, scan, asked)

    for commits, steps in transactions:
        try:
            run(work(steps, commits))
        except Undo:
            assert not commits
        run(look())

    async def last() -> None:
        async with store.transaction(read_only=True) as tx:
            for topic in (EVENT, DEAD[EVENT]):
                assert await tx.usage(topic) == scan.usage(topic)

    run(last())


# --- what it looks at ---------------------------------------------------------------------------------------------


def calls(work: Callable[[], object]) -> int:
    """The calls of Python functions and of functions in C that a piece of work makes."""
    made = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def filled(number: int) -> MemoryStore:
    """Tokens, and events of as many objects that wait."""
    store = MemoryStore()

    async def work() -> None:
        async with store.transaction() as tx:
            for each in range(number):
                await tx.put(token(f"T{each}", each))
                await tx.append(entry(f"e{each}", EVENT, token(f"T{each}").key, details=OWNER))

    run(work())
    return store


OWNER = {"country_code": "IT", "party_id": "BEC"}
LIST = Query(kind=Kind.TOKEN, country_code="IT", party_id="BEC", limit=20)


async def list_tokens(tx: Transaction) -> None:
    assert len((await tx.page(LIST)).records) == 20


async def list_later_tokens(tx: Transaction) -> None:
    assert len((await tx.page(evolve(LIST, after=200, offset=7))).records) == 20


async def list_a_window(tx: Transaction) -> None:
    last = (await tx.usage(Kind.TOKEN))["IT", "BEC"].count
    window = evolve(LIST, date_from=BASE + timedelta(minutes=last - 30), date_to=BASE + timedelta(minutes=last - 5))
    page = await tx.page(window)
    assert (len(page.records), page.total) == (20, 25)


async def replace(tx: Transaction) -> None:
    await tx.put(token("T7", 99.5))


async def delete(tx: Transaction) -> None:
    await tx.delete(token("T7").key)
    await tx.settle("e7")


async def change_with_an_event(tx: Transaction) -> None:
    assert [each.id for each in await tx.entries(EVENT, token("T9").key, 1)] == ["e9"]
    await tx.append(entry("new", EVENT, token("T9").key, details=OWNER))
    assert [each.id for each in await tx.entries(EVENT, limit=1, after=50)]


async def usage(tx: Transaction) -> None:
    assert (await tx.usage(Kind.TOKEN))["IT", "BEC"].count > 300


@pytest.mark.parametrize(
    "work", [list_tokens, list_later_tokens, list_a_window, replace, delete, change_with_an_event, usage]
)
def test_what_is_done_costs_the_same_however_much_there_is(
    work: Callable[[Transaction], Any], few: MemoryStore, many: MemoryStore
) -> None:
    async def undone(store: MemoryStore) -> None:
        async with store.transaction() as tx:
            await work(tx)
            raise Undo

    def once(store: MemoryStore) -> None:
        with pytest.raises(Undo):
            run(undone(store))

    once(few)  # what is made at the first time
    assert calls(lambda: once(many)) <= calls(lambda: once(few)) + 60  # a list of lists is looked through by halves


@pytest.fixture(scope="module")
def few() -> MemoryStore:
    return filled(400)


@pytest.fixture(scope="module")
def many() -> MemoryStore:
    return filled(8000)


# --- what else is its own -----------------------------------------------------------------------------------------


def test_no_view_is_kept() -> None:
    store = MemoryStore()

    async def work() -> Any:
        async with store.transaction() as tx:
            await tx.put(evolve(record(), view=object()))
            return await found(tx.get(record().key))

    assert run(work()).view is None


def test_a_time_without_a_zone_is_refused_and_nothing_of_it_stays() -> None:
    store = MemoryStore()

    async def work() -> None:
        async with store.transaction() as tx:
            await tx.put(token("T1"))
            await tx.put(evolve(token("T2"), last_updated=datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)))

    with pytest.raises(CannotStore, match="zone"):
        run(work())
    assert page_of(store, LIST) == []


def test_a_read_only_transaction_changes_nothing() -> None:
    store = filled(1)

    async def work(change: Callable[[Transaction], Any]) -> None:
        async with store.transaction(read_only=True) as tx:
            await change(tx)

    for change in (lambda tx: tx.put(token("T2")), lambda tx: tx.delete(token("T0").key), lambda tx: tx.settle("e0")):
        with pytest.raises(StoreFailed, match="read-only"):
            run(work(change))
    assert page_of(store, LIST) == ["T0"]


def page_of(store: MemoryStore, query: Query) -> list[str]:
    async def work() -> list[str]:
        async with store.transaction(read_only=True) as tx:
            return [each.key.id for each in (await tx.page(query)).records]

    return run(work())


@pytest.mark.parametrize("topic", [AUTHORIZATION, REJECTION])
def test_what_piles_up_is_nothing_for_the_garbage_collector(topic: str) -> None:
    store = MemoryStore()
    details = {"country_code": "NL", "party_id": "TNM", "evse_uids": ["E1"]}

    async def append() -> None:
        async with store.transaction() as tx:
            for number in range(3):
                await tx.append(entry(str(number), topic, None, details=details))

    run(append())
    rows = list(store._journal._rows.values())
    assert len(rows) == 3
    assert not any(map(gc.is_tracked, rows))
    assert {id(row.owner) for row in rows} == {id(rows[0].owner)}
