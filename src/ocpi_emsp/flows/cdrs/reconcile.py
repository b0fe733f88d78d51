"""Compare CDRs and sessions of a party: billed and not charged, charged and not billed, or different.

Rules of this module:
- nothing is written; pages of the store are read in one transaction each, the CDRs before the sessions: the CDR of a
  session that ends meanwhile may be missed, which is no finding yet, and never the reverse;
- under review is what was last updated in the period. The other side of a pair may be before or after it, so documents
  updated within ``MARGIN`` of the period are read as well; these are never reported as missing their other side;
- memory grows with the period (and its margin) and not with the store: only a summary of each document is held;
- matching.py decides which session belongs to a CDR.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import compress
from typing import Final, TypeAlias, TypeVar

from attrs import define, field, frozen

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.findings import worst
from ocpi_emsp.flows.cdrs.matching import differences, match_all, pair_copies
from ocpi_emsp.flows.cdrs.moments import moved
from ocpi_emsp.flows.cdrs.reconcile_report import (
    Bounded,
    CdrSummary,
    ConflictingCdr,
    Reconciliation,
    SessionSummary,
    SuspiciousCdr,
    UnreadableDocument,
)
from ocpi_emsp.flows.cdrs.summaries import Summaries
from ocpi_emsp.flows.cdrs.surroundings import Gatherer
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import Reader, Whole, as_stored, every, find, reader
from ocpi_emsp.flows.parties.hub_owners import connection_of
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.flows.parties.profile_plausibility import plausibility_of_party
from ocpi_emsp.flows.parties.profile_readings import readings_of_party
from ocpi_emsp.models import Cdr, Session, SessionStatus
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.pricing.beside import beside
from ocpi_emsp.pricing.plausibility import CODES, Plausibility, Surroundings, suspicions
from ocpi_emsp.pricing.result import Reason
from ocpi_emsp.pricing.verdict.judge import judge
from ocpi_emsp.scalars import aware

PERIOD: Final = timedelta(days=35)
"""The period that is reviewed by default: a month and some days, since CDRs may be sent once a month (mod_cdrs.md)."""
MARGIN: Final = timedelta(days=35)
"""Distance from the period in which the other side of a pair is searched, for the same reason."""
COMPLETED_FOR: Final = timedelta(hours=24)
"""CDRs are sent "as soon as possible" (mod_cdrs.md): a day leaves room for a nightly run of the CPO."""
KWH_TOLERANCE: Final = Decimal("0.1")
"""The last decimal that most meters and back ends show: a session's kwh is a running value that one side rounds."""
COST_TOLERANCE: Final = Decimal("0.01")
"""The smallest coin of most currencies: either side may round to it."""
LIMIT: Final = 1000
"""Items of each list; a report holds that many."""

_PAGE = 500
_LOOKED_AT = 50
"""CDRs of a page whose surroundings are read in one transaction."""
T = TypeVar("T", CdrSummary, SessionSummary)
M = TypeVar("M")
_Summary: TypeAlias = CdrSummary | SessionSummary
_Found: TypeAlias = tuple[Cdr, Surroundings | None]


