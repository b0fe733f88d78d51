"""Rejections: what was refused, kept raw; listed, shown, and replayed.

Rules of this module:
- a rejection is replayed as the party that sent it, with the policy that is in force now, or with a corrected body;
- one that is accepted then is done with and leaves the journal; one that is refused again stays as it was;
- credentials were not kept: they hold a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from attrs import field, frozen

from ocpi_emsp.errors import NotRegistered, Refusal
from ocpi_emsp.findings import Finding, Severity
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.dispatch import refused, serve_as
from ocpi_emsp.flows.parties import Caller, get_party
from ocpi_emsp.ports import REJECTION, Entry
from ocpi_emsp.wire import Request, Response

_ALL = 1_000_000
"""More than a store keeps."""


@frozen(kw_only=True)
class Rejection:
    """A refused request: who sent what to where, when, and why it was refused."""

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
    """Without the token."""
    body: bytes = field(repr=False)
    message: str
    findings: tuple[Finding, ...]
    correlation_id: str


def rejection_of(entry: Entry) -> Rejection:
    """The rejection of a journal entry."""
    details = dict(entry.details)
    findings = tuple(
        Finding(**{**finding, "severity": Severity(finding["severity"])}) for finding in details.pop("findings")
    )
    return Rejection(id=entry.id, at=entry.at, route=entry.name, body=entry.body, findings=findings, **details)


async def list_rejections(
    context: Context, country_code: str | None, party_id: str | None, limit: int
) -> list[Rejection]:
    """Rejections, oldest first, of one party where its codes are given."""
    wanted = {"country_code": country_code, "party_id": party_id}
    codes = {name: code.upper() for name, code in wanted.items() if code is not None}
    async with context.store.transaction() as tx:
        entries = await tx.entries(REJECTION, limit=_ALL if codes else limit)
    theirs = (entry for entry in entries if all(entry.details[name] == code for name, code in codes.items()))
    return [rejection_of(entry) for entry in islice(theirs, limit)]


async def get_rejection(context: Context, rejection_id: str) -> Rejection | None:
    """The rejection with this id, or None."""
    found = (one for one in await list_rejections(context, None, None, _ALL) if one.id == rejection_id)
    return next(found, None)


async def replay(context: Context, rejection: Rejection, body: bytes | None) -> Response:
    """Serve a rejection again, with ``body`` where it was corrected. Raises NotRegistered where the party is gone."""
    async with context.store.transaction() as tx:
        party = await get_party(tx, rejection.country_code, rejection.party_id)
    if party is None:
        raise NotRegistered(f"there is no registration with {rejection.country_code}-{rejection.party_id}")
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
    async with context.store.transaction() as tx:
        await tx.settle(rejection.id)
    return response
