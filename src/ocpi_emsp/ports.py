"""What the outside must provide. Flows know these protocols and nothing behind them.

Rules of this module:
- every port is small, and async: a port that never suspends serves the sync shell as well (see _bridge.py);
- a store is dumb: behaviour lives in flows, atomicity in the store's transaction;
- inside a transaction a flow awaits nothing but the transaction;
- a flow that needs a location and its EVSEs reads the location first: two transactions then lock in one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

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
    CHECKPOINT: Final = "checkpoint"
    PUSHED: Final = "pushed"
    RESERVATION: Final = "reservation"


NAMES: Final[Mapping[str, str]] = {
    Kind.PARTY: "parties",
    Kind.CREDENTIAL: "credentials",
    Kind.LOCATION: "locations",
    Kind.EVSE: "evses",
    Kind.SESSION: "sessions",
    Kind.TARIFF: "tariffs",
    Kind.CDR: "cdrs",
    Kind.CDR_CONFLICT: "cdr_conflicts",
    Kind.TOKEN: "tokens",
    Kind.COMMAND: "commands",
    Kind.CHECKPOINT: "checkpoints",
    Kind.PUSHED: "pushed_tokens",
    Kind.RESERVATION: "reservations",
}
"""Every kind, and what its records are called together; a location comes before its EVSEs."""


class Key(NamedTuple):
    """What identifies a record. ``parent``: the location of an EVSE or of a reservation, a token's type, the content
    hash of a CDR conflict.

    A pushed token is what a party has of a token of ours: the owner is that party, the rest is the token's.

    ``country_code`` and ``party_id`` compare without case (CiString): a store keeps them in upper case.
    """

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
    """A JSON text in UTF-8, kept byte for byte."""
    last_updated: datetime
    received_at: datetime
    view: Any = field(default=None, eq=False, repr=False)
    """The typed view of the document, where a flow has it at hand: a store takes the columns for queries from it."""
    revision: int = field(default=0, eq=False)
    """How often the record was put: 1 for a new one. The store counts."""
    sequence: int = field(default=0, eq=False)
    """Its place among the records of its kind, in the order of their first put. The store numbers."""
    missing_since: datetime | None = field(default=None, eq=False)
    """Since when its owner does not list it; None: it is listed. A put of a fresh record takes this back."""
    missed: int = field(default=0, eq=False)
    """How many full syncs in a row did not list it."""
    correlation_id: str = field(default="", eq=False)
    """Under which the last change came; empty where it came under none."""

    @cached_property
    def content_hash(self) -> str:
        """The hash of the document without its ``last_updated``."""
        return content_hash(self.document)


@frozen(kw_only=True)
class Query:
    """Records of one kind, oldest first (by their first put): by owner, last updated in ``[date_from, date_to)``,
    received in ``[received_from, received_to)``.

    A reader of everything goes on ``after`` the sequence of the last record that it has: that costs the same on every
    page, which an ``offset`` does not have to.
    """

    kind: str
    country_code: str | None = None
    party_id: str | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    after: int = 0
    offset: int = 0
    limit: int = 100
    count: bool = True
    """Whether the total is wanted; without it, ``Page.total`` is 0."""


@frozen
class Page:
    """A page of records, and how many match the query in all."""

    records: Sequence[Record]
    total: int


EVENT: Final = "event"
"""Events for listeners in this process."""
RELAY: Final = "relay"
"""Events for a relay, which hands them to a broker."""
REJECTION: Final = "rejection"
RESYNC: Final = "resync"
"""What the next sync of a party has to pull: an object, or a window. An id made of the wish keeps it one entry."""
DEADLINE: Final = "deadline"
"""Commands that are open, and reservations that end: what becomes of them at ``due`` if nothing happens before."""
START: Final = "start"
"""START_SESSION commands whose session is looked for."""
FAN_OUT: Final = "fan_out"
"""Parties that our tokens have to be pushed to. An id made of the party keeps it one entry."""
AUTHORIZATION: Final = "authorization"
"""What was decided on real-time authorizations; a store keeps the newest of them."""
DEAD: Final = {EVENT: "dead_event", RELAY: "dead_relay"}
"""Where events go that were tried too often."""
TOPICS: Final = (EVENT, RELAY, REJECTION, RESYNC, DEADLINE, START, FAN_OUT, AUTHORIZATION, *DEAD.values())


@frozen(kw_only=True)
class Entry:
    """An entry of the journal: an event to deliver, or a rejection with the bytes as received.

    Its owner is ``details["country_code"]`` and ``details["party_id"]``.
    """

    id: str
    topic: str
    name: str
    key: Key | None
    at: datetime
    body: bytes = b""
    details: Mapping[str, Any] = field(factory=dict)
    attempts: int = 0
    error: str = ""
    due: datetime | None = None
    """Not to be delivered before: somebody has it in hand, or it failed and is tried again then."""
    sequence: int = field(default=0, eq=False)
    """Its place in the journal. The store numbers."""


class Transaction(Protocol):
    """All or nothing. What is read is locked until the end; two transactions on one record run one after the other.

    That holds for a record that does not exist yet, too. A read-only transaction locks nothing and cannot write.
    A document, key or entry that the store cannot hold is CannotStore (an InvalidObject), at the call or at the commit.
    """

    async def get(self, key: Key) -> Record | None:
        """The record, or None."""

    async def put(self, record: Record) -> None:
        """Insert or replace; a replaced record keeps its place in the order.

        An EVSE's location is there at the commit, or InvalidObject is raised.
        """

    async def delete(self, key: Key) -> None:
        """Remove the record, if it is there; a location goes with its EVSEs."""

    async def children(self, key: Key) -> Sequence[Record]:
        """The EVSEs of a location, oldest first."""

    async def page(self, query: Query) -> Page:
        """The records that match, oldest first."""

    async def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced in its place."""

    async def entry(self, entry_id: str) -> Entry | None:
        """The entry with this id, or None."""

    async def entries(
        self,
        topic: str,
        key: Key | None = None,
        limit: int = 100,
        *,
        owner: tuple[str, str] | None = None,
        after: int = 0,
    ) -> Sequence[Entry]:
        """Entries of one topic, oldest first, ``after`` a sequence; of one object, or one owner, where it is given."""

    async def settle(self, entry_id: str) -> None:
        """Remove an entry: it is delivered, or done with."""


