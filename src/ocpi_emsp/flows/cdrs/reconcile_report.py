"""The report of a reconciliation of CDRs and sessions.

Rules of this module:
- names are those of the specification (mod_cdrs.md 3.1, mod_sessions.md 3.1); a number is the exact Decimal of its
  document, and a missing value is None, never 0;
- only the compared values of a document are held: a period of a large party must fit into memory;
- a list holds a bounded number of items and counts the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from attrs import asdict, frozen

from ocpi_emsp.codec import wire_time
from ocpi_emsp.models import SessionStatus
from ocpi_emsp.pricing.places import ChargingPlace

T = TypeVar("T")
How: TypeAlias = Literal["authorization_id", "id", "score", "duplicate", "credit"]
"""How a CDR was matched; the last two: with the session of the CDR that it repeats, or gives credit for."""
What: TypeAlias = Literal["kwh", "cost", "currency", "authorization_id", "auth_id", "evse", "time", "status"]
"""The value in which a CDR and its session differ."""


@frozen
class Bounded(Generic[T]):
    """The first items of a list, and the total number."""

    items: tuple[T, ...]
    count: int

    @classmethod
    def of(cls, found: Iterable[T], limit: int | None) -> Bounded[T]:
        """Return the first ``limit`` items, all for None; the rest are only counted."""
        items, count = [], 0
        for item in found:
            if limit is None or count < limit:
                items.append(item)
            count += 1
        return cls(tuple(items), count)

    @property
    def more(self) -> int:
        """The number of items that are not listed."""
        return self.count - len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


@frozen
class _Summary:
    """The compared values of a document."""

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose numbers are Decimals; the members of its place are among its own."""
        members: dict[str, Any] = {}
        for name, value in asdict(self, recurse=False, value_serializer=_plain).items():
            if name == "authorization_id" and value is None:
                continue
            members |= asdict(value) if isinstance(value, ChargingPlace) else {name: value}
        return members


def _plain(_summary: object, _field: object, value: Any) -> Any:
    if isinstance(value, SessionStatus):
        return value.value
    return wire_time(value) if isinstance(value, datetime) else value


@frozen(kw_only=True)
class CdrSummary(_Summary):
    """The compared values of a CDR: kWh, and the cost excluding VAT."""

    id: str
    auth_id: str
    place: ChargingPlace
    start_date_time: datetime
    stop_date_time: datetime
    total_energy: Decimal
    total_cost: Decimal
    currency: str
    last_updated: datetime
    authorization_id: str | None = None
    """Its authorization_id, if it has one (docs/how-to/extensions.md)."""


@frozen(kw_only=True)
class SessionSummary(_Summary):
    """The compared values of a session: kWh, and the cost excluding VAT, which is optional."""

    id: str
    status: SessionStatus
    auth_id: str
    place: ChargingPlace
    start_datetime: datetime
    end_datetime: datetime | None
    kwh: Decimal
    total_cost: Decimal | None
    currency: str
    last_updated: datetime
    authorization_id: str | None = None
    """Its authorization_id, if it has one (docs/how-to/extensions.md)."""


@frozen
class CdrMatch:
    """A CDR and its session; the score is between 0 and 1, and 1 for a match by an id."""

    cdr: CdrSummary
    session: SessionSummary
    how: How
    score: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose amounts are Decimals."""
        return {
            "how": self.how,
            "score": self.score,
            "cdr": self.cdr.as_json(),
            "session": self.session.as_json(),
        }


@frozen
class CdrDifference:
    """A value in which a CDR and its session differ, from both sides."""

    what: What
    match: CdrMatch
    cdr_value: Decimal | str
    session_value: Decimal | str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose numbers are Decimals."""
        return {
            "what": self.what,
            "cdr_value": self.cdr_value,
            "session_value": self.session_value,
            **self.match.as_json(),
        }


