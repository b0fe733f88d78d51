"""The ports: protocols that a store, a transport, a clock and a telemetry implement. Flows depend only on these.

Rules of this module:
- every port is small, and async: a port that never suspends serves the sync shell as well (see _bridge.py);
- a store is simple: behaviour is in flows, atomicity in the store's transaction;
- inside a transaction a flow only awaits the transaction;
- a flow that needs a location and its EVSEs reads the location first, so that two transactions lock in one order;
- records.py has the data that a store holds; it can also be imported from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from attrs import evolve

from ocpi_emsp.records import (
    AUTHORIZATION as AUTHORIZATION,
    DEAD as DEAD,
    DEADLINE as DEADLINE,
    EVENT as EVENT,
    FAN_OUT as FAN_OUT,
    NAMED_START as NAMED_START,
    NAMES as NAMES,
    PARKED as PARKED,
    PARTY_KINDS as PARTY_KINDS,
    PENDING_AUDIT as PENDING_AUDIT,
    QUOTA as QUOTA,
    REJECTION as REJECTION,
    RELAY as RELAY,
    RESYNC as RESYNC,
    START as START,
    START_PLACE as START_PLACE,
    STARTS as STARTS,
    SYNC as SYNC,
    TOPICS as TOPICS,
    UPKEEP as UPKEEP,
    Documents as Documents,
    DueQuery as DueQuery,
    Entry as Entry,
    Key as Key,
    Kind as Kind,
    Owner as Owner,
    Page as Page,
    Query as Query,
    Record as Record,
    Usage as Usage,
)
from ocpi_emsp.wire import Request, Response


class Transaction(Protocol):
    """An atomic unit: the records that it reads are locked until its end, so two transactions on one record run in
    sequence.

    That includes records that do not exist yet. A read-only transaction locks nothing and cannot write.
    Raises CannotStore (an InvalidObject) if the store cannot save a value, at the call or at the commit.

    It may have optional methods, which are used if present: :func:`prefetch`, :func:`read_documents`,
    :func:`due_reader`.
    """

    async def get(self, key: Key) -> Record | None:
        """Return the record, or None."""

    async def put(self, record: Record) -> None:
        """Insert or replace; a replaced record keeps its place in the order.

        Raises InvalidObject if an EVSE has no location at the commit.
        """

    async def delete(self, key: Key) -> None:
        """Remove the record, if it exists; a location with its EVSEs."""

    async def children(self, key: Key) -> Sequence[Record]:
        """Return the EVSEs of a location, oldest first."""

    async def page(self, query: Query) -> Page:
        """Return the records that match, oldest first."""

    async def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced in its place."""

    async def entry(self, entry_id: str) -> Entry | None:
        """Return the entry with this id, or None."""

    async def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        """Return entries of one topic, oldest first, ``after`` a sequence; of one object, or one owner, if given."""

    async def settle(self, entry_id: str) -> None:
        """Remove an entry that is delivered or obsolete."""

    async def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """Return the amount that each owner, or only this one, has of a kind or topic; owners without any are left out.

        It locks nothing. It may read everything, so it is called seldom.
        """


class Store(Protocol):
    """A store of objects. The context manager commits at its end and rolls back if the block raises.

    Raises StoreFailed if the store is unreachable. It may have optional methods: :func:`recorder`, :func:`repeatable`.
    """

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""


async def prefetch(tx: Transaction, keys: Collection[Key], *, children: bool = False) -> None:
    """Read and lock these records at once, also keys without a record, and with ``children`` the EVSEs of locations
    among them. Uses the method ``prefetch`` of a transaction, if it has one.

    Afterwards ``get`` and ``children`` need no statement of their own for them, and see later puts. Without the method
    they read and lock one by one. Keys of one kind, owner and parent are locked together; put those first that other
    transactions lock first.
    """
    read = getattr(tx, "prefetch", None)  # isinstance would cost ten times as much, in every PATCH
    if keys and read is not None:
        await read(keys, children=children)


def is_joined(tx: Transaction) -> bool:
    """Return True for a part of the host's transaction: it may be rolled back, so no event is delivered yet."""
    return getattr(tx, "joined", False) is True  # a wrapper may return anything for an unknown name


