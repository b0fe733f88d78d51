"""Whether the driver of a CDR has a token of this eMSP, and whether it was valid.

Rules of this module (docs/how-to/audit-bills.md):
- some CPOs send a token's uid in auth_id, or leave out the separators of a contract id: both identify the token;
- if several tokens have one auth_id, it is unknown which one was used: the driver only counts as blocked if all are;
- a token's state applies from its ``last_updated``: one that was blocked later was valid when the session began;
- if no token is stored here, nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve

from ocpi_emsp.codec import decode
from ocpi_emsp.errors import OcpiError
from ocpi_emsp.models import Token
from ocpi_emsp.ports import Kind, Owner, Query, Record, Transaction
from ocpi_emsp.pricing.plausibility import KnownToken

_MOST = 100
"""Tokens of one auth_id that are examined."""
_SEPARATORS = re.compile(r"[*-]")


async def known_token(tx: Transaction, us: Owner, auth_id: str) -> KnownToken | None:
    """Return what is stored of a driver's token; None if no token is stored."""
    query = Query(kind=Kind.TOKEN, country_code=us[0], party_id=us[1], limit=_MOST, count=False)
    for spelling in spellings(auth_id):
        records = (await tx.page(evolve(query, auth_id=spelling))).records
        if records:
            return _of(records)
    if auth_id and (records := (await tx.page(evolve(query, id_in_any_case=auth_id))).records):
        return _of(records)
    return KnownToken(is_ours=False) if (await tx.page(evolve(query, limit=1))).records else None


def spellings(auth_id: str) -> Iterator[str]:
    """Yield the spellings under which an auth_id may be stored; most ids have no separators and only one spelling."""
    plain = _SEPARATORS.sub("", auth_id)
    yield from dict.fromkeys((auth_id, auth_id.upper(), auth_id.lower(), plain, plain.upper()))


def _of(records: Sequence[Record]) -> KnownToken:
    tokens = [_read(record) for record in records]
    blocked = [each.last_updated for each in tokens if each is not None and not each.valid]
    return KnownToken(is_ours=True, blocked_since=max(blocked) if len(blocked) == len(tokens) else None)


def _read(record: Record) -> Token | None:
    try:
        return decode(Token, record.document, updated=record.last_updated)
    except OcpiError:
        return None  # it exists