@frozen
class ConflictingCdr:
    """A CDR that was received under the id of another one, with other content; the first one is retained."""

    content_hash: str
    """The content hash of the other CDR, which distinguishes several."""
    other: CdrSummary
    first: CdrSummary | None
    """The first CDR; None if it is not stored, or is unreadable."""

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose numbers are Decimals."""
        return {
            "id": self.other.id,
            "content_hash": self.content_hash,
            "first": None if self.first is None else self.first.as_json(),
            "other": self.other.as_json(),
        }


@frozen
class SuspiciousCdr:
    """A suspicion about a CDR beside its price (docs/how-to/audit-bills.md has every code)."""

    code: str
    cdr: CdrSummary
    pointer: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose numbers are Decimals."""
        return {"code": self.code, "pointer": self.pointer, "message": self.message, "cdr": self.cdr.as_json()}


@frozen
class UnreadableDocument:
    """A stored document without a usable reading; it is excluded."""

    kind: str
    """``cdr``, ``cdr_conflict`` or ``session``."""
    id: str
    problem: str

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return asdict(self)


@frozen(kw_only=True)
class Reconciliation:
    """How the CDRs of a party match its sessions.

    Every CDR under review is in exactly one of ``matched``, ``cdrs_without_session`` and ``unreadable``, every session
    in one of ``matched``, ``sessions_without_cdr``, ``sessions_not_due`` and ``unreadable``. A match is listed if
    either side is under review.
    """

    country_code: str
    party_id: str
    date_from: datetime
    """Under review is what was last updated in ``[date_from, date_to)``."""
    date_to: datetime | None
    at: datetime
    """When the reconciliation was made."""
    completed_for: timedelta
    cdrs: int
    """Readable CDRs under review."""
    sessions: int
    """Readable sessions under review."""
    matched_by_id: int
    matched_by_score: int
    matched_as_copies: int
    """Number of CDRs that repeat another one, or give credit for it."""
    matched: Bounded[CdrMatch]
    differences: Bounded[CdrDifference]
    sessions_without_cdr: Bounded[SessionSummary]
    """Sessions without a CDR that are COMPLETED for at least ``completed_for``."""
    cdrs_without_session: Bounded[CdrSummary]
    conflicts: Bounded[ConflictingCdr]
    suspicious: Bounded[SuspiciousCdr]
    """Suspicions about the CDRs under review, by the settings of the party."""
    unreadable: Bounded[UnreadableDocument]
    sessions_not_due: Bounded[SessionSummary]
    """Sessions without a CDR that need none (yet): not COMPLETED, or not for long enough."""

    @property
    def findings(self) -> dict[str, Bounded[Any]]:
        """The lists that are empty if everything matches, by name."""
        names = ("differences", "sessions_without_cdr", "cdrs_without_session", "conflicts", "suspicious", "unreadable")
        return {name: getattr(self, name) for name in names}

    @property
    def lists(self) -> dict[str, Bounded[Any]]:
        """All lists by name: the findings, and those of what matches or is not due."""
        return {**self.findings, "sessions_not_due": self.sessions_not_due, "matched": self.matched}

    @property
    def ok(self) -> bool:
        """True if nothing was found."""
        return not any(found.count for found in self.findings.values())

    def summary(self) -> dict[str, Any]:
        """Return the counts as a JSON object."""
        return {
            "country_code": self.country_code,
            "party_id": self.party_id,
            "date_from": wire_time(self.date_from),
            "date_to": None if self.date_to is None else wire_time(self.date_to),
            "at": wire_time(self.at),
            "completed_for_hours": self.completed_for / timedelta(hours=1),
            "ok": self.ok,
            "cdrs": self.cdrs,
            "sessions": self.sessions,
            "matched_by_id": self.matched_by_id,
            "matched_by_score": self.matched_by_score,
            "matched_as_copies": self.matched_as_copies,
            "counts": {name: found.count for name, found in self.lists.items()},
            "not_listed": {name: found.more for name, found in self.lists.items()},
        }

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object whose amounts are Decimals; :func:`ocpi_emsp.codec.dump` writes them digit by digit."""
        lists = {name: [item.as_json() for item in found] for name, found in self.lists.items()}
        return {"summary": self.summary(), **lists}
