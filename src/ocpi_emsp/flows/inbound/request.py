"""One request from a partner, on its way through a flow.

Rules of this module:
- a party writes only under its own country_code and party_id (transport_and_format.md, client owned object push), or
  those that its connection is allowed: the owner of an object is the one in the URL;
- an object's id in the body is the one in the URL (2001 otherwise);
- where the stored object stays instead of the received one, the answer is 1000 with the reason (spec-choices.md 15).
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
"""Bytes of an event beside its document."""
_ID_CLAUSE = "transport_and_format.md#errors"


def deviating(sentence: str, pointer: str, rule: str, message: str, clause: str) -> InvalidObject:
    """The refusal of an object for one deviation that only a flow can see."""
    finding = Finding(pointer=pointer, rule=rule, severity=Severity.ERROR, message=message, clause=clause)
    return InvalidObject(sentence, findings=(finding,))


def note(pointer: str, rule: str, message: str, clause: str) -> Finding:
    """What was read otherwise than it is written, to be named in the answer."""
    return Finding(pointer=pointer, rule=rule, severity=Severity.NOTE, message=message, clause=clause)


@cache
def _another(rule: str, clause: str) -> Finding:
    """One more of what was noted before."""
    return Finding(pointer="", rule=rule, severity=Severity.WARNING, message="one more", clause=clause)


class Outcome(Enum):
    """What became of an object that was received."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    """It equals the stored one; distinguished from UPDATED only where :meth:`Incoming.compares` is true."""
    STALE = "stale"
    """The stored one is newer, or final, and stays."""
    CONFLICT = "conflict"
    """A CDR under an id that another content has; it is stored beside that one."""


@define  # as Incoming
class Stored:
    """What became of an object that was received."""

    outcome: Outcome
    reason: str = ""
    """Why the stored one stays."""
    record: Record | None = None
    """The one that stands, where the flow needs it."""

    @classmethod
    def over(cls, old: Record | None) -> Stored:
        """It is stored in the place of ``old``, or as a new one."""
        return cls(Outcome.CREATED if old is None else Outcome.UPDATED)

    @classmethod
    def kept(cls, reason: str) -> Stored:
        """The stored one stays."""
        return cls(Outcome.STALE, reason)


@frozen
class NewSession:
    """A session that was not known, and what its authorization is called, where it says that."""

    view: Session
    authorization_id: str | None = None
    is_late: bool = False
    """The session was known, and says only now what its authorization is called."""

    @classmethod
    def of(cls, session: Session, document: bytes) -> NewSession:
        """The session of a document."""
        return cls(session, authorization_id_of(document))

    @classmethod
    def late(cls, session: Session, before: bytes, document: bytes) -> NewSession | None:
        """The session of a document that names another authorization than before; None where it does not."""
        name = authorization_id_of(document)
        return None if name is None or name == authorization_id_of(before) else cls(session, name, is_late=True)


class ReadAhead:
    """What was read of a body before its flow, which finds it here; an error is raised where it is asked for."""

    def __init__(self) -> None:
        self._found: dict[object, tuple[bytes, Any]] = {}

    def read(self, what: object, body: bytes, reader: Callable[[], object]) -> bool:
        """Read it; ``what`` it is then asked for by. Gives False where it is refused."""
        try:
            self._found[what] = body, reader()
        except (NotJson, InvalidObject) as error:
            self._found[what] = body, error
            return False
        return True

    def has(self, what: object) -> bool:
        """Whether it was read, of whatever bytes."""
        return what in self._found

    def find(self, what: object, body: bytes) -> Any:
        """What was read of this body, or None. Raises what its reader raised."""
        read_of, found = self._found.get(what, (None, None))
        if read_of != body:
            return None
        if isinstance(found, OcpiError):
            raise found
        return found


@define  # one is made for each request, and attrs takes four times as long for a frozen one
class Incoming:
    """An object or request of a party: pushed to us, authenticated and matched to a route, or pulled by us."""

    context: Context
    caller: Caller
    request: Request
    params: Mapping[str, str]
    correlation_id: str
    now: datetime
    leased: list[Entry] = field(factory=list)
    """Events that are delivered once the flow is done."""
    touched: list[Key] = field(factory=list)
    """Objects of which the events that wait are delivered then, too."""
    deviations: list[Finding] = field(factory=list)
    """Warnings that were let pass: the answer names the first, a partner report all."""
    noted: list[Finding] = field(factory=list)
    """Those among them that only a flow can see: the notes of a sync name them."""
    counted: list[Finding] = field(factory=list)
    """Those among them that may hold for many objects: the notes of a sync have the first, and how many more."""
    pulled: bool = False
    """We asked for it: what did not change is counted, and not written again."""
    grown: Growth = field(factory=Growth)
    """What the transaction adds to what the party stores."""
    fresh: list[NewSession] = field(factory=list)
    """New sessions of a transaction of many: their commands are looked for at its end, when all of them are locked."""
    versioned: set[Owner] | None = None
    """In a transaction of many: the owners of new tariffs that have versions of tariffs; None elsewhere."""

    beside: list[str] = field(factory=list)
    """What of it was stored among the rejections, although it was accepted."""
    ahead: ReadAhead | None = None
    """What of a large body was read before its flow."""
    party: Party = field(init=False)
    """Who sent it."""
    owner: Owner = field(init=False)
    """Whose objects it is about: the one that the URL names, or the party's own."""
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
        """The members of the body, which are cut once: to be read, not changed. Raises NotJson, InvalidObject."""
        if self._parts is None:
            self._parts = members(self.request.body)
        return self._parts

    def key(self, kind: str, object_id: str, parent: str = "") -> Key:
        """The key of one of the owner's objects."""
        country_code, party_id = self.owner
        return Key(kind, country_code, party_id, object_id, parent)

    def accept(self, kind: type[T], data: bytes | None = None) -> T:
        """The typed view of the body, or of ``data``. Raises NotJson, InvalidObject."""
        body = self.request.body if data is None else data
        if self.ahead is not None and (found := self.ahead.find(kind, body)) is not None:
            return cast("T", found)
        dated = not self._clears_time
        bounds = None if self.ahead is not None and body is self.request.body else self.context.limits.bodies
        accepted = self.deviations.append
        return accept(body, kind, self.policy, now=self.now, accepted=accepted, dated=dated, bounds=bounds)

    def read_ahead(self, kind: type[Any], data: bytes | None = None) -> None:
        """Read the body, or ``data``, as what :meth:`accept` is asked for by the flow."""
        body = self.request.body if data is None else data
        assert self.ahead is not None
        if self.ahead.read(kind, body, partial(self.accept, kind, body)) and body is self.request.body:
            self.ahead.read(repetitions, body, partial(repetitions, body, kind))

    def repetitions(self, document: bytes, kind: type[Any] | None = None) -> list[str]:
        """The pointers of repeated members of a document, which was accepted as ``kind``. Raises NotJson."""
        found: list[str] | None = None if self.ahead is None else self.ahead.find(repetitions, document)
        return repetitions(document, kind) if found is None else found

    @property
    def _clears_time(self) -> bool:
        """Whether a PATCH sets last_updated to null: a required field, which it must not clear."""
        request = self.request
        if request.method != "PATCH" or b"null" not in request.body:
            return False
        return self.parts.get("last_updated") == msgspec.Raw(b"null")

    @property
    def policy(self) -> Policy:
        """What of this party's payloads is refused."""
        return policy_of(self.party.profile, self.context.policy)

    @property
    def matrix(self) -> SupportMatrix:
        """What is served to this party."""
        return matrix_of(self.party.profile, self.context.matrix)

    def require_id(self, member: str, found: str, wanted: str) -> None:
        """Raises InvalidObject where the id in the body is not the one in the URL."""
        if found != wanted:
            message = f"{member} is {shown(found)}, expected {shown(wanted)} as in the URL"
            raise deviating("the id in the URL differs from the body", f"/{member}", "url.id", message, _ID_CLAUSE)

    def note(self, pointer: str, rule: str, message: str, clause: str, *, counts: bool = False) -> None:
        """Add a warning that only a flow can see: what is received is accepted, and the answer names it."""
        severity = Severity.WARNING
        finding = Finding(pointer=pointer, rule=rule, severity=severity, message=message, clause=clause)
        self.deviations.append(finding)
        (self.counted if counts else self.noted).append(finding)

    def counts_only(self, rule: str, clause: str) -> bool:
        """Whether another warning of this rule is counted without its words: the answer names the first of a push, and
        no more of it is read. To find the words for each takes as long as to store what is newer."""
        first = self.deviations[0] if self.deviations else None
        if self.pulled or self.request.method == "PATCH" or first is None or first.severity is Severity.NOTE:
            return False
        self.deviations.append(_another(rule, clause))
        return True

    def compares(self, event: type[Event]) -> bool:
        """True where it matters whether the content of an object differs from the stored one."""
        return self.pulled or self.context.has_receiver(event)

    async def require_room(self, tx: Transaction, old: Record | None, document: bytes) -> None:
        """Count an object that is about to be stored. Raises QuotaExceeded."""
        count, size = (1, len(document)) if old is None else (0, len(document) - len(old.document))
        if not fits(self.context, self.party, self.grown, count, size):
            await require_room(self.context, self.party, tx, self.grown, count, size)

    async def emit(self, tx: Transaction, event: type[Event], key: Key, body: bytes = b"", **details: object) -> None:
        """Journal an event of this request and have it delivered after the flow."""
        if self.context.has_receiver(event):
            await require_room_for_event(self.context, self.party, tx, len(body) + _BESIDE_BODY)
        entry = await emit(self.context, tx, event, key, self.correlation_id, body, **details)
        if entry is not None:
            self.leased.append(entry)

    def reply(self, stored: Stored) -> Response:
        """201 for a new object, 200 for a known one, and for one that stays as it is stored (status_codes.md)."""
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
        """The worst of the deviations; of a PATCH what it holds comes before what was stored already."""
        if self.request.method == "PATCH":
            held = self.parts
            deviations = worst_first(deviations)
            return min(deviations, key=lambda each: each.pointer.partition("/")[2].partition("/")[0] not in held)
        first = worst(deviations)
        assert first is not None
        return first

    def rejection(self, route: Route, refusal: OcpiError, entry_id: str) -> Entry:
        """The journal entry that stores what was refused, raw but for secrets, with its findings."""
        request, secrets = self.request, self.caller.presented
        # Credentials hold a token, which is stored nowhere but with its party.
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
        """Success with ``data``; the message names the first accepted deviation, if any."""
        return Response(status, [JSON], success(self.now, data, message=self.message))
