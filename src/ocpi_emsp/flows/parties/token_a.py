"""Which requests a token A allows, and for how long.

Rules of this module (credentials.md 3; docs/spec-choices.md row 19, docs/how-to/credentials.md):
- the token of an invitation allows the versions and the POST, until it expires;
- once a party registered with it, it only allows the GET of our credentials, within the grace time and until the new
  token is used: for a party that lost the response to its POST. The GET returns another token, which works.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import evolve

from ocpi_emsp.errors import NotAuthenticated
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.issued_tokens import reissue, token_to_issue
from ocpi_emsp.flows.parties.party import Caller, Party, PartyState, get_party, put_party, token_hash

_ONE_GET = frozenset({"credentials.get", "credentials.post"})
"""The routes that return our credentials, or 405 because the party is already registered."""


def expiry(context: Context, expires: timedelta | None) -> datetime:
    """Return when a token A that is created now stops working. Raises TypeError, or ValueError for a time that is not
    in the future.
    """
    lifetime = context.limits.credentials.invitation_lifetime if expires is None else expires
    if not isinstance(lifetime, timedelta):
        raise TypeError(f"invalid expires '{lifetime}': expected a timedelta, for example timedelta(days=7)")
    if lifetime <= timedelta(0):
        raise ValueError(f"invalid expires '{lifetime}': expected a timedelta above 0, for example timedelta(days=7)")
    try:
        return context.clock.now() + lifetime
    except OverflowError:
        raise ValueError(
            f"invalid expires '{lifetime}': expected a date before the year 10000, for example timedelta(days=7)"
        ) from None


def with_expiry(context: Context, party: Party) -> Party:
    """Return the party with the expiry of its token A, also if an earlier version invited it."""
    if party.state is not PartyState.INVITED or party.expires_at is not None or not party.issued:
        return party
    return evolve(party, expires_at=party.issued[-1].issued_at + context.limits.credentials.invitation_lifetime)


def require_open(context: Context, caller: Caller, route: str) -> None:
    """Raise NotAuthenticated for a token A that expired, or that no longer opens this route."""
    party = caller.party
    if party.state is PartyState.INVITED:
        expires_at = with_expiry(context, party).expires_at
        if expires_at is not None and context.clock.now() > expires_at:
            raise NotAuthenticated("the invitation expired: a registration needs a new token A")
    elif is_spent(caller) and route not in _ONE_GET:
        raise NotAuthenticated(
            "this token was for the registration: use the one of the answer to the POST, or GET the credentials"
        )


def is_spent(caller: Caller) -> bool:
    """Return True if the party registered with this token, and uses it again."""
    party = caller.party
    first = party.issued[0] if party.issued else None
    if first is None or first.registered_at is None or party.state is not PartyState.REGISTERED:
        return False
    return first.sha256 == token_hash(caller.token)


async def replaced(context: Context, caller: Caller, correlation_id: str) -> str:
    """Return a working token, for a party that lost the response to the POST of this one. Raises NotAuthenticated."""
    token, now = token_to_issue(context), context.clock.now()
    async with context.store.transaction() as tx:
        party = await get_party(tx, caller.party.country_code, caller.party.party_id)
        if not is_spent(evolve(caller, party=party)):  # another request used the new token, or ended the registration
            raise NotAuthenticated("the token was replaced")
        await put_party(tx, evolve(party, issued=reissue(party, token, now)), now, correlation_id)
    return token