async def reconcile(
    context: Context,
    country_code: str,
    party_id: str,
    *,
    date_from: datetime | None = None,
    date_to: datetime | None = None,
    completed_for: timedelta = COMPLETED_FOR,
    kwh_tolerance: Decimal = KWH_TOLERANCE,
    cost_tolerance: Decimal = COST_TOLERANCE,
    limit: int | None = LIMIT,
) -> Reconciliation:
    """Match the CDRs of a party that were last updated in ``[date_from, date_to)`` to its sessions, and compare them.

    See ``Partner.reconcile``. Raises ValueError, StoreFailed.
    """
    now = context.clock.now()
    period = _Period.of(date_from, date_to, now)
    _check(completed_for, kwh_tolerance, cost_tolerance, limit)
    documents = _Documents(context, country_code.upper(), party_id.upper(), period)
    await documents.look_up_party()
    cdrs, conflicts = await documents.cdrs(), await documents.conflicts()
    sessions = await documents.sessions()
    pairs = match_all((cdr for cdr in cdrs if cdr.total_cost >= 0), sessions, equal_ids=documents.equal_ids)
    pairs += pair_copies(cdrs, pairs)
    matched = sorted(
        (pair for pair in pairs if period.has(pair.cdr) or period.has(pair.session)),
        key=lambda pair: (pair.cdr.start_date_time, pair.cdr.id, pair.session.id),
    )
    tolerances = kwh_tolerance, cost_tolerance, documents.settings.limit("session.times")
    differing = (found for pair in matched for found in differences(pair, *tolerances))
    lonely = _lonely(sessions, [pair.session for pair in pairs], period)
    due = [_is_due(session, now, completed_for) for session in lonely]
    return Reconciliation(
        country_code=documents.country_code,
        party_id=documents.party_id,
        date_from=period.date_from,
        date_to=period.date_to,
        at=now,
        completed_for=completed_for,
        cdrs=sum(map(period.has, cdrs)),
        sessions=sum(map(period.has, sessions)),
        matched_by_id=sum(pair.how == "id" for pair in matched),
        matched_by_score=sum(pair.how == "score" for pair in matched),
        matched_as_copies=sum(pair.how in ("duplicate", "credit") for pair in matched),
        matched=Bounded.of(matched, limit),
        differences=Bounded.of(differing, limit),
        sessions_without_cdr=Bounded.of(compress(lonely, due), limit),
        cdrs_without_session=Bounded.of(_lonely(cdrs, [pair.cdr for pair in pairs], period), limit),
        conflicts=Bounded.of(sorted(conflicts, key=lambda each: (each.other.id, each.content_hash)), limit),
        suspicious=Bounded.of(sorted(documents.suspicious, key=lambda each: (_start(each.cdr), each.cdr.id)), limit),
        unreadable=Bounded.of(sorted(documents.unreadable, key=lambda each: (each.kind, each.id, each.problem)), limit),
        sessions_not_due=Bounded.of(compress(lonely, [not each for each in due]), limit),
    )


def _lonely(all_of_them: list[T], paired: list[T], period: _Period) -> list[T]:
    """Return those under review that are in no pair, in the order of their starts."""
    used = {id(each) for each in paired}  # by identity: two sessions may have equal summaries
    found = [each for each in all_of_them if period.has(each) and id(each) not in used]
    return sorted(found, key=lambda each: (_start(each), each.id))


def _start(each: _Summary) -> datetime:
    return each.start_date_time if isinstance(each, CdrSummary) else each.start_datetime


def _is_due(session: SessionSummary, now: datetime, completed_for: timedelta) -> bool:
    """Return True if the CDR is due; a missing end, or one in the future, does not count."""
    if session.status != SessionStatus.COMPLETED:
        return False
    ended = session.end_datetime
    since = ended if ended is not None and ended <= now else session.last_updated
    return now - since >= completed_for


def _check(completed_for: timedelta, kwh_tolerance: Decimal, cost_tolerance: Decimal, limit: int | None) -> None:
    if completed_for < timedelta(0):
        raise ValueError(
            f"invalid completed_for '{completed_for}': expected 0 or more, for example timedelta(hours=24)"
        )
    for name, tolerance in (("kwh_tolerance", kwh_tolerance), ("cost_tolerance", cost_tolerance)):
        if not tolerance.is_finite() or tolerance < 0:
            raise ValueError(f"invalid {name} '{tolerance}': expected a number of 0 or more, for example 0.1")
    if limit is not None and limit < 0:
        raise ValueError(f"invalid limit '{limit}': expected 0 or more, for example 100")


@frozen
class _Period:
    """What is under review, by ``last_updated``."""

    date_from: datetime
    date_to: datetime | None

    @classmethod
    def of(cls, date_from: datetime | None, date_to: datetime | None, now: datetime) -> _Period:
        """Return the period; by default the last ``PERIOD`` before the end. Raises ValueError."""
        for name, moment in (("date_from", date_from), ("date_to", date_to)):
            if moment is not None:
                aware(moment, name)
        if date_from is None:
            date_from = moved(date_to or now, -PERIOD)
        if date_to is not None and date_to <= date_from:
            raise ValueError(f"invalid date_to '{date_to}': expected a time after date_from, {date_from}")
        return cls(date_from, date_to)

    def has(self, each: _Summary | Record) -> bool:
        """Return True for a document under review."""
        return self.date_from <= each.last_updated and (self.date_to is None or each.last_updated < self.date_to)

    def with_margin(self) -> _Period:
        """Return the period that contains the other sides of pairs."""
        date_to = None if self.date_to is None else moved(self.date_to, MARGIN)
        return _Period(moved(self.date_from, -MARGIN), date_to)


