"""The ports: protocols that a store, a transport, a clock and a telemetry fulfil. Flows know nothing behind them.

Rules of this module:
- every port is small, and async: a port that never suspends serves the sync shell as well (see _bridge.py);
- a store is dumb: behaviour lives in flows, atomicity in the store's transaction;
- inside a transaction a flow awaits nothing but the transaction;
- a flow that needs a location and its EVSEs reads the location first: two transactions then lock in one order.
"""

from __future__ import annotations

import json
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
    TARIFF_VERSION: Final = "tariff_version"
    CDR: Final = "cdr"
    CDR_CONFLICT: Final = "cdr_conflict"
    TOKEN: Final = "token"
    COMMAND: Final = "command"
    CHECKPOINT: Final = "checkpoint"
    PUSHED: Final = "pushed"
    RESERVATION: Final = "reservation"
    AUDIT: Final = "audit"


NAMES: Final[Mapping[str, str]] = {
    Kind.PARTY: "parties",
    Kind.CREDENTIAL: "credentials",
    Kind.LOCATION: "locations",
    Kind.EVSE: "evses",
    Kind.SESSION: "sessions",
    Kind.TARIFF: "tariffs",
    Kind.TARIFF_VERSION: "tariff_versions",
    Kind.CDR: "cdrs",
    Kind.CDR_CONFLICT: "cdr_conflicts",
    Kind.TOKEN: "tokens",
    Kind.COMMAND: "commands",
    Kind.CHECKPOINT: "checkpoints",
    Kind.PUSHED: "pushed_tokens",
    Kind.RESERVATION: "reservations",
    Kind.AUDIT: "audits",
}
"""Every kind and the plural name of its records; a location comes before its EVSEs."""


Owner: TypeAlias = tuple[str, str]
"""The country_code and the party_id of the party that an object is of."""


class Key(NamedTuple):
    """What identifies a record. ``parent``: the location of an EVSE or of a reservation, a token's type, the content
    hash of a CDR conflict, what distinguishes the versions of a tariff.

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
    """The JSON text in UTF-8, stored byte for byte."""
    last_updated: datetime
    received_at: datetime
    view: Any = field(default=None, eq=False, repr=False)
    """The typed view of the document, if the flow has it: a store fills its query columns from it."""
    revision: int = field(default=0, eq=False)
    """The number of puts of the record: 1 for a new one. Set by the store."""
    sequence: int = field(default=0, eq=False)
    """The position among the records of its kind, in the order of their first put. Set by the store."""
    missing_since: datetime | None = field(default=None, eq=False)
    """Since when its owner no longer lists it; None if it is listed. A put of a fresh record resets it."""
    missed: int = field(default=0, eq=False)
    """The number of full syncs in a row that did not list it."""
    correlation_id: str = field(default="", eq=False)
    """The correlation id of the last change; empty if it had none."""
    valid_from: datetime | None = None
    """Of a tariff and its versions: from when on what it says holds; None if that is its ``last_updated``."""
    first_received_at: datetime | None = None
    """Of a tariff and its versions: when what it says was received first; None if that is its ``received_at``."""
    valid_until: datetime | None = None
    """Of a tariff's version: until when it held. A tariff itself still does."""

    def updated(self, last_updated: datetime, correlation_id: str) -> Record:
        """The same, changed at another time; ``evolve`` takes six times as long."""
        return Record(
            self.key,
            self.document,
            last_updated,
            self.received_at,
            self.view,
            self.revision,
            self.sequence,
            self.missing_since,
            self.missed,
            correlation_id,
            self.valid_from,
            self.first_received_at,
            self.valid_until,
        )

    @cached_property
    def content_hash(self) -> str:
        """The hash of what the document says, without its ``last_updated``."""
        return content_hash(self.document, self.key.kind)


@frozen(kw_only=True)
class Query:
    """Records of one kind, oldest first (by their first put): by owner, last updated in ``[date_from, date_to)``,
    received in ``[received_from, received_to)``.

    A reader of everything goes on ``after`` its last record's sequence: each page costs the same, unlike by ``offset``.
    """

    kind: str
    country_code: str | None = None
    party_id: str | None = None
    auth_id: str | None = None
    """CDRs, sessions, or tokens of ours, with this ``auth_id``."""
    location_id: str | None = None
    """CDRs at this location."""
    start_from: datetime | None = None
    start_to: datetime | None = None
    by_start: Literal["first", "last"] | None = None
    """CDRs, or sessions, that start in ``[start_from, start_to)``; ``by_start``: those first or last (no ``after``)."""
    date_from: datetime | None = None
    date_to: datetime | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    id: str | None = None
    """Records with this id, of every owner."""
    id_in_any_case: str | None = None
    """Records whose id is this one, the case of its letters apart: of A to Z at least."""
    at: datetime | None = None
    """Tariffs, or versions of tariffs, that held at this moment: from then or earlier, and until later."""
    after: int = 0
    offset: int = 0
    limit: int = 100
    count: bool = True
    """Whether to count; otherwise ``Page.total`` is 0."""


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
"""What the next sync of a party has to pull: an object, or a window. One entry per request, by its id."""
DEADLINE: Final = "deadline"
"""Deadlines of open commands and of reservations, at ``due``."""
START: Final = "start"
"""START_SESSION and RESERVE_NOW commands that wait for their session, by location."""
NAMED_START: Final = "named_start"
"""Those that have an ``authorization_id``, by that."""
START_PLACE: Final = "start_place"
"""Those of NAMED_START by location, for a session that names no authorization."""
FAN_OUT: Final = "fan_out"
"""Parties with pending token pushes; one entry per party, by its id."""
SYNC: Final = "sync"
"""When a party is synced next; one entry per party, by its id."""
AUTHORIZATION: Final = "authorization"
"""Decisions on real-time authorizations; a store keeps the newest of them."""
UPKEEP: Final = "upkeep"
"""When work on the whole store is done next; one entry per kind of work, by its id."""
PENDING_AUDIT: Final = "pending_audit"
"""CDRs that are to be audited; one entry per CDR, by its id."""
QUOTA: Final = "quota"
"""Quotas that a party has reached; one entry per party and quota, by its id."""
DEAD: Final = {EVENT: "dead_event", RELAY: "dead_relay"}
"""Events that failed too often."""
STARTS: Final = (START, NAMED_START, START_PLACE)
TOPICS: Final = (
    EVENT,
    RELAY,
    REJECTION,
    RESYNC,
    DEADLINE,
    *STARTS,
    FAN_OUT,
    SYNC,
    AUTHORIZATION,
    *(PENDING_AUDIT, QUOTA, UPKEEP),
    *DEAD.values(),
)


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
    """Not delivered before: another process has leased it, or it failed and is retried then."""
    sequence: int = field(default=0, eq=False)
    """The position in the journal. Set by the store."""

    @property
    def size(self) -> int:
        """The bytes of the body, and of the details as JSON."""
        return len(self.body) + len(json.dumps(dict(self.details)))


