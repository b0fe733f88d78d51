"""Which of our tokens work for a party, after another one is issued, confirmed, or withdrawn.

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
"""Earlier tokens that still work beside the one in use: each renewal whose response was lost issued one, and a party
that is cut off retries a few times.
"""


def reissue(party: Party, token: str, now: datetime, *, offered: bool = False) -> tuple[IssuedToken, ...]:
    """Return the tokens that work once ``token`` is issued: until it is used, the one in use and the last ones stay.

    The first is the one in use; the use of a later one ends those before it. If another token is ``offered`` in a PUT
    of ours, this one is offered as well: the next use shows which of the two the party stored.
    """
    open_offer = offered or any(each.offered for each in party.issued)
    return (*party.issued[:1], *party.issued[1:][-_UNSETTLED:], evolve(issue(token, now), offered=open_offer))


def confirm(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """Return the tokens that work once the party has answered the PUT that offered ``token``.

    If another one was issued meanwhile, the party may use either.
    """
    if not party.issued or party.issued[-1].sha256 != token_hash(token):
        return party.issued
    return (*party.issued[:-1], evolve(party.issued[-1], offered=False))


def withdraw(party: Party, token: str) -> tuple[IssuedToken, ...]:
    """Return the tokens that work once the party has rejected the PUT that offered ``token``."""
    return tuple(each for each in party.issued if each.sha256 != token_hash(token))


def token_to_issue(context: Context) -> str:
    """Return a new token for a party; this process accepts it at once, even beyond the limit of unknown tokens."""
    token = new_token()
    context.inbound.issued(token_hash(token))
    return token


def token_hashes(header: str) -> tuple[str, ...]:
    """Return the hashes of the token in an Authorization header, in its readings; empty if it has no token."""
    try:
        token = presented_token(header)
    except NotAuthenticated:
        return ()
    decoded = from_base64(token)
    return (token_hash(token),) if decoded is None else (token_hash(token), token_hash(decoded))


async def issued_hashes(tx: Transaction, most: int) -> tuple[set[str], int]:
    """Return up to ``most`` hashes of valid tokens, and the number of pages in which they were read."""
    found, pages, query = set[str](), 1, Query(kind=Kind.CREDENTIAL, limit=_PAGE, count=False)
    while (records := (await tx.page(query)).records) and len(found) < most:
        found.update(record.key.id for record in records)
        if len(records) < _PAGE:
            break
        pages, query = pages + 1, evolve(query, after=records[-1].sequence)
    return found, pages