class Store(Protocol):
    """Where objects live. The context manager commits at the end, and rolls back where the block raises.

    Raises StoreFailed where the store cannot be reached.
    """

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]: ...


def is_joined(tx: Transaction) -> bool:
    """True for a part of the host's own transaction: it may be rolled back yet, so nothing of it is delivered."""
    return getattr(tx, "joined", False) is True  # a wrapper may give anything for a name that it does not know


class BlockingTransaction(Protocol):
    """:class:`Transaction` for a driver that blocks; each method means the same."""

    def get(self, key: Key) -> Record | None: ...
    def put(self, record: Record) -> None: ...
    def delete(self, key: Key) -> None: ...
    def children(self, key: Key) -> Sequence[Record]: ...
    def page(self, query: Query) -> Page: ...
    def append(self, entry: Entry) -> None: ...
    def entry(self, entry_id: str) -> Entry | None: ...
    def entries(
        self,
        topic: str,
        key: Key | None = None,
        limit: int = 100,
        *,
        owner: tuple[str, str] | None = None,
        after: int = 0,
    ) -> Sequence[Entry]: ...
    def settle(self, entry_id: str) -> None: ...


@runtime_checkable
class BlockingStore(Protocol):
    """A store whose driver blocks; the bridge lifts it into a :class:`Store`, with threads only under an async host."""

    def blocking_transaction(self, *, read_only: bool = False) -> AbstractContextManager[BlockingTransaction]: ...


Mode: TypeAlias = Literal["sync", "async"]


@runtime_checkable
class DualModeStore(Protocol):
    """A store that has a driver for each mode of host, or for one of them."""

    def for_mode(self, mode: Mode) -> Store | BlockingStore: ...


AnyStore: TypeAlias = Store | BlockingStore | DualModeStore


@runtime_checkable
class Announcing(Protocol):
    """A store that says when a command was written, in whichever process: whoever awaits it need not look so often."""

    def announce(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener`` with the id of each command that is written from now on, from any thread, at least once
        while the database is reached; ``""`` says that some may have been missed. Gives what ends it.
        """


class Clock(Protocol):
    """The time, aware, in UTC."""

    def now(self) -> datetime: ...


class Send(Protocol):
    """One HTTP exchange. Raises TransportFailed where there is no answer."""

    async def __call__(self, request: Request) -> Response: ...


class DeadlinePassed(Exception):
    """What was called did not answer in its time. Raised by who waits for it, never by what is called."""


class Sleep(Protocol):
    """Lets so many seconds pass."""

    async def __call__(self, seconds: float) -> None: ...


Attributes: TypeAlias = Mapping[str, str | int | float | bool]
"""What a span or a number is about, by names such as ``ocpi.module``. Never a token, nor what identifies a driver."""


class Measurement(NamedTuple):
    """One value of a gauge."""

    value: float
    attributes: Attributes


class Span(Protocol):
    """Something that takes time, while it does."""

    def set(self, attributes: Attributes) -> None:
        """Say more of it; ``error.type`` says that it failed."""

    def headers(self) -> Mapping[str, str]:
        """What whoever is called gets along, to go on with the same trace; names in lower case."""


Role: TypeAlias = Literal["server", "client", "internal"]


class Telemetry(Protocol):
    """Where traces and numbers go. What it raises is noted once, and disturbs nothing.

    It is called from any thread and task, does not block, and is the same for both modes. docs/observability.md has
    the names.
    """

    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        """A span around a block; ``headers``: of the request that is served, with the trace that it belongs to."""

    def count(self, name: str, value: int, attributes: Attributes) -> None:
        """Add to a counter."""

    def duration(self, name: str, seconds: float, attributes: Attributes) -> None:
        """How long something took."""

    def gauge(self, name: str, read: Callable[[], Sequence[Measurement]]) -> None:
        """Ask ``read`` for the values whenever they are wanted. It reads the store, blocks, and does not raise."""
