"""The contract finds what is wrong with a store: each way to break one fails the test that is named after the rule."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve, field, frozen

from ocpi_emsp.ports import Entry, Key, Page, Query, Record, Transaction
from ocpi_emsp.storage import MemoryStore
from ocpi_emsp.testing.contract import LOCATION, StoreContract, Undo


class Altered:
    """A transaction of which some methods are replaced; a replacement gets the real transaction first."""

    def __init__(self, inner: Transaction, replaced: dict[str, Callable[..., Any]]) -> None:
        self._inner = inner
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name not in self._replaced:
            return getattr(self._inner, name)
        return lambda *args, **kwargs: self._replaced[name](self._inner, *args, **kwargs)


@frozen
class AlteredStore:
    replaced: dict[str, Callable[..., Any]]
    commits_always: bool = False
    inner: MemoryStore = field(factory=MemoryStore)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        undone = None
        async with self.inner.transaction() as tx:
            try:
                yield Altered(tx, self.replaced)
            except Undo as error:
                if not self.commits_always:
                    raise
                undone = error
        if undone is not None:
            raise undone


async def put_at_the_end(tx: Transaction, record: Record) -> None:
    """As a store does that deletes and inserts: the order of the page tells."""
    page = await tx.page(Query(kind=record.key.kind, limit=1000))
    if record.key in [each.key for each in page.records]:
        record = evolve(record, key=record.key._replace(id=record.key.id + "'"))
    await tx.put(record)


async def nothing(_tx: Transaction, *_args: object) -> None: ...


async def get_without_case(tx: Transaction, key: Key) -> Record | None:
    return await tx.get(key._replace(id=key.id.upper()))


async def put_without_case(tx: Transaction, record: Record) -> None:
    await tx.put(evolve(record, key=record.key._replace(id=record.key.id.upper())))


async def children_of_any_party(tx: Transaction, key: Key) -> Sequence[Record]:
    return [*await tx.children(key), *await tx.children(key._replace(party_id="ABC"))]


async def children_sorted(tx: Transaction, key: Key) -> Sequence[Record]:
    return sorted(await tx.children(key), key=lambda record: record.key.id)


def page_of(**changes: Any) -> Callable[[Transaction, Query], Any]:
    async def page(tx: Transaction, query: Query) -> Page:
        return await tx.page(evolve(query, **changes))

    return page


async def page_by_time(tx: Transaction, query: Query) -> Page:
    whole = await tx.page(evolve(query, offset=0, limit=1000))
    records = sorted(whole.records, key=lambda record: record.last_updated)
    return Page(records[query.offset : query.offset + query.limit], whole.total)


async def page_without_total(tx: Transaction, query: Query) -> Page:
    page = await tx.page(query)
    return Page(page.records, len(page.records))


async def append_text(tx: Transaction, entry: Entry) -> None:
    await tx.append(evolve(entry, body=entry.body.decode("utf-8", "replace").encode()))


async def entries_of_all(tx: Transaction, topic: str, *, limit: int = 100, **_: object) -> Sequence[Entry]:
    return await tx.entries(topic, None, limit)


async def entries_without_limit(tx: Transaction, topic: str, *, key: Key | None = None, **_: object) -> Sequence[Entry]:
    return await tx.entries(topic, key, 1000)


BROKEN: list[tuple[str, AlteredStore]] = [
    ("what_was_put_is_got", AlteredStore({"put": nothing})),
    ("what_was_deleted_is_gone", AlteredStore({"delete": nothing})),
    ("a_replaced_record_keeps_its_place", AlteredStore({"put": put_at_the_end})),
    ("children_are_the_evses_of_one_location_oldest_first", AlteredStore({"children": children_of_any_party})),
    ("children_are_the_evses_of_one_location_oldest_first", AlteredStore({"children": children_sorted})),
    ("a_page_has_one_kind_oldest_first_and_the_total", AlteredStore({"page": page_by_time})),
    ("a_page_has_one_kind_oldest_first_and_the_total", AlteredStore({"page": page_without_total})),
    ("a_page_selects_by_owner", AlteredStore({"page": page_of(party_id=None)})),
    ("a_page_selects_by_owner", AlteredStore({"page": page_of(country_code=None)})),
    ("a_page_selects_from_date_from_inclusive_to_date_to_exclusive", AlteredStore({"page": page_of(date_to=None)})),
    ("pages_are_stable_while_records_are_added_and_changed", AlteredStore({"page": page_by_time})),
    ("an_entry_is_kept_as_it_was_appended", AlteredStore({"append": append_text})),
    ("entries_are_given_oldest_first_by_topic_and_key", AlteredStore({"entries": entries_of_all})),
    ("entries_are_given_oldest_first_by_topic_and_key", AlteredStore({"entries": entries_without_limit})),
    ("a_settled_entry_is_gone", AlteredStore({"settle": nothing})),
    ("a_transaction_that_raises_leaves_nothing", AlteredStore({}, commits_always=True)),
    ("what_is_not_committed_is_seen_by_nobody", AlteredStore({}, commits_always=True)),
]


@pytest.mark.parametrize(("rule", "store"), BROKEN, ids=[f"{number} {rule}" for number, (rule, _) in enumerate(BROKEN)])
def test_the_contract_finds_it(rule: str, store: AlteredStore) -> None:
    with pytest.raises(AssertionError):
        getattr(StoreContract(), f"test_{rule}")(store)


def test_the_contract_finds_ids_that_compare_without_case() -> None:
    store = AlteredStore({"get": get_without_case, "put": put_without_case})
    with pytest.raises(AssertionError):
        StoreContract().test_keys_that_differ_in_any_part_are_two_records(store, LOCATION._replace(id="loc1"))


def test_an_unbroken_store_passes_the_same_tests() -> None:
    for rule, _ in BROKEN:
        getattr(StoreContract(), f"test_{rule}")(AlteredStore({}))
