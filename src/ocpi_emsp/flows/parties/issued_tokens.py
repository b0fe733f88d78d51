"""Which tokens of ours work for a party, once another one is given out, confirmed, or taken back.

Rules of this module (docs/spec-choices.md row 19): a replaced token works until a newer one is first used.
"""

from __future__ import annotations

from datetime import datetime

from attrs import evolve

from ocpi_emsp.errors import NotAuthenticated
from ocpi_emsp.flows.core.context import Context, new_token
from ocpi_emsp.flows.parties.party import IssuedToken, Party, issue, token_hash
from ocpi_emsp.ports import Kind, Query, Transaction
from ocpi_emsp.wire import from_base64, presented_token

_PAGE = 500
_UNSETTLED = 10
"""Tokens issued before the latest that keep working beside the one in use: each renewal whose answer was lost issued
one, and a party that is cut off tries again a few times."""


def reissue(party: Party, token: str, now: datetime, *, offered: bool = False) -> tuple[IssuedToken, ...]:
    """The tokens that work once ``token`` is given out: until it is used, the one in use and the last ones stay.

    The first is the one in use: the use of a later one ends those before it. One that we give while another is
    ``offered`` in a PUT of ours is as unsettled as that one: which of the two the party keeps shows by its use.
    """
    open_offer = offered or any(each.offered for each in party.issued)
    return (*party.issued[:1], *party.issued[1:][-_UNSETTLED:], evolve(issue(token, now), offered=open_offer))


def confirm(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """The tokens that work once the party has answered the PUT that offered ``token``.

    Where another one was issued meanwhile, the party may use either.
    """
    if not party.issued or party.issued[-1].sha256 != token_hash(token):
        return party.issued
    return (*party.issued[:-1], evolve(party.issued[-1], offered=False))


def withdraw(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """The tokens that work once the party has refused the PUT that offered ``token``."""
    return tuple(each for each in party.issued if each.sha256 != token_hash(token))


def token_to_issue(context: Context) -> str:
    """A new token for a party, which this process knows at once, however many unknown ones come."""
    token = new_token()
    context.inbound.issued(token_hash(token))
    return token


def token_hashes(header: str) -> tuple[str, ...]:
    """The hashes of the token in an Authorization header, in its readings; none where there is no token in it."""
    try:
        token = presented_token(header)
    except NotAuthenticated:
        return ()
    decoded = from_base64(token)
    return (token_hash(token),) if decoded is None else (token_hash(token), token_hash(decoded))


async def issued_hashes(tx: Transaction, most: int) -> tuple[set[str], int]:
    """The hashes of the tokens that open something, ``most`` of them, and in how many pages they were read."""
    found, pages, query = set[str](), 1, Query(kind=Kind.CREDENTIAL, limit=_PAGE, count=False)
    while (records := (await tx.page(query)).records) and len(found) < most:
        found.update(record.key.id for record in records)
        if len(records) < _PAGE:
            break
        pages, query = pages + 1, evolve(query, after=records[-1].sequence)
    return found, pages
