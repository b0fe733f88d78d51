"""Events: changes of the backend's data, for listeners.

Rules of this module:
- an event is written to the journal in the transaction of its change and delivered after the commit, at least once, in
  order per object; a later ``last_updated`` alone is not an event;
- an event has the typed view of the object as stored after the change;
- a relayed event has the same content, in bytes that are equal at every attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias

import msgspec
from attrs import field, fields_dict, frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import Cdr, CommandResponseType, CommandType, Evse, Location, Session, Tariff
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.ports import Entry, Key
from ocpi_emsp.pricing import Reason, Verdict


@frozen(kw_only=True)
class Event:
    """The common fields of all events: the object's owner, when the change was received, and its correlation id."""

    model: ClassVar[tuple[str, type[Any]] | None] = None
    """The attribute with the typed view of the journalled document, and its model."""

    country_code: str
    party_id: str
    at: datetime
    correlation_id: str

    @property
    def party(self) -> PartyId:
        """The owner of the object, such as ``NL-TNM``."""
        return PartyId.received(self.country_code, self.party_id)


@frozen(kw_only=True)
class LocationReceived(Event):
    """A location was created or changed."""

    model = ("location", Location)
    location: Location
    created: bool


@frozen(kw_only=True)
class EvseReceived(Event):
    """An EVSE, or a connector of it, was created or changed."""

    model = ("evse", Evse)
    location_id: str
    evse: Evse
    created: bool


@frozen(kw_only=True)
class EvseRemoved(Event):
    """A PUT of a location left this EVSE out, so it is REMOVED."""

    model = ("evse", Evse)
    location_id: str
    evse: Evse


@frozen(kw_only=True)
class SessionReceived(Event):
    """A session was created or changed."""

    model = ("session", Session)
    session: Session
    created: bool


@frozen(kw_only=True)
class SessionInvalidated(Event):
    """A COMPLETED session became INVALID."""

    model = ("session", Session)
    session: Session


@frozen(kw_only=True)
class SessionEnergyDecreased(Event):
    """A session has fewer kWh than before."""

    model = ("session", Session)
    session: Session
    previous_kwh: Decimal


@frozen(kw_only=True)
class TariffReceived(Event):
    """A tariff was created or changed."""

    model = ("tariff", Tariff)
    tariff: Tariff
    created: bool


@frozen(kw_only=True)
class TariffDeleted(Event):
    """A tariff was deleted."""

    model = ("tariff", Tariff)
    tariff: Tariff


@frozen(kw_only=True)
class CdrReceived(Event):
    """A CDR was received for the first time."""

    model = ("cdr", Cdr)
    cdr: Cdr


@frozen(kw_only=True)
class CdrConflict(Event):
    """A CDR was received under the id of another one with other content; it is stored beside the first, which is
    retained.
    """

    model = ("cdr", Cdr)
    cdr: Cdr


@frozen(kw_only=True)
class CdrAudited(Event):
    """A CDR was audited: for the first time, or with another result than before (``Emsp(audit=True)``)."""

    model = ("cdr", Cdr)
    cdr: Cdr
    verdict: Verdict
    """Whether the CDR's total follows from its tariff."""
    difference: Decimal | None
    """Claimed minus expected, in the CDR's currency; None if undecidable."""
    at_least: bool
    """True if the difference is to a bound: it is at least that much."""
    reasons: tuple[Reason, ...]
    """Why it is undecidable, and suspicions beside the price; the first 100."""


@frozen(kw_only=True)
class CommandResultReceived(Event):
    """The charge point's result of a command that we sent."""

    uid: str
    command: CommandType
    result: CommandResponseType
    late: bool = False
    """True if it was received after the deadline, and so after CommandTimedOut."""


@frozen(kw_only=True)
class CommandTimedOut(Event):
    """The deadline of a command that we sent passed without a result; a late result may still follow."""

    uid: str
    command: CommandType


@frozen(kw_only=True)
class CommandLedToSession(Event):
    """The session that a START_SESSION caused was received."""

    uid: str
    command: CommandType
    session_id: str


@frozen(kw_only=True)
class ReservationChanged(Event):
    """A reservation became ACTIVE, REFUSED, EXPIRED or USED, or was replaced."""

    reservation_id: int
    location_id: str
    evse_uid: str | None
    state: str
    """One of :class:`ocpi_emsp.resources.ReservationState`."""
    uid: str
    """The uid of the command that it is based on."""
    session_id: str | None
    """The session that uses the reservation."""


@frozen(kw_only=True)
class ObjectMoved(Event):
    """An object that was stored as its hub's own is now stored under its owner (``module`` and ``id`` identify it)."""

    module: str
    id: str
    previous_party: PartyId
    """The previous owner: the party of the connection."""


@frozen(kw_only=True)
class ResyncRequested(Event):
    """A partner changed an object that is not stored here: it should be pulled (``module`` and ``id`` identify it)."""

    module: str
    id: str


@frozen(kw_only=True)
class QuotaReached(Event):
    """A party has reached a storage quota, so more is rejected. Sent once, and again on each day on which it stays
    so.
    """

    quota: str
    """The setting of the quota, such as ``QuotaLimits.objects``."""
    limit: int