@define
class _Documents:
    """Reads summaries from the store; records unreadable documents."""

    context: Context
    country_code: str
    party_id: str
    period: _Period
    unreadable: list[UnreadableDocument] = field(factory=list, init=False)
    suspicious: list[SuspiciousCdr] = field(factory=list, init=False)
    _party: Party | None = field(default=None, init=False)
    _summaries: Summaries = field(factory=Summaries, init=False)

    async def look_up_party(self) -> None:
        """Read the profile of the party that sends the CDRs."""
        async with self.context.store.transaction(read_only=True) as tx:
            self._party = await connection_of(tx, (self.country_code, self.party_id))

    @property
    def settings(self) -> Plausibility:
        """The plausibility settings of the party's profile."""
        return plausibility_of_party(self._party)

    @property
    def equal_ids(self) -> bool:
        """True if the party's profile says that a CDR has the id of its session."""
        return self._party is not None and self._party.profile.cdr_id_is_session_id

    async def cdrs(self) -> list[CdrSummary]:
        """Return the CDRs of the period with its margin; record suspicions about those of the period."""
        gatherer, found = Gatherer(self.context), dict[Key, _Found]()

        async def look(tx: Transaction, record: Record) -> Record:
            cdr = self._decoded(Cdr, record)
            if cdr is not None:
                is_new = self.period.has(record)
                around = await gatherer.around(tx, record, cdr, self._party, with_session=False) if is_new else None
                found[record.key] = cdr, around
            return record

        summaries = []
        async for record in every(self._reader(Kind.CDR, self.period.with_margin(), look), _LOOKED_AT):
            cdr, around = found.pop(record.key, (None, None))
            if cdr is not None:
                summary = self._summaries.of_cdr(cdr, record)
                summaries.append(summary)
                reasons = () if around is None else self._suspicions(cdr, around)
                self.suspicious += [SuspiciousCdr(each.code, summary, each.pointer, each.message) for each in reasons]
        return summaries

    def _suspicions(self, cdr: Cdr, around: Surroundings) -> tuple[Reason, ...]:
        """Return the suspicions; the price is only reckoned if they depend on it."""
        published = around.published_tariff
        own = [tariff.elements for tariff in cdr.tariffs]
        is_dearer = published is not None and bool(own) and published.elements not in own
        if cdr.total_cost != 0 and not is_dearer:
            return suspicions(cdr, None, self.settings, around)
        zone = None if self._party is None else self._party.profile.time_zone
        tariffs = () if published is None else (published,)
        audit = judge(cdr, tariffs=tariffs, readings=readings_of_party(self._party), time_zone=zone)
        found = beside(audit, cdr, around, self.settings, time_zone=zone)
        return tuple(reason for reason in found.reasons if reason.code in CODES)

    async def sessions(self) -> list[SessionSummary]:
        """Return the sessions of the period with its margin."""
        records = self._records(Kind.SESSION, self.period.with_margin())
        return [summary async for record in records if (summary := self._session(record)) is not None]

    async def conflicts(self) -> list[ConflictingCdr]:
        """Return the CDRs of the period that were received under the id of another one."""
        found = []
        async for record in self._records(Kind.CDR_CONFLICT, self.period):
            other = self._cdr(record)
            if other is not None:
                first = await find(self.context, record.key._replace(kind=Kind.CDR, parent=""))
                known = None if first is None else self._cdr(first, note=False)
                found.append(ConflictingCdr(record.key.parent, other, known))
        return found

    def _records(self, kind: str, period: _Period) -> AsyncIterator[Record]:
        return every(self._reader(kind, period), _PAGE)

    def _reader(self, kind: str, period: _Period, whole: Whole = as_stored) -> Reader:
        owner = self.country_code, self.party_id
        return reader(self.context, kind, owner, date_from=period.date_from, date_to=period.date_to, whole=whole)

    def _cdr(self, record: Record, *, note: bool = True) -> CdrSummary | None:
        cdr = self._decoded(Cdr, record, note=note)
        if cdr is None:
            return None
        return self._summaries.of_cdr(cdr, record)

    def _session(self, record: Record) -> SessionSummary | None:
        session = self._decoded(Session, record)
        if session is None:
            return None
        return self._summaries.of_session(session, record)

    def _decoded(self, model: type[M], record: Record, *, note: bool = True) -> M | None:
        try:
            return decode(model, record.document, updated=record.last_updated)
        except (InvalidObject, NotJson) as error:
            if note and self.period.has(record):
                problem = str(worst(error.findings) or error.message)
                self.unreadable.append(UnreadableDocument(record.key.kind, record.key.id, problem))
            return None
