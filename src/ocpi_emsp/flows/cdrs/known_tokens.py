"""Whether the driver of a CDR has a token of ours, and whether that was valid.

Rules of this module (docs/how-to/audit-bills.md):
- some CPOs write the uid of a token where its auth_id belongs, or leave out the separators of a contract's id: both
  name the token all the same;
- of several tokens with one auth_id it is not known which one was used: all of them have to be blocked;
- a token holds from its ``last_updated`` on: one that was blocked later was valid when the session began;
- where no token is stored here, nothing can be said.
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
"""Tokens of one auth_id that are looked at."""
_SEPARATORS = re.compile(r"[*-]")


async def known_token(tx: Transaction, us: Owner, auth_id: str) -> KnownToken | None:
    """What is stored of the token of a driver; None where no token is."""
    query = Query(kind=Kind.TOKEN, country_code=us[0], party_id=us[1], limit=_MOST, count=False)
    for spelling in spellings(auth_id):
        records = (await tx.page(evolve(query, auth_id=spelling))).records
        if records:
            return _of(records)
    if auth_id and (records := (await tx.page(evolve(query, id_in_any_case=auth_id))).records):
        return _of(records)
    return KnownToken(is_ours=False) if (await tx.page(evolve(query, limit=1))).records else None


def spellings(auth_id: str) -> Iterator[str]:
    """The ways in which an auth_id may be stored; ids without any are all there is, mostly."""
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
        return None  # it is there
