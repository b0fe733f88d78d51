"""Decisions on real-time authorizations: each one is a journal entry; a store retains the newest.

Rules of this module:
- every request for an authorization leaves one entry, also one that is refused (unknown token, too little information);
- a decision that cannot be recorded is answered all the same: a driver waits for it;
- what a partner makes arbitrarily long or many is cut: an entry stays below some kilobytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from ocpi_emsp import logs
from ocpi_emsp.flows.calls.request_log import milliseconds
from ocpi_emsp.flows.core.authorize_hook import authorization_id_in
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.events.journal import select
from ocpi_emsp.flows.events.newest import append_newest
from ocpi_emsp.flows.inbound.request import Incoming, note
from ocpi_emsp.models import Allowed, AuthorizationInfo, LocationReferences
from ocpi_emsp.ports import AUTHORIZATION, Entry, Transaction

DecidedBy: TypeAlias = Literal["hook", "token", "fallback", "request"]
"""The authorize hook, the stored token where there is no hook, the fallback. ``request``: it could not be decided."""

_LONGEST = 128
"""Characters that are stored of an id: ids have up to 39 (mod_tokens.md 4.2), ours of a correlation up to 128."""
_LONGEST_REASON = 500
_MOST = 100
"""Names that are stored: a location has no more EVSEs."""


@frozen(kw_only=True)
class Decision:
    """What a CPO asked, what it was answered, by whom, and how long that took."""

    id: str
    at: datetime
    """When it was asked."""
    outcome: str
    """What was answered: the value of Allowed, or HTTP status and status_code where it was an error: ``404/2000``."""
    country_code: str
    party_id: str
    """Who asked."""
    correlation_id: str
    token_uid: str
    token_type: str
    location_id: str
    """Where, as asked; empty where no location was named."""
    evse_uids: tuple[str, ...]
    """As asked, the first 100."""
    allowed_evse_uids: tuple[str, ...]
    """As answered, the first 100; none where the location as a whole was allowed, or the driver was not."""
    decided_by: DecidedBy
    reason: str
    """What there is to know of it: what the hook did instead of answering, why a request was refused, what was left
    out; empty for a plain answer."""
    authorization_id: str = ""
    """What this authorization is called, where the answer said so (docs/how-to/extensions.md)."""
    latency_ms: float
    """Milliseconds from when the request was authenticated until it was decided, by ``Emsp(clock=...)``."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it."""

    @property
    def allowed(self) -> Allowed | None:
        """The answer, or None where it was an error."""
        return None if "/" in self.outcome else Allowed.of(self.outcome)


@define
class Case:
    """A request for an authorization, while it is decided."""

    incoming: Incoming
    token_uid: str
    token_type: str
    references: LocationReferences | None = None
    decided_by: DecidedBy = "request"
    reasons: list[str] = field(factory=list)
    authorization_id: str = ""
    is_recorded: bool = False
    """There is an entry of the answer, or it is known that there can be none."""

    def because(self, reason: str) -> None:
        """Add a reason to the decision."""
        self.reasons.append(" ".join(reason.split()))

    def note(self, pointer: str, rule: str, message: str, clause: str) -> None:
        """Name something that is read otherwise than it is written: in the answer, and in the decision."""
        self.incoming.deviations.append(note(pointer, rule, message, clause))
        self.because(message)

    def new_authorization_id(self) -> str | None:
        """What this authorization is called where the backend does not say it, if the party wants that."""
        return new_id() if self.incoming.party.profile.authorization_ids else None

    async def decided(self, info: AuthorizationInfo) -> None:
        """Journal an answer."""
        await self._note(self._answered(info))

    async def refused(self, http_status: int, status_code: int) -> None:
        """Journal an error."""
        await self._note(self._entry(f"{http_status}/{status_code}", ()))

    async def decided_in(self, tx: Transaction, info: AuthorizationInfo) -> None:
        """Journal an answer in the transaction that read what it is about. Raises what a store raises."""
        self.is_recorded = True
        entry = self._answered(info)
        self._log(entry)
        await append_newest(self.incoming.context, tx, entry)

    def not_recorded(self, outcome: str, error: Exception) -> None:
        """Log that there is no entry of it: the driver gets the answer."""
        self.is_recorded = True
        logs.error(
            "authorization.not_recorded",
            trace=error,
            party=self.incoming.party,
            correlation_id=self.incoming.correlation_id,
            outcome=outcome,
            error=type(error).__name__,
        )

    async def _note(self, entry: Entry) -> None:
        self._log(entry)
        context = self.incoming.context
        try:
            async with context.store.transaction() as tx:
                await append_newest(context, tx, entry)
        except Exception as error:  # noqa: BLE001 # whatever a store raises
            self.not_recorded(entry.name, error)

    def _log(self, entry: Entry) -> None:
        if logs.shows_info():
            took = self.incoming.context.clock.now() - self.incoming.now
            logs.info(
                "authorization.decided",
                party=self.incoming.party,
                outcome=entry.name,
                by=self.decided_by,
                ms=milliseconds(took.total_seconds()),
                correlation_id=self.incoming.correlation_id,
            )

    def _answered(self, info: AuthorizationInfo) -> Entry:
        self.authorization_id = authorization_id_in(info) or ""
        return self._entry(info.allowed, info.location.evse_uids if info.location else ())

    def _entry(self, outcome: str, allowed: Iterable[str]) -> Entry:
        incoming, references = self.incoming, self.references
        took = incoming.context.clock.now() - incoming.now
        return Entry(
            id=new_id(),
            topic=AUTHORIZATION,
            name=outcome,
            key=None,
            at=incoming.now,
            details={
                "country_code": incoming.party.country_code,
                "party_id": incoming.party.party_id,
                "correlation_id": incoming.correlation_id,
                "token_uid": self.token_uid[:_LONGEST],
                "token_type": self.token_type[:_LONGEST],
                "location_id": references.location_id[:_LONGEST] if references else "",
                "evse_uids": _some(references.evse_uids if references else ()),
                "allowed_evse_uids": _some(allowed),
                "decided_by": self.decided_by,
                "authorization_id": self.authorization_id,
                "reason": "; ".join(self.reasons)[:_LONGEST_REASON],
                "latency_ms": max(round(took / timedelta(milliseconds=1), 3), 0.0),
            },
        )


def _some(names: Iterable[str]) -> list[str]:
    return [name[:_LONGEST] for name in islice(names, _MOST)]


def _decision(entry: Entry) -> Decision:
    details: dict[str, Any] = {**entry.details}
    for names in ("evse_uids", "allowed_evse_uids"):
        details[names] = tuple(details[names])
    return Decision(id=entry.id, at=entry.at, outcome=entry.name, sequence=entry.sequence, **details)


async def list_decisions(
    context: Context, country_code: str | None, party_id: str | None, limit: int, after: int
) -> list[Decision]:
    """Decisions, oldest first, ``after`` a sequence, on what a party asked where its codes are given."""
    return [_decision(entry) for entry in await select(context, AUTHORIZATION, country_code, party_id, limit, after)]
