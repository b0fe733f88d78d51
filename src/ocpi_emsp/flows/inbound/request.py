"""One request from a partner, on its way through a flow.

Rules of this module:
- a party only writes under its own country_code and party_id (transport_and_format.md, client owned object push), or
  under those that its connection is allowed: the owner of an object is the one in the URL;
- an object's id in the body must be the one in the URL (2001 otherwise);
- if the stored object is retained instead of the received one, the response is 1000 with the reason (spec-choices.md
  15).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, cast

import msgspec
from attrs import define, field, frozen

from ocpi_emsp.check import Policy, accept
from ocpi_emsp.codec.extensions import authorization_id_of
from ocpi_emsp.codec.patch import Members, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.repeated import repetitions
from ocpi_emsp.errors import InvalidObject, NotJson, OcpiError
from ocpi_emsp.events import Event
from ocpi_emsp.findings import Finding, Severity, worst, worst_first
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import emit
from ocpi_emsp.flows.parties.party import Caller, Party, matrix_of, policy_of
from ocpi_emsp.flows.parties.quota import Growth, fits, require_room, require_room_for_event
from ocpi_emsp.models import Session
from ocpi_emsp.ports import REJECTION, Entry, Key, Kind, Owner, Record, Transaction
from ocpi_emsp.routes import Route
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import Request, Response, success
from ocpi_emsp.wire.redaction import path_without, stored_body, stored_headers, stored_query, without

T = TypeVar("T")

JSON = ("content-type", "application/json")
_BESIDE_BODY = 500
"""Bytes of an event without its document."""
_ID_CLAUSE = "transport_and_format.md#errors"


def deviating(sentence: str, pointer: str, rule: str, message: str, clause: str) -> InvalidObject:
    """Return the rejection of an object for one deviation that only a flow can see."""
    finding = Finding(pointer=pointer, rule=rule, severity=Severity.ERROR, message=message, clause=clause)
    return InvalidObject(sentence, findings=(finding,))


def note(pointer: str, rule: str, message: str, clause: str) -> Finding:
    """Return a note for the response about a value that was read in another way than written."""
    return Finding(pointer=pointer, rule=rule, severity=Severity.NOTE, message=message, clause=clause)


@cache
def _another(rule: str, clause: str) -> Finding:
    """Return one more finding of a rule that was noted before."""
    return Finding(pointer="", rule=rule, severity=Severity.WARNING, message="one more", clause=clause)


class Outcome(Enum):
    """The result of receiving an object."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """It equals the stored object; only distinguished from UPDATED if :meth:`Incoming.compares` is true."""
    STALE = "stale"
    """The stored object is newer, or final, and is retained."""
    CONFLICT = "conflict"
    """A CDR whose id is already used by a CDR with other content; it is stored beside that one."""


@define  # see Incoming
class Stored:
    """The result of receiving an object, with its reason."""

    outcome: Outcome
    reason: str = ""
    """Why the stored object is retained."""
    record: Record | None = None
    """The record that is now valid, if the flow needs it."""

    @classmethod
    def over(cls, old: Record | None) -> Stored:
        """Return the result of storing an object in place of ``old``, or as a new one."""
        return cls(Outcome.CREATED if old is None else Outcome.UPDATED)

    @classmethod
    def kept(cls, reason: str) -> Stored:
        """Return the result that the stored object is retained."""
        return cls(Outcome.STALE, reason)


@frozen
class NewSession:
    """A new session, and its authorization_id if it names one."""

    view: Session
    authorization_id: str | None = None
    is_late: bool = False
    """True if the session was known before, and names its authorization only now."""

    @classmethod
    def of(cls, session: Session, document: bytes) -> NewSession:
        """Return the session of a document."""
        return cls(session, authorization_id_of(document))

    @classmethod
    def late(cls, session: Session, before: bytes, document: bytes) -> NewSession | None:
        """Return the session of a document that names another authorization than before; None if it does not."""
        name = authorization_id_of(document)
        return None if name is None or name == authorization_id_of(before) else cls(session, name, is_late=True)


class ReadAhead:
    """What was read of a body before its flow; an error is raised when the flow asks for it."""

    def __init__(self) -> None:
        self._found: dict[object, tuple[bytes, Any]] = {}

    def read(self, what: object, body: bytes, reader: Callable[[], object]) -> bool:
        """Read the body with ``reader``, under the name ``what``; return False if it is rejected."""
        try:
            self._found[what] = body, reader()
        except (NotJson, InvalidObject) as error:
            self._found[what] = body, error
            return False
        return True

    def has(self, what: object) -> bool:
        """Return True if ``what`` was read, from any bytes."""
        return what in self._found

    def find(self, what: object, body: bytes) -> Any:
        """Return what was read from this body, or None. Raises what its reader raised."""
        read_of, found = self._found.get(what, (None, None))
        if read_of != body:
            return None
        if isinstance(found, OcpiError):
            raise found
        return found


@define  # created for each request; a frozen class takes four times as long in attrs
class Incoming:
    """An object or request of a party: pushed to us, authenticated and matched to a route, or pulled by us."""

    context: Context
    caller: Caller
    request: Request
    params: Mapping[str, str]
    correlation_id: str
    now: datetime
    leased: list[Entry] = field(factory=list)
    """Events that are delivered once the flow has ended."""
    touched: list[Key] = field(factory=list)
    """Objects whose waiting events are delivered then, too."""
    deviations: list[Finding] = field(factory=list)
    """Warnings that were accepted: the response names the first, a partner report all."""
    noted: list[Finding] = field(factory=list)
    """Those deviations that only a flow can see: the notes of a sync name them."""
    counted: list[Finding] = field(factory=list)
    """Those deviations that may hold for many objects: the notes of a sync have the first, and the number of the
    others.
    """
    pulled: bool = False
    """True if we requested it: an unchanged object is then counted, and not written again."""
    grown: Growth = field(factory=Growth)
    """What the transaction adds to the party's stored amount."""
    fresh: list[NewSession] = field(factory=list)
    """New sessions of a transaction of many objects: their commands are looked for at its end, when all are locked."""
    versioned: set[Owner] | None = None
    """In a transaction of many objects: the owners of new tariffs that have tariff versions; None elsewhere."""

    beside: list[str] = field(factory=list)
    """Parts of it that were stored among the rejections, although it was accepted."""
    ahead: ReadAhead | None = None
    """What of a large body was read before its flow."""
    party: Party = field(init=False)
    """The sender."""
    owner: Owner = field(init=False)
    """The owner of the objects: the one that the URL names, or the party itself."""
    _location_key: Key | None = field(init=False, default=None)
    _parts: Members | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:  # cached properties of a class with slots take ten times as long
        self.party = self.caller.party
        country_code = self.params.get("country_code")
        self.owner = (
            self.party.owner if country_code is None else (country_code.upper(), self.params["party_id"].upper())
        )

    @property
    def location_key(self) -> Key:
        """The key of the location that the URL names."""
        if self._location_key is None:
            self._location_key = self.key(Kind.LOCATION, self.params["location_id"])
        return self._location_key

    @property
    def parts(self) -> Members:
        """The members of the body, cut once; read-only. Raises NotJson, InvalidObject."""
        if self._parts is None:
            self._parts = members(self.request.body)
        return self._parts

    def key(self, kind: str, object_id: str, parent: str = "") -> Key:
        """Return the key of one of the owner's objects."""
        country_code, party_id = self.owner
        return Key(kind, country_code, party_id, object_id, parent)

    def accept(self, kind: type[T], data: bytes | None = None) -> T:
        """Return the typed view of the body, or of ``data``. Raises NotJson, InvalidObject."""
        body = self.request.body if data is None else data
        if self.ahead is not None and (found := self.ahead.find(kind, body)) is not None:
            return cast("T", found)
        dated = not self._clears_time
        bounds = None if self.ahead is not None and body is self.request.body else self.context.limits.bodies
        accepted = self.deviations.append
        return accept(body, kind, self.policy, now=self.now, accepted=accepted, dated=dated, bounds=bounds)

    def read_ahead(self, kind: type[Any], data: bytes | None = None) -> None:
        """Read the body, or ``data``, in the form that the flow will request with :meth:`accept`."""
        body = self.request.body if data is None else data
        assert self.ahead is not None
        if self.ahead.read(kind, body, partial(self.accept, kind, body)) and body is self.request.body:
            self.ahead.read(repetitions, body, partial(repetitions, body, kind))

    def repetitions(self, document: bytes, kind: type[Any] | None = None) -> list[str]:
        """Return the pointers of repeated members of a document, which was accepted as ``kind``. Raises NotJson."""
        found: list[str] | None = None if self.ahead is None else self.ahead.find(repetitions, document)
        return repetitions(document, kind) if found is None else found

    @property
    def _clears_time(self) -> bool:
        """Return True if a PATCH sets last_updated to null: a required field, which it must not clear."""
        request = self.request
        if request.method != "PATCH" or b"null" not in request.body:
            return False
        return self.parts.get("last_updated") == msgspec.Raw(b"null")

    @property
    def policy(self) -> Policy:
        """The policy for this party's payloads."""
        return policy_of(self.party.profile, self.context.policy)

    @property
    def matrix(self) -> SupportMatrix:
        """The rows that are served to this party."""
        return matrix_of(self.party.profile, self.context.matrix)

    def require_id(self, member: str, found: str, wanted: str) -> None:
        """Raise InvalidObject if the id in the body is not the one in the URL."""
        if found != wanted:
            message = f"{member} is {shown(found)}, expected {shown(wanted)} as in the URL"
            raise deviating("the id in the URL differs from the body", f"/{member}", "url.id", message, _ID_CLAUSE)

    def note(self, pointer: str, rule: str, message: str, clause: str, *, counts: bool = False) -> None:
        """Add a warning that only a flow can see: the object is accepted, and the response names it."""
        severity = Severity.WARNING
        finding = Finding(pointer=pointer, rule=rule, severity=severity, message=message, clause=clause)
        self.deviations.append(finding)
        (self.counted if counts else self.noted).append(finding)

    def counts_only(self, rule: str, clause: str) -> bool:
        """Return True if another warning of this rule is only counted: the response names the first warning of a push.

        Finding the words for each takes as long as storing newer objects.
        """
        first = self.deviations[0] if self.deviations else None
        if self.pulled or self.request.method == "PATCH" or first is None or first.severity is Severity.NOTE:
            return False
        self.deviations.append(_another(rule, clause))
        return True

    def compares(self, event: type[Event]) -> bool:
        """Return True if it matters whether the content of an object differs from the stored one."""
        return self.pulled or self.context.has_receiver(event)

    async def require_room(self, tx: Transaction, old: Record | None, document: bytes) -> None:
        """Count an object that is about to be stored. Raises QuotaExceeded."""
        count, size = (1, len(document)) if old is None else (0, len(document) - len(old.document))
        if not fits(self.context, self.party, self.grown, count, size):
            await require_room(self.context, self.party, tx, self.grown, count, size)

    async def emit(self, tx: Transaction, event: type[Event], key: Key, body: bytes = b"", **details: object) -> None:
        """Journal an event of this request, to be delivered after the flow."""
        if self.context.has_receiver(event):
            await require_room_for_event(self.context, self.party, tx, len(body) + _BESIDE_BODY)
        entry = await emit(self.context, tx, event, key, self.correlation_id, body, **details)
        if entry is not None:
            self.leased.append(entry)

    def reply(self, stored: Stored) -> Response:
        """Return 201 for a new object, 200 for a known one and for one that is retained as stored (status_codes.md)."""
        if stored.outcome is Outcome.STALE:
            return Response(200, [JSON], success(self.now, message=f"Not stored: {stored.reason}"))
        status = 201 if stored.outcome is Outcome.CREATED else 200
        return Response(status, [JSON], success(self.now, message=self.message))

    @property
    def message(self) -> str:
        """The status_message of a success: it names the worst accepted deviation, if any."""
        if not self.deviations:
            return "Success"
        first, more = self._first(self.deviations), len(self.deviations) - 1
        others = f" ({more} more)" if more else ""
        where = f"{first.pointer}: " if first.pointer else ""
        return f"Success, although {where}{first.message} [{first.rule}]{others}"

    def _first(self, deviations: list[Finding]) -> Finding:
        """Return the worst deviation; for a PATCH, its own deviations come before those of the stored object."""
        if self.request.method == "PATCH":
            held = self.parts
            deviations = worst_first(deviations)
            return min(deviations, key=lambda each: each.pointer.partition("/")[2].partition("/")[0] not in held)
        first = worst(deviations)
        assert first is not None
        return first

    def rejection(self, route: Route, refusal: OcpiError, entry_id: str) -> Entry:
        """Return the journal entry that stores a rejected request, raw except for secrets, with its findings."""
        request, secrets = self.request, self.caller.presented
        # Credentials hold a token, which is only stored with its party.
        body = b"" if route.module == "credentials" else stored_body(request.body, secrets)
        most = self.context.limits.rejections.body
        return Entry(
            id=entry_id,
            topic=REJECTION,
            name=route.name,
            key=None,
            at=self.now,
            body=body[:most],
            details={
                "country_code": self.party.country_code,
                "party_id": self.party.party_id,
                "correlation_id": self.correlation_id,
                "method": request.method,
                "path": path_without(request.url, secrets),
                "query": stored_query(request.query, secrets),
                "headers": stored_headers(request.headers, secrets),
                "message": without(refusal.message, secrets),
                "findings": [
                    {name: without(text, secrets) for name, text in finding.as_json().items()}
                    for finding in refusal.findings
                ],
                **({"cut_from": len(body)} if len(body) > most else {}),
            },
        )

    def answer(self, data: bytes, *, status: int = 200) -> Response:
        """Return a success with ``data``; the message names the worst accepted deviation, if any."""
        return Response(status, [JSON], success(self.now, data, message=self.message))
