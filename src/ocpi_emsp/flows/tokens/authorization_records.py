"""Decisions on real-time authorizations: each is a journal entry, and the newest ones are stored.

Rules of this module:
- every authorization request leaves one entry, also a rejected one (unknown token, too little information);
- if a decision cannot be recorded, the response is sent nevertheless: a driver waits for it;
- values that a partner can make arbitrarily long or many are cut: an entry stays below some kilobytes.
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
"""The authorize hook, the stored token if there is no hook, the fallback. ``request``: it could not be decided."""

_LONGEST = 128
"""Characters of an id that are stored: ids have up to 39 (mod_tokens.md 4.2), our correlation ids up to 128."""
_LONGEST_REASON = 500
_MOST = 100
"""Names that are stored: a location has no more EVSEs."""


@frozen(kw_only=True)
class Decision:
    """A CPO's authorization request, the response, what decided it, and how long that took."""

    id: str
    at: datetime
    """When the authorization was requested."""
    outcome: str
    """The response: the value of Allowed, or HTTP status and status_code of an error: ``404/2000``."""
    country_code: str
    party_id: str
    """The requesting party."""
    correlation_id: str
    token_uid: str
    token_type: str
    location_id: str
    """The requested location; empty if none was named."""
    evse_uids: tuple[str, ...]
    """The requested EVSEs, the first 100."""
    allowed_evse_uids: tuple[str, ...]
    """The allowed EVSEs, the first 100; empty if the whole location was allowed, or the driver was not."""
    decided_by: DecidedBy
    reason: str
    """Details of the decision: what the hook did instead of answering, why a request was rejected, what was left out;
    empty for a plain answer.
    """
    authorization_id: str = ""
    """The authorization_id of the response, if it had one (docs/how-to/extensions.md)."""
    latency_ms: float
    """Milliseconds from the request's authentication to the decision, by ``Emsp(clock=...)``."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it."""

    @property
    def allowed(self) -> Allowed | None:
        """The answer; None for an error."""
        return None if "/" in self.outcome else Allowed.of(self.outcome)


@define
class Case:
    """An authorization request while it is decided."""

    incoming: Incoming
    token_uid: str
    token_type: str
    references: LocationReferences | None = None
    decided_by: DecidedBy = "request"
    reasons: list[str] = field(factory=list)
    authorization_id: str = ""
    is_recorded: bool = False
    """True if the response has an entry, or if it cannot have one."""

    def because(self, reason: str) -> None:
        """Add a reason to the decision."""
        self.reasons.append(" ".join(reason.split()))

    def note(self, pointer: str, rule: str, message: str, clause: str) -> None:
        """Report a value that is read in another way than written: in the response, and in the decision."""
        self.incoming.deviations.append(note(pointer, rule, message, clause))
        self.because(message)

    def new_authorization_id(self) -> str | None:
        """Return an authorization_id for an answer without one, if the party's profile requires it."""
        return new_id() if self.incoming.party.profile.authorization_ids else None

    async def decided(self, info: AuthorizationInfo) -> None:
        """Journal an answer."""
        await self._note(self._answered(info))

    async def refused(self, http_status: int, status_code: int) -> None:
        """Journal an error."""
        await self._note(self._entry(f"{http_status}/{status_code}", ()))

    async def decided_in(self, tx: Transaction, info: AuthorizationInfo) -> None:
        """Journal an answer in the transaction that read the objects of the request. Raises what a store raises."""
        self.is_recorded = True
        entry = self._answered(info)
        self._log(entry)
        await append_newest(self.incoming.context, tx, entry)

    def not_recorded(self, outcome: str, error: Exception) -> None:
        """Log that there is no entry: the driver gets the response."""
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
        return self._entry(info.allowed.value, info.location.evse_uids if info.location else ())

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
    """Return decisions, oldest first, ``after`` a sequence, of one party if its codes are given."""
    return [_decision(entry) for entry in await select(context, AUTHORIZATION, country_code, party_id, limit, after)]