async def read_documents(tx: Transaction, query: Query) -> Documents:
    """Return the documents of a page, by the method ``documents`` of a transaction, if it has one.

    The method returns the same as this function does from a page with one record more, and costs less.
    """
    read = getattr(tx, "documents", None)
    if read is not None:
        found: Documents = await read(query)
        return found
    page = await tx.page(evolve(query, limit=query.limit + 1))
    records = page.records[: query.limit]
    last = records[-1].sequence if records else 0
    joined = b",".join(record.document for record in records)
    return Documents(joined, last, len(page.records) > query.limit, page.total)


ReadDue: TypeAlias = Callable[[DueQuery], Awaitable[Sequence[Entry]]]


def due_reader(tx: Transaction) -> ReadDue | None:
    """Return the method ``due`` of a transaction, or None: it is optional.

    It finds the entries of a :class:`DueQuery` by an index, and locks nothing. Without it the pages of a topic are
    read.
    """
    found: ReadDue | None = getattr(tx, "due", None)
    return found


OpenTransaction: TypeAlias = Callable[[], AbstractAsyncContextManager[Transaction]]


def recorder(store: Store) -> OpenTransaction | None:
    """Return the method ``recording`` of a store, or None: it is optional.

    It opens a transaction that first reads, and then only records with ``append``. It need not lock what it reads. What
    is appended is committed at the end, at the latest. Without the method, the reads and the appends are two
    transactions. A BlockingStore has instead the attribute ``for_recording``: a BlockingStore with such transactions.
    """
    found: OpenTransaction | None = getattr(store, "recording", None)
    return found


def repeatable(store: Store) -> AbstractAsyncContextManager[Transaction]:
    """Open a transaction whose work is repeated if it is lost, by the method ``repeatable`` of a store, if it has one,
    otherwise by ``transaction``.

    All of it may be lost after its end if the database loses power, with all that was committed after it, but not once
    a usual transaction has written something and was committed. Its journal entries, and what it wrote with them, are
    not lost. A BlockingStore has instead the attribute ``for_repeatable``: a BlockingStore with such transactions.
    """
    opened: OpenTransaction = getattr(store, "repeatable", None) or store.transaction
    return opened()


def is_of_one_process(tx: Transaction) -> bool:
    """Return True if other processes cannot see what this one stores."""
    return getattr(tx, "of_one_process", False) is True


class BlockingTransaction(Protocol):
    """:class:`Transaction` for a driver that blocks: each method, also an optional one, means the same."""

    def get(self, key: Key) -> Record | None:
        """See :meth:`Transaction.get`."""

    def put(self, record: Record) -> None:
        """See :meth:`Transaction.put`."""

    def delete(self, key: Key) -> None:
        """See :meth:`Transaction.delete`."""

    def children(self, key: Key) -> Sequence[Record]:
        """See :meth:`Transaction.children`."""

    def page(self, query: Query) -> Page:
        """See :meth:`Transaction.page`."""

    def append(self, entry: Entry) -> None:
        """See :meth:`Transaction.append`."""

    def entry(self, entry_id: str) -> Entry | None:
        """See :meth:`Transaction.entry`."""

    def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        """See :meth:`Transaction.entries`."""

    def settle(self, entry_id: str) -> None:
        """See :meth:`Transaction.settle`."""

    def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """See :meth:`Transaction.usage`."""


@runtime_checkable
class BlockingStore(Protocol):
    """A store whose driver blocks; an async host calls it in threads."""

    def blocking_transaction(self, *, read_only: bool = False) -> AbstractContextManager[BlockingTransaction]:
        """Open a transaction."""


Mode: TypeAlias = Literal["sync", "async"]


@runtime_checkable
class DualModeStore(Protocol):
    """A store with a driver for sync hosts, for async hosts, or for both."""

    def for_mode(self, mode: Mode) -> Store | BlockingStore:
        """Return the driver for hosts of this mode."""


AnyStore: TypeAlias = Store | BlockingStore | DualModeStore


