"""Any sequence of operations, compared with a plain dict: Hypothesis draws it, and shrinks failures.

Rules of this module:
- a rule adds a step to the next transaction; ``commit`` and ``roll_back`` execute its steps, on the store and on the
  model;
- what a step reads is compared at once; after a transaction the whole content is compared;
- a store is emptied through its port before each example.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import pytest
from attrs import define, evolve, field
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.ports import (
    AUTHORIZATION,
    REJECTION,
    TOPICS,
    AnyStore,
    Entry,
    Key,
    Kind,
    Query,
    Record,
    Transaction,
    prefetch,
)
from ocpi_emsp.testing.contract.tools import BASE, ContractTools, Undo

T = TypeVar("T")

_KINDS = (Kind.LOCATION, Kind.EVSE, Kind.SESSION, Kind.TOKEN, Kind.PUSHED, Kind.RESERVATION)
_ALL = 1000
"""More than any example stores."""


@define
class Model:
    """The content of a store, in the order of the first put; inside a transaction, its future content."""

    records: dict[Key, Record] = field(factory=dict)
    numbers: dict[Key, tuple[int, int]] = field(factory=dict)
    """Sequence and revision of the records that the transaction found."""
    puts: dict[Key, int] = field(factory=dict)
    """How often the transaction put each record."""
    entries: dict[str, Entry] = field(factory=dict)
    places: dict[str, int] = field(factory=dict)
    """Sequences of the entries that the transaction found."""

    def begin(self) -> Model:
        """Return the model of a transaction."""
        return Model(dict(self.records), dict(self.numbers), {}, dict(self.entries), dict(self.places))

    def put(self, record: Record) -> None:
        """Insert or replace."""
        self.records[record.key] = record
        self.puts[record.key] = self.puts.get(record.key, 0) + 1

    def delete(self, key: Key) -> None:
        """Remove a record; a location with its EVSEs."""
        for gone in [key, *(each.key for each in self.children(key))]:
            self.records.pop(gone, None)
            self.numbers.pop(gone, None)
            self.puts.pop(gone, None)

    def children(self, key: Key) -> list[Record]:
        """Return the EVSEs of a location."""
        return [record for record in self.records.values() if _location(record.key) == key]

    def page(self, query: Query) -> list[Record]:
        """Return everything that a query selects."""
        return [
            record
            for key, record in self.records.items()
            if key.kind == query.kind
            and (query.country_code is None or query.country_code.upper() == key.country_code)
            and (query.party_id is None or query.party_id.upper() == key.party_id)
            and (query.id is None or query.id == key.id)
            and (query.date_from is None or query.date_from <= record.last_updated)
            and (query.date_to is None or record.last_updated < query.date_to)
            and (query.received_from is None or query.received_from <= record.received_at)
            and (query.received_to is None or record.received_at < query.received_to)
            and (key not in self.numbers or self.numbers[key][0] > query.after)
        ]

    def is_whole(self) -> bool:
        """Return True if every EVSE has its location."""
        return all(key.kind != Kind.EVSE or _location(key) in self.records for key in self.records)

    def settle(self, entry_id: str) -> None:
        """Remove an entry."""
        self.entries.pop(entry_id, None)
        self.places.pop(entry_id, None)

    def journal(self, topic: str, key: Key | None, owner: tuple[str, str] | None, after: int) -> list[Entry]:
        """Return the selected entries of a topic."""
        return [
            entry
            for entry in self.entries.values()
            if entry.topic == topic
            and (key is None or entry.key == key)
            and (owner is None or (entry.details["country_code"], entry.details["party_id"]) == owner)
            and (entry.id not in self.places or self.places[entry.id] > after)
        ]


def _location(key: Key) -> Key | None:
    return Key(Kind.LOCATION, key.country_code, key.party_id, key.parent) if key.kind == Kind.EVSE else None


Step: TypeAlias = Callable[[Transaction, Model], Awaitable[None]]

_owners = st.sampled_from([("NL", "TNM"), ("NL", "ABC"), ("DE", "TNM")])
_some = st.sampled_from(["1", "2", "3", "4"])
_numbers = st.integers(0, 3)
_moments = _numbers.map(lambda number: BASE + timedelta(minutes=number, microseconds=number))
_receipts = _numbers.map(lambda number: BASE + timedelta(hours=number))
_documents = st.sampled_from([b"{}", b'{"price":1.10}', b'{"price":1.1}', ' "\u00e9\U0001f50c" '.encode(), b"[1,2]"])
_topics = st.sampled_from(TOPICS)


_NL, _DE = ("NL", "TNM"), ("DE", "TNM")
_KEYS = [
    Key(Kind.LOCATION, *_NL, "1"),
    Key(Kind.LOCATION, *_DE, "1"),
    Key(Kind.EVSE, *_NL, "1", "1"),
    Key(Kind.EVSE, *_NL, "2", "1"),
    Key(Kind.EVSE, *_NL, "3", "1"),
    Key(Kind.EVSE, *_DE, "1", "1"),
    Key(Kind.SESSION, *_NL, "1"),
    Key(Kind.SESSION, *_NL, "2"),
    Key(Kind.SESSION, "NL", "ABC", "1"),
    Key(Kind.TOKEN, *_NL, "1", "RFID"),
    Key(Kind.TOKEN, *_NL, "2", "RFID"),
    Key(Kind.TOKEN, *_DE, "1", "RFID"),
    Key(Kind.PUSHED, *_NL, "1", "RFID"),
    Key(Kind.PUSHED, *_NL, "1", "OTHER"),
    Key(Kind.RESERVATION, *_NL, "1", "1"),
]
"""Few keys, so that operations conflict."""
_keys = st.sampled_from(_KEYS)


def _seldom(values: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """Draw mostly None: several selections at once leave nothing to compare."""
    return st.one_of(st.none(), st.none(), st.none(), values)


_subjects = st.sampled_from([None, None, *_KEYS[1:3]])


@st.composite
def _records(draw: st.DrawFn) -> Record:
    under = draw(st.sampled_from(["", "c-1", "c-2"]))
    known = Record(draw(_keys), draw(_documents), draw(_moments), draw(_receipts), correlation_id=under)
    return evolve(known, missing_since=draw(st.none() | _moments), missed=draw(_numbers))


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    topic, (country_code, party_id) = draw(_topics), draw(_owners)
    # An entry may move between the topics of events; rejections and decisions stay in theirs.
    entry_id = draw(_some) if topic not in (AUTHORIZATION, REJECTION) else f"{topic} {draw(_some)}"
    return Entry(
        id=entry_id,
        topic=topic,
        name=draw(st.sampled_from(["LocationReceived", "CdrReceived"])),
        key=draw(_subjects),
        at=draw(_moments),
        body=draw(st.sampled_from([b"", b"\x00\xff", b"{}"])),
        details={"country_code": country_code, "party_id": party_id, "number": draw(_numbers)},
        attempts=draw(_numbers),
        error=draw(st.sampled_from(["", "OSError: \u00e9"])),
        due=draw(st.none() | _moments),
    )


class Operations(RuleBasedStateMachine):
    """The operations of a store; :func:`compare` runs them."""

    def __init__(self, contract: ContractTools, store: AnyStore) -> None:
        super().__init__()
        self.contract = contract
        self.store = store
        self.model = Model()
        self.steps: list[Step] = []
        contract.run(store, _clear)
        self.look()

    @initialize(
        order=st.permutations(_KEYS[2:]),
        records=st.lists(_records(), min_size=7, max_size=10),
        entries=st.lists(_entries(), min_size=4, max_size=8),
    )
    def fill(self, order: list[Key], records: list[Record], entries: list[Entry]) -> None:
        keys = [*_KEYS[:2], *order]  # EVSEs need their locations
        for key, record in zip(keys, [records[0], *records], strict=False):
            self.put(evolve(record, key=key), False)
        for entry in entries:
            self.append(entry)
        self.commit()

    # --- steps of the next transaction --------------------------------------------------------------------------

    @rule(record=_records(), small=st.booleans())
    def put(self, record: Record, small: bool) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            model.put(record)
            await tx.put(evolve(record, key=_small(record.key)) if small else record)

        self.steps.append(step)

    @rule(number=st.integers(0, 10), record=_records())
    def replace(self, number: int, record: Record) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            known = list(model.records)
            changed = evolve(record, key=known[number % len(known)]) if known else record
            model.put(changed)
            await tx.put(changed)

        self.steps.append(step)

    @rule(key=_keys, small=st.booleans())
    def delete(self, key: Key, small: bool) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            model.delete(key)
            await tx.delete(_small(key) if small else key)

        self.steps.append(step)

    @rule(keys=st.lists(_keys, min_size=2, max_size=5), small=st.booleans())
    def get(self, keys: list[Key], small: bool) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            for key in keys:
                found, wanted = await tx.get(_small(key) if small else key), model.records.get(key)
                assert _told([found] if found else []) == _told([wanted] if wanted else [])

        self.steps.append(step)

    @rule(keys=st.lists(_keys, min_size=1, max_size=8), small=st.booleans(), children=st.booleans())
    def prefetch(self, keys: list[Key], small: bool, children: bool) -> None:
        async def step(tx: Transaction, model: Model) -> None:  # noqa: ARG001 # what it changes would show in the others
            await prefetch(tx, [_small(key) if small else key for key in keys], children=children)

        self.steps.append(step)

    @rule()
    def children(self) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            for key in _KEYS[:2]:
                assert _told(await tx.children(key)) == _told(model.children(key))

        self.steps.append(step)

    @rule(
        country_code=st.sampled_from([None, None, "NL", "nl", "DE"]),
        party_id=st.sampled_from([None, None, "TNM", "tnm", "ABC"]),
        id=_seldom(_some),
        date_from=_seldom(_moments),
        date_to=_seldom(_moments),
        received_from=_seldom(_receipts),
        received_to=_seldom(_receipts),
        after=st.none() | _numbers,
        offset=_seldom(st.integers(1, 3)).map(lambda offset: offset or 0),
        limit=st.integers(1, 4),
        count=st.booleans(),
    )
    def page(self, after: int | None, offset: int, limit: int, count: bool, **selection: Any) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            for kind in _KINDS:
                beyond = _nth(after, sorted(number for key, (number, _) in model.numbers.items() if key.kind == kind))
                query = Query(kind=kind, after=beyond, offset=offset, limit=limit, count=count, **selection)
                found, wanted = await tx.page(query), model.page(query)
                assert _told(found.records) == _told(wanted[offset : offset + limit])
                assert found.total == (len(wanted) if count else 0)

        self.steps.append(step)

    @rule(entry=_entries())
    def append(self, entry: Entry) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            model.entries[entry.id] = entry
            await tx.append(entry)

        self.steps.append(step)

    @rule(entry_id=_some, refused=st.booleans())
    def settle(self, entry_id: str, refused: bool) -> None:
        entry_id = f"refused {entry_id}" if refused else entry_id

        async def step(tx: Transaction, model: Model) -> None:
            model.settle(entry_id)
            await tx.settle(entry_id)

        self.steps.append(step)

    @rule(entry_id=_some)
    def entry(self, entry_id: str) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            assert await tx.entry(entry_id) == model.entries.get(entry_id)

        self.steps.append(step)

    @rule(
        key=_subjects,
        owner=st.none() | _owners,
        after=st.none() | _numbers,
        limit=st.integers(1, 4),
    )
    def entries(self, key: Key | None, owner: tuple[str, str] | None, after: int | None, limit: int) -> None:
        async def step(tx: Transaction, model: Model) -> None:
            for topic in TOPICS:
                places = sorted(model.places[each] for each in model.places if model.entries[each].topic == topic)
                beyond = _nth(after, places)
                found = await tx.entries(topic, key, limit, owner=owner, after=beyond)
                assert list(found) == model.journal(topic, key, owner, beyond)[:limit]

        self.steps.append(step)

    # --- the transaction ----------------------------------------------------------------------------------------

    @rule()
    @precondition(lambda self: self.steps)
    def commit(self) -> None:
        model, steps = self.model.begin(), self.steps
        self.steps = []

        async def work(tx: Transaction) -> None:
            for step in steps:
                await step(tx, model)

        try:
            self.contract.run(self.store, work)
            assert model.is_whole(), "an EVSE without a location was taken"
            self.model = model
        except InvalidObject:
            assert not model.is_whole(), "nothing is wrong with this transaction"
        self.look()

    @rule(after=st.integers(0, 5))
    @precondition(lambda self: self.steps)
    def roll_back(self, after: int) -> None:
        model, steps = self.model.begin(), self.steps[:after]
        self.steps = []

        async def work(tx: Transaction) -> None:
            for step in steps:
                await step(tx, model)
            raise Undo

        with pytest.raises(Undo):
            self.contract.run(self.store, work)
        self.look()

    def look(self) -> None:
        """Compare everything that the store holds."""
        self.contract.run(self.store, self._compare, read_only=True)

    async def _compare(self, tx: Transaction) -> None:
        model = self.model
        for kind in _KINDS:
            page = await tx.page(Query(kind=kind, limit=_ALL))
            assert _told(page.records) == _told(model.page(Query(kind=kind)))
            sequences = [record.sequence for record in page.records]
            assert sequences == sorted(set(sequences))
            for record in page.records:
                sequence, revision = model.numbers.get(record.key, (record.sequence, 0))
                assert record.sequence == sequence, "a record lost its place"
                puts = model.puts.get(record.key, 0)
                assert min(puts, 1) <= record.revision - revision <= puts, "puts of one transaction may count once"
                model.numbers[record.key] = (record.sequence, record.revision)
        for key in _KEYS[:2]:
            assert _told(await tx.children(key)) == _told(model.children(key))
        for topic in TOPICS:
            found = await tx.entries(topic, limit=_ALL)
            assert list(found) == model.journal(topic, None, None, 0)
            places = [entry.sequence for entry in found]
            assert places == sorted(set(places))
            for entry in found:
                assert model.places.setdefault(entry.id, entry.sequence) == entry.sequence, "an entry lost its place"
        model.puts.clear()

    def teardown(self) -> None:
        if self.steps:
            self.commit()


def _told(records: Iterable[Record]) -> list[tuple[Record, datetime | None, int, str]]:
    """Return records with their values that do not affect equality."""
    return [(record, record.missing_since, record.missed, record.correlation_id) for record in records]


def _small(key: Key) -> Key:
    return key._replace(country_code=key.country_code.lower(), party_id=key.party_id.lower())


def _nth(number: int | None, sequences: list[int]) -> int:
    """Return the sequence with this number, the last one if there are fewer, or 0."""
    return sequences[min(number, len(sequences) - 1)] if number is not None and sequences else 0


async def _clear(tx: Transaction) -> None:
    for kind in _KINDS:
        for record in (await tx.page(Query(kind=kind, limit=_ALL))).records:
            await tx.delete(record.key)
    for topic in TOPICS:
        for entry in await tx.entries(topic, limit=_ALL):
            await tx.settle(entry.id)


def compare(contract: ContractTools, store: AnyStore, *, examples: int, steps: int, **options: Any) -> None:
    """Compare the store with the model. Raises AssertionError with the shortest sequence in which they differ.

    ``options`` are further settings of Hypothesis.
    """
    run_state_machine_as_test(
        lambda: Operations(contract, store),  # type: ignore[arg-type] # it is called, no more
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


__all__ = ["Model", "Operations", "compare"]
