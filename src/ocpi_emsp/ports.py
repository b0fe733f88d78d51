"""What the outside must provide. Flows know these protocols and nothing behind them.

Rules of this module:
- every port is small, and async: a port that never suspends serves the sync shell as well (see _bridge.py);
- a store is dumb: behaviour lives in flows, atomicity in the store's transaction;
- inside a transaction a flow awaits nothing but the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from attrs import field, frozen

from ocpi_emsp.codec.content import content_hash
from ocpi_emsp.wire import Request, Response


class Kind:
    """What a record is. Plain strings: a key is hashed on every request."""

    PARTY: Final = "party"
    CREDENTIAL: Final = "credential"
    LOCATION: Final = "location"
    EVSE: Final = "evse"
    SESSION: Final = "session"
    TARIFF: Final = "tariff"
    CDR: Final = "cdr"
    CDR_CONFLICT: Final = "cdr_conflict"
    TOKEN: Final = "token"
    COMMAND: Final = "command"


class Key(NamedTuple):
    """What identifies a record; owner codes are upper case. ``parent``: an EVSE's location, a token's type."""

    kind: str
    country_code: str
    party_id: str
    id: str
    parent: str = ""


@frozen
class Record:
    """One stored object: the document as received, and what a store orders and filters by."""

    key: Key
    document: bytes
    last_updated: datetime
    received_at: datetime

    @property
    def content_hash(self) -> str:
        """The hash of the document without its ``last_updated``."""
        return content_hash(self.document)


@frozen(kw_only=True)
class Query:
    """Records of one kind, oldest first: by owner, last updated in ``[date_from, date_to)``."""

    kind: str
    country_code: str | None = None
    party_id: str | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    offset: int = 0
    limit: int = 100


@frozen
class Page:
    """A page of records, and how many match the query in all."""

    records: Sequence[Record]
    total: int


EVENT: Final = "event"
REJECTION: Final = "rejection"


@frozen(kw_only=True)
class Entry:
    """An entry of the journal: an event to deliver, or a rejection with the bytes as received."""

    id: str
    topic: str
    name: str
    key: Key | None
    at: datetime
    body: bytes = b""
    details: Mapping[str, Any] = field(factory=dict)
    attempts: int = 0
    error: str = ""


class Transaction(Protocol):
    """All or nothing. What is read is locked until the end; two transactions on one record run one after the other."""

    async def get(self, key: Key) -> Record | None:
        """The record, or None."""

    async def put(self, record: Record) -> None:
        """Insert or replace; a replaced record keeps its place in the order."""

    async def delete(self, key: Key) -> None:
        """Remove the record, if it is there."""

    async def children(self, key: Key) -> Sequence[Record]:
        """The EVSEs of a location, oldest first."""

    async def page(self, query: Query) -> Page:
        """The records that match, oldest first."""

    async def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced in its place."""

    async def entries(self, topic: str, key: Key | None = None, limit: int = 100) -> Sequence[Entry]:
        """Entries of the journal, oldest first, of one object where a key is given."""

    async def settle(self, entry_id: str) -> None:
        """Remove an entry: it is delivered, or done with."""


class Store(Protocol):
    """Where objects live. The context manager commits at the end, and rolls back where the block raises."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...


class BlockingTransaction(Protocol):
    """:class:`Transaction` for a driver that blocks; each method means the same."""

    def get(self, key: Key) -> Record | None: ...
    def put(self, record: Record) -> None: ...
    def delete(self, key: Key) -> None: ...
    def children(self, key: Key) -> Sequence[Record]: ...
    def page(self, query: Query) -> Page: ...
    def append(self, entry: Entry) -> None: ...
    def entries(self, topic: str, key: Key | None = None, limit: int = 100) -> Sequence[Entry]: ...
    def settle(self, entry_id: str) -> None: ...


@runtime_checkable
class BlockingStore(Protocol):
    """A store whose driver blocks; the bridge lifts it into a :class:`Store`, with threads only under an async host."""

    def blocking_transaction(self) -> AbstractContextManager[BlockingTransaction]: ...


class Clock(Protocol):
    """The time, aware, in UTC."""

    def now(self) -> datetime: ...


class Send(Protocol):
    """One HTTP exchange. Raises TransportFailed where there is no answer."""

    async def __call__(self, request: Request) -> Response: ...