@frozen
class Usage:
    """How much there is of something."""

    count: int = 0
    bytes: int = 0
    """Of the documents; of an entry the body, and the details as JSON."""

    def plus(self, count: int, size: int) -> Usage:
        """So much more."""
        return Usage(self.count + count, self.bytes + size)


class Transaction(Protocol):
    """An atomic unit: what it reads is locked until its end, so two transactions on one record run in sequence.

    That includes records that do not exist yet. A read-only transaction locks nothing and cannot write.
    Raises CannotStore (an InvalidObject) if the store cannot save a value, at the call or at the commit.
    """

    async def get(self, key: Key) -> Record | None:
        """The record, or None."""

    async def put(self, record: Record) -> None:
        """Insert or replace; a replaced record keeps its place in the order.

        Raises InvalidObject if an EVSE has no location at the commit.
        """

    async def delete(self, key: Key) -> None:
        """Remove the record, if it exists; a location with its EVSEs."""

    async def children(self, key: Key) -> Sequence[Record]:
        """The EVSEs of a location, oldest first."""

    async def page(self, query: Query) -> Page:
        """The records that match, oldest first."""

    async def append(self, entry: Entry) -> None:
        """Add to the journal; an entry with the same id is replaced in its place."""

    async def entry(self, entry_id: str) -> Entry | None:
        """The entry with this id, or None."""

    async def entries(
        self, topic: str, key: Key | None = None, limit: int = 100, *, owner: Owner | None = None, after: int = 0
    ) -> Sequence[Entry]:
        """Entries of one topic, oldest first, ``after`` a sequence; of one object, or one owner, where it is given."""

    async def settle(self, entry_id: str) -> None:
        """Remove an entry that is delivered or obsolete."""

    async def usage(self, name: str, owner: Owner | None = None) -> Mapping[Owner, Usage]:
        """What each owner has of a kind or of a topic, or this owner alone; one that has nothing is not among them.

        It locks nothing. It may read all of it, so it is asked for seldom.
        """


class Store(Protocol):
    """A store of objects. The context manager commits at its end and rolls back if the block raises.

    Raises StoreFailed if the store cannot be reached.
    """

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""


def is_joined(tx: Transaction) -> bool:
    """Return True for a part of the host's transaction: it may be rolled back, so no event is delivered yet."""
    return getattr(tx, "joined", False) is True  # a wrapper may give anything for a name that it does not know


def is_of_one_process(tx: Transaction) -> bool:
    """Return True where other processes see nothing of what this one stores."""
    return getattr(tx, "of_one_process", False) is True


class BlockingTransaction(Protocol):
    """:class:`Transaction` for a driver that blocks; each method means the same."""

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
        while the database is connected; ``""`` means that some may have been missed. Returns a function that ends it.
        """


class Clock(Protocol):
    """Returns the current time, aware, in UTC."""

    def now(self) -> datetime:
        """Return the current time."""


class Send(Protocol):
    """One HTTP exchange. Raises TransportFailed if there is no answer."""

    async def __call__(self, request: Request) -> Response: ...


class ReadBody(Protocol):
    """Reads the body of a received request, after its head was looked at."""

    async def __call__(self, most: int) -> bytes:
        """Return the next bytes, ``most`` of them; fewer are the end. Raises BodyTooSlow, CallerGone."""


class DeadlinePassed(Exception):
    """A hook did not answer in time. Raised by the caller, never by the hook."""


class Sleep(Protocol):
    """Waits for a number of seconds."""

    async def __call__(self, seconds: float) -> None: ...


Attributes: TypeAlias = Mapping[str, str | int | float | bool]
"""What a span or a number is about, by names such as ``ocpi.module``. Never a token, nor what identifies a driver."""


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

    It is called from any thread and task, by sync and async hosts, and must not block. docs/observability.md lists the
    names.
    """

    def span(
        self, name: str, role: Role, attributes: Attributes, headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Span]:
        """Open a span around a block; ``headers``: those of the served request, which carry its trace."""

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
"""What a telemetry counts: the unit and the description of each name. docs/observability.md has the same table."""
HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = {
    SERVER_DURATION: ("s", "How long a partner waited for an answer."),
    CLIENT_DURATION: ("s", "How long a call to a partner took, with its turn, its retries and their waits."),
}
GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    SYNC_LAG: ("s", "Time since the moment up to which the last completed sync has everything."),
    COMMANDS_PENDING: ("{command}", "Commands whose result is awaited."),
}