@frozen(kw_only=True)
class PartyRegistered(Event):
    """The credentials handshake with a party is complete."""

    notes: tuple[str, ...] = ()
    """Oddities of its versions and endpoints, and how they were handled."""


@frozen(kw_only=True)
class PartyUpdated(Event):
    """A party renewed its credentials or endpoints."""

    notes: tuple[str, ...] = ()
    """Oddities of its versions and endpoints, and how they were handled."""


@frozen(kw_only=True)
class PartyUnregistered(Event):
    """A party withdrew its credentials."""


@frozen(kw_only=True)
class HandshakeFailed(Event):
    """A party sent its credentials, and its API is unusable: the response was neutral, the reason is here."""

    reason: str


EVENTS: dict[str, type[Event]] = {
    name: kind
    for name, kind in globals().items()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
}
"""The events above, by name."""

_OLD_NAMES = {"ResyncWanted": "ResyncRequested"}
"""New names of version 0.1's events, which may still wait in a journal."""
_READINGS: dict[str, Any] = {
    "notes": tuple,
    "previous_kwh": Decimal,
    "previous_party": PartyId.parse,
    "command": CommandType.of,
    "result": CommandResponseType.of,
    "verdict": Verdict,
    "difference": lambda text: None if text is None else Decimal(text),
    "reasons": lambda found: tuple(Reason(**each) for each in found),
}


class UnreadableEvent(OcpiError):
    """An unreadable journalled event, for example one of a newer version."""


def kind_of(name: str) -> type[Event] | None:
    """Return the class of the events that are journalled under this name, or None."""
    return EVENTS.get(_OLD_NAMES.get(name, name))


def names_of(kinds: Iterable[type[Event]]) -> frozenset[str]:
    """Return the names under which events of these kinds are journalled."""
    wanted = frozenset(kinds)
    return frozenset(name for name in (*EVENTS, *_OLD_NAMES) if kind_of(name) in wanted)


def event_of(entry: Entry) -> Event:
    """Return the event of a journal entry. Raises UnreadableEvent."""
    kind = kind_of(entry.name)
    if kind is None:
        raise UnreadableEvent(f"there is no event {shown(entry.name)} in this version")
    try:
        return _event(kind, entry)
    except Exception as error:
        raise UnreadableEvent(f"{entry.name} cannot be read: {type(error).__name__}: {error}") from error


def _event(kind: type[Event], entry: Entry) -> Event:
    values: dict[str, Any] = {"at": entry.at, **entry.details}
    values |= {name: read(values[name]) for name, read in _READINGS.items() if name in values}
    if kind.model is not None:
        attribute, model = kind.model
        values[attribute] = decode(model, entry.body, updated=entry.at)
    return kind(**{name: value for name, value in values.items() if name in fields_dict(kind)})


@frozen(kw_only=True)
class RelayedEvent:
    """An event for a broker."""

    id: str
    """The same at every attempt: a consumer that stores it processes no event twice."""
    name: str
    """The name of the event's class, such as ``SessionReceived``."""
    country_code: str
    party_id: str
    at: datetime
    correlation_id: str
    key: Key
    """The object: events with the same key are in order."""
    event: Event
    _entry: Entry = field(repr=False)

    @property
    def party(self) -> PartyId:
        """The owner of the object, such as ``NL-TNM``."""
        return self.event.party

    @classmethod
    def of(cls, entry: Entry) -> RelayedEvent:
        """Return the event of a journal entry. Raises UnreadableEvent."""
        event = event_of(entry)
        if entry.key is None:
            raise UnreadableEvent(f"{entry.name} names no object")
        return cls(
            id=entry.id,
            name=type(event).__name__,
            country_code=event.country_code,
            party_id=event.party_id,
            at=entry.at,
            correlation_id=event.correlation_id,
            key=entry.key,
            event=event,
            entry=entry,
        )

    def to_json(self) -> bytes:
        """Return the event as one JSON object, in UTF-8; the same bytes at every attempt.

        Its members: ``id``, ``name``, ``country_code``, ``party_id``, ``at``, ``correlation_id``, ``key`` (``kind``,
        ``id``, ``parent``), ``details`` (the event's other fields, such as ``created``), ``document`` (the object as
        stored, with all that the partner sent; null if the event has no document).
        """
        common = {"country_code", "party_id", "correlation_id"}
        document = {
            "id": self.id,
            "name": self.name,
            "country_code": self.country_code,
            "party_id": self.party_id,
            "at": self.at,
            "correlation_id": self.correlation_id,
            "key": {"kind": self.key.kind, "id": self.key.id, "parent": self.key.parent},
            "details": {name: value for name, value in sorted(self._entry.details.items()) if name not in common},
            "document": msgspec.Raw(self._entry.body or b"null"),
        }
        return msgspec.json.encode(document)


PublishFunction: TypeAlias = Callable[[list[RelayedEvent]], object]
"""Publishes a batch of events, plain or async; if it raises, they stay stored for another attempt."""