@runtime_checkable
class Announcing(Protocol):
    """A store that notifies about written commands across processes, so that waiting needs less polling."""

    def announce(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener`` with the id of each command that is written from now on, from any thread, at least once
        while the database is connected; ``""`` means that some may have been missed. Returns a function that ends this.
        """


@runtime_checkable
class PartyWatching(Protocol):
    """A store that knows whether data read about partners is still valid, so that it need not be read for each request.

    Both methods are called for every request, from any thread: they must not wait for a server, a lock or a
    transaction.
    """

    def watch_parties(self) -> object | None:
        """Return a value for :meth:`is_unchanged`, before parties and credentials are read; None if they must be
        read each time, for example inside a transaction of the host.
        """

    def is_unchanged(self, watched: object, read: Iterable[tuple[Key, Record | None]]) -> bool:
        """Return True if no process changed these parties and credentials since ``watched``, or wrote one that did not
        exist. Return False if that is unknown. Commits of this process count at once.
        """


@runtime_checkable
class ThreadBound(Protocol):
    """A store whose transactions may be part of one that belongs to a thread of the host, as in Django."""

    def is_bound_to_thread(self) -> bool:
        """Return True if the calling thread is inside such a transaction: other threads do not see what it wrote, and
        may wait for its locks.
        """


class Clock(Protocol):
    """Returns the current time, aware, in UTC."""

    def now(self) -> datetime:
        """Return the current time."""


class Send(Protocol):
    """One HTTP exchange. Raises TransportFailed if there is no response."""

    async def __call__(self, request: Request) -> Response: ...


class ReadBody(Protocol):
    """Reads the body of a received request, after its head was checked."""

    async def __call__(self, most: int) -> bytes:
        """Return the next ``most`` bytes; fewer mean the end. Raises BodyTooSlow, CallerGone."""


class DeadlinePassed(Exception):
    """A hook did not answer in time. Raised by the caller, never by the hook."""


class Sleep(Protocol):
    """Waits for a number of seconds."""

    async def __call__(self, seconds: float) -> None: ...


Attributes: TypeAlias = Mapping[str, str | int | float | bool]
"""Facts about a span or a metric, by names such as ``ocpi.module``. Never a token, nor data that identifies a
driver.
"""


class Measurement(NamedTuple):
    """One value of a gauge."""

    value: float
    attributes: Attributes


class Span(Protocol):
    """A running span."""

    def set(self, attributes: Attributes) -> None:
        """Set attributes; ``error.type`` marks a failure."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that propagate the trace; names in lower case."""


Role: TypeAlias = Literal["server", "client", "internal"]


class Telemetry(Protocol):
    """A sink for traces and metrics. An exception that it raises is logged once and ignored.

    It is called from any thread and task, in both modes, and must not block. docs/how-to/observability.md lists the
    names.
    """

    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        """Open a span around a block; ``headers`` are those of the served request, which carry its trace."""

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        """Add to a counter."""

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        """Record a duration in seconds."""

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        """Call ``read`` for the values at each collection. It reads the store, blocks, and does not raise."""


SERVER_REQUESTS: Final = "ocpi.server.requests"
SERVER_DURATION: Final = "ocpi.server.request.duration"
SERVER_LIMITED: Final = "ocpi.server.limited"
FINDINGS: Final = "ocpi.findings"
CLIENT_REQUESTS: Final = "ocpi.client.requests"
CLIENT_DURATION: Final = "ocpi.client.request.duration"
SYNC_LAG: Final = "ocpi.sync.lag"
COMMANDS_PENDING: Final = "ocpi.commands.pending"

COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    SERVER_REQUESTS: ("{request}", "Requests of partners that were answered."),
    SERVER_LIMITED: ("{request}", "Requests that were refused since a limit of InboundLimits was reached."),
    CLIENT_REQUESTS: ("{request}", "Calls to partners, each with its retries."),
    FINDINGS: ("{finding}", "Deviations in what partners sent, refused or let pass."),
}
"""The counters of a telemetry: unit and description of each name. docs/how-to/observability.md has the same table."""
HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    SERVER_DURATION: ("s", "How long a partner waited for an answer."),
    CLIENT_DURATION: ("s", "How long a call to a partner took, with its turn, its retries and their waits."),
}
GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    SYNC_LAG: ("s", "Time since the moment up to which the last completed sync has everything."),
    COMMANDS_PENDING: ("{command}", "Commands whose result is awaited."),
}
