"""Rejections: rejected requests, stored raw; listed, shown, and replayed.

Rules of this module:
- a rejection is replayed as the party that sent it, under the current policy, or with a corrected body;
- if it is accepted then, it leaves the journal; if it is rejected again, it stays unchanged;
- credentials are not stored: they hold a token; headers and queries that an earlier version stored are redacted when
  they are read;
- of a body larger than ``RejectionLimits.body`` only the beginning is stored: it can only be replayed with a corrected
  body.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from ocpi_emsp.errors import InvalidObject, NotRegistered, Refusal
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.events.journal import select
from ocpi_emsp.flows.events.newest import remove_oldest
from ocpi_emsp.flows.parties.party import Caller, PartyState, load_party
from ocpi_emsp.flows.serving.dispatch import refused, serve_as
from ocpi_emsp.ports import REJECTION, Entry
from ocpi_emsp.wire import Request, Response
from ocpi_emsp.wire.redaction import redacted


@frozen(kw_only=True)
class Rejection:
    """A rejected request: its sender, content, target and time, and why it was rejected."""

    id: str
    at: datetime
    route: str
    """The name of the route, such as ``locations.put_location``."""
    country_code: str
    party_id: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """The headers without secrets (docs/explanation/security.md)."""
    body: bytes = field(repr=False)
    message: str
    findings: tuple[Finding, ...]
    correlation_id: str
    cut_from: int | None = None
    """The bytes of the whole body, if only its beginning is stored (``RejectionLimits.body``); None: it is complete."""
    sequence: int = field(default=0, eq=False)
    """Its place in a list, which continues ``after`` it."""


def rejection_of(entry: Entry) -> Rejection:
    """Return the rejection of a journal entry."""
    details = {**entry.details, **redacted(entry.details)}
    findings = tuple(
        Finding(**{**finding, "severity": Severity(finding["severity"])}) for finding in details.pop("findings")
    )
    return Rejection(
        id=entry.id,
        at=entry.at,
        route=entry.name,
        body=entry.body,
        findings=findings,
        sequence=entry.sequence,
        **details,
    )


async def list_rejections(
    context: Context, country_code: str | None, party_id: str | None, limit: int, after: int = 0
) -> list[Rejection]:
    """Return rejections, oldest first, ``after`` a sequence, of one party if its codes are given."""
    return [rejection_of(entry) for entry in await select(context, REJECTION, country_code, party_id, limit, after)]


async def get_rejection(context: Context, rejection_id: str) -> Rejection | None:
    """Return the rejection with this id, or None."""
    async with context.store.transaction(read_only=True) as tx:
        entry = await tx.entry(rejection_id)
    return rejection_of(entry) if entry is not None and entry.topic == REJECTION else None


async def replay(context: Context, rejection: Rejection, body: bytes | None) -> Response:
    """Serve a rejection again, with ``body`` if it was corrected. Raises NotRegistered if the party was deleted."""
    if body is None and rejection.cut_from is not None:
        stored = f"{len(rejection.body)} of {rejection.cut_from} bytes of the body are stored"
        return refused(context, InvalidObject(f"{stored} (RejectionLimits.body): replay it with the whole body"))
    party = await load_party(context, rejection.country_code, rejection.party_id)
    if party.state is PartyState.UNREGISTERED:
        raise NotRegistered(f"{party} ended its registration")
    request = Request(
        rejection.method,
        rejection.path,
        rejection.query,
        rejection.headers,
        rejection.body if body is None else body,
    )
    try:
        response = await serve_as(context, Caller(party, ""), request, rejection.correlation_id, keep=False)
    except Refusal as refusal:
        return refused(context, refusal)
    finally:
        await remove_oldest(context)
    async with context.store.transaction() as tx:
        await tx.settle(rejection.id)
    return response
