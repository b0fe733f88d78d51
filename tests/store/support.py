"""The memory store behind the blocking port, like a blocking driver; and a wait until a store watches parties."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import frozen

from ocpi_emsp._bridge import run
from ocpi_emsp.ports import Entry, Key, Owner, Page, Query, Record, Transaction, Usage
from ocpi_emsp.storage import MemoryStore, SqlStore
from ocpi_emsp.testing.contract import Heard


@frozen
class BlockingTransaction:
    inner: Transaction

    def get(self, key: Key) -> Record | None:
        return run(self.inner.get(key))

    def put(self, record: Record) -> None:
        run(self.inner.put(record))

    def delete(self, key: Key) -> None:
        run(self.inner.delete(key))

    def children(self, key: Key) -> Sequence[Record]:
        return run(self.inner.children(key))

    def page(self, query: Query) -> Page:
        return run(self.inner.page(query))

    def append(self, entry: Entry) -> None:
        run(self.inner.append(entry))

    def entry(self, entry_id: str) -> Entry | None:
        return run(self.inner.entry(entry_id))

    def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        return run(self.inner.entries(topic, key, limit, owner=owner, after=after))

    def settle(self, entry_id: str) -> None:
        run(self.inner.settle(entry_id))

    def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        return run(self.inner.usage(name, owner))


@frozen
class BlockingMemoryStore:
    inner: MemoryStore

    @contextmanager
    def blocking_transaction(self, *, read_only: bool = False) -> Iterator[BlockingTransaction]:
        manager = self.inner.transaction(read_only=read_only)
        tx = run(manager.__aenter__())
        try:
            yield BlockingTransaction(tx)
        except BaseException as error:
            run(manager.__aexit__(type(error), error, error.__traceback__))
            raise
        run(manager.__aexit__(None, None, None))


def until_watched(store: SqlStore) -> None:
    """Return once the store knows of changes of parties: PostgreSQL has to listen for that."""
    heard = Heard()
    end = store.announce(heard)
    if store.watch_parties() is None:
        assert heard.hears("")
    end()
