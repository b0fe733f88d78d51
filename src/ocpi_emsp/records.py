"""The data of a store: records, the journal's entries, and queries.

Rules of this module: plain data; ports.py has the interface of a store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from attrs import define, field, frozen

from ocpi_emsp.codec.content import content_hash


class Kind:
    """The kind of a record. Plain strings: a key is hashed on every request."""

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
PARTY_KINDS: Final = frozenset({Kind.PARTY, Kind.CREDENTIAL})
"""The kinds that identify a partner."""


Owner: TypeAlias = tuple[str, str]
"""The country_code and the party_id of an object's owner."""


class Key(NamedTuple):
    """The identifier of a record. ``parent``: the location of an EVSE or of a reservation, a token's type, the content
    hash of a CDR conflict, the discriminator of a tariff's versions.

    A pushed token is what a party has of a token of ours: the owner is that party, the rest is the token's.

    ``country_code`` and ``party_id`` are case-insensitive (CiString): a store has them in upper case.
    """

    kind: str
    country_code: str
    party_id: str
    id: str
    parent: str = ""


@define(unsafe_hash=True)  # never changed; attrs takes three times as long to create a frozen one
class Record:
    """One stored object: the document as received, and the values by which a store orders and filters."""

    key: Key
    document: bytes
    """The JSON text in UTF-8, stored byte for byte."""
    last_updated: datetime
    received_at: datetime
    """When its last change was received, or a full sync last listed it."""
    view: Any = field(default=None, eq=False, repr=False)
    """The typed view of the document, or an object with its attributes, if the flow has one: a store fills its query
    columns from it.
    """
    revision: int = field(default=0, eq=False)
    """The number of puts of the record; those of one transaction count once or each: 1 for a new one. Set by the
    store.
    """
    sequence: int = field(default=0, eq=False)
    """The position among the records of its kind, in the order of their first put. Set by the store."""
    missing_since: datetime | None = field(default=None, eq=False)
    """Since when its owner no longer lists it; None if it is listed. A put of a fresh record resets it."""
    missed: int = field(default=0, eq=False)
    """The number of full syncs in a row that did not list it."""
    correlation_id: str = field(default="", eq=False)
    """The correlation id of the last change; empty if it had none."""
    valid_from: datetime | None = None
    """For a tariff and its versions: from when its content is valid; None if that is its ``last_updated``."""
    first_received_at: datetime | None = None
    """For a tariff and its versions: when its content was first received; None if that is its ``received_at``."""
    valid_until: datetime | None = None
    """For a tariff's version: when it ended. A tariff itself is still valid."""

    def updated(self, last_updated: datetime, correlation_id: str) -> Record:
        """Return the same record, changed at another time; ``evolve`` takes six times as long."""
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

    def listed(self, received_at: datetime) -> Record:
        """Return the same record, received again and not missing."""
        return Record(
            self.key,
            self.document,
            self.last_updated,
            received_at,
            self.view,
            self.revision,
            self.sequence,
            None,
            0,
            self.correlation_id,
            self.valid_from,
            self.first_received_at,
            self.valid_until,
        )

    @cached_property
    def content_hash(self) -> str:
        """The hash of the document's content, without its ``last_updated``."""
        return content_hash(self.document, self.key.kind)


@frozen(kw_only=True)
class Query:
    """Records of one kind, oldest first (by their first put): by owner, last updated in ``[date_from, date_to)``,
    received in ``[received_from, received_to)``.

    A reader of everything continues ``after`` its last record's sequence: each page costs the same, unlike by
    ``offset``.
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
    """CDRs, or sessions, that start in ``[start_from, start_to)``; ``by_start``: the first or the last of them (no
    ``after``).
    """
    date_from: datetime | None = None
    date_to: datetime | None = None
    received_from: datetime | None = None
    received_to: datetime | None = None
    id: str | None = None
    """Records with this id, of every owner."""
    id_in_any_case: str | None = None
    """Records with this id, ignoring the case of letters: at least of A to Z."""
    at: datetime | None = None
    """Tariffs, or versions of tariffs, that were valid at this moment: from then or earlier, and until later."""
    after: int = 0
    offset: int = 0
    limit: int = 100
    count: bool = True
    """True to count; otherwise ``Page.total`` is 0."""


@frozen
class Page:
    """A page of records, and the number of all records that match the query."""

    records: Sequence[Record]
    total: int


@frozen
class Documents:
    """The documents of a page, without the rest of their records."""

    joined: bytes
    """The JSON texts, byte for byte as stored, separated by commas."""
    last: int
    """The sequence of the last one; 0 if there is none."""
    more: bool
    """True if others follow."""
    total: int
    """The number of all that match the query; 0 if it does not count."""


EVENT: Final = "event"
"""Events for listeners in this process."""
RELAY: Final = "relay"
"""Events for a relay, which passes them to a broker."""
REJECTION: Final = "rejection"
RESYNC: Final = "resync"
"""What the next sync of a party must pull: an object, or a window. One entry per request, by its id."""
DEADLINE: Final = "deadline"
"""Deadlines of open commands and of reservations, at ``due``."""
START: Final = "start"
"""START_SESSION and RESERVE_NOW commands that wait for their session, by location."""
NAMED_START: Final = "named_start"
"""Those with an ``authorization_id``, by that."""
START_PLACE: Final = "start_place"
"""Those of NAMED_START by location, for a session without an authorization_id."""
FAN_OUT: Final = "fan_out"
"""Parties with pending token pushes; one entry per party, by its id."""
SYNC: Final = "sync"
"""When a party is synced next; one entry per party, by its id."""
AUTHORIZATION: Final = "authorization"
"""Decisions on real-time authorizations; only the newest are stored."""
UPKEEP: Final = "upkeep"
"""When work on the whole store is due next; one entry per kind of work, by its id."""
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
    """Not delivered before this time: another process has leased it, or it failed and is retried then."""
    sequence: int = field(default=0, eq=False)
    """The position in the journal. Set by the store."""

    @property
    def size(self) -> int:
        """The bytes of the body, and of the details as JSON."""
        return len(self.body) + len(json.dumps(dict(self.details)))


PARKED: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""The ``due`` of an entry that waits behind an earlier one of its object, which failed: the process that settles the
earlier one leases this one, or unparks it.
"""


@frozen(kw_only=True)
class DueQuery:
    """The entries of a topic that may be handled now: whose ``due`` is None, at most ``at``, or after ``beyond`` and
    before PARKED; oldest first, after a sequence.
    """

    topic: str
    at: datetime
    beyond: datetime = PARKED
    """A ``due`` further ahead was set by a clock that has gone back since."""
    not_named: frozenset[str] = frozenset()
    """Names of entries that are excluded."""
    after: int = 0
    limit: int = 100


@frozen
class Usage:
    """An amount of stored data."""

    count: int = 0
    bytes: int = 0
    """Bytes of the documents; for an entry those of the body, and of the details as JSON."""

    def plus(self, count: int, size: int) -> Usage:
        """Return the amount, increased."""
        return Usage(self.count + count, self.bytes + size)
