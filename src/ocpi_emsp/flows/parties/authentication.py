"""The sender of a request, identified by the token that it presents.

Rules of this module (credentials.md; docs/spec-choices.md rows 1, 17, 19):
- a caller's records are read once, and again when the store cannot confirm that they are unchanged (known.py);
- a change that follows from the use of a token is stored before the request is served, so such a token is read each
  time: the use of a newer token retires the older ones;
- time-dependent conditions are checked at each request.
"""

from __future__ import annotations

from functools import cache, lru_cache

import msgspec
from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.errors import NotAuthenticated
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import (
    Caller,
    IssuedToken,
    Party,
    PartyState,
    credential_key,
    find_party,
    party_key,
    put_party,
    read_party,
    token_hash,
)
from ocpi_emsp.ports import Key, Record, Transaction, is_of_one_process
from ocpi_emsp.wire import from_base64, presented_token


async def authenticate(context: Context, header: str | None, correlation_id: str) -> Caller:
    """Return the party behind an Authorization header. Raises NotAuthenticated.

    A change of state that the token's use implies is stored with the ``correlation_id`` of the request. A token whose
    use changes nothing is not read again while the store confirms that it and its party are unchanged.
    """
    presented = presented_token(header)
    known: Caller | None = context.callers.find(presented)
    if known is not None:
        return known
    watched, read = context.callers.watch(), list[tuple[Key, Record | None]]()
    async with context.store.transaction(read_only=True) as tx:
        party, token = await _find(tx, presented, read)
    if party.state is PartyState.UNREGISTERED:
        _require_window(context, party)
    elif len(party.issued) > 1 or party.sends_base64 != (token != presented):
        async with context.store.transaction() as tx:
            await find_party(tx, party.country_code, party.party_id)
            stored, token = await _find(tx, presented, read)
            # The use of this token changes state: it retires older tokens, or tokens past their grace.
            issued = _after_use(context, stored.issued, token_hash(token))
            party = evolve(stored, issued=issued, sends_base64=token != presented)
            if party != stored:
                await put_party(tx, party, context.clock.now(), correlation_id)
    else:
        caller = Caller(party, token)
        context.callers.remember(presented, watched, read, caller)
        return caller
    return Caller(party, token)


def _require_window(context: Context, party: Party) -> None:
    """Raise NotAuthenticated if the party ended its registration too long ago. Its tokens then change no state."""
    ended, window = party.unregistered_at, context.limits.credentials.renewal_window
    if ended is None or context.clock.now() - ended > window:
        raise NotAuthenticated("the registration was ended: a new one needs a new token")


async def _find(tx: Transaction, presented: str, read: list[tuple[Key, Record | None]]) -> tuple[Party, str]:
    """Return the party that the token belongs to, as written or read as base64, and the token. Raises NotAuthenticated.

    The records that it was found by are appended to ``read``.
    """
    for reading in (str, from_base64):
        token = reading(presented)
        party = await _owner(tx, token, read) if token is not None else None
        if party is not None and token is not None:
            return party, token
    if is_of_one_process(tx):
        _warn_of_one_process()
    raise NotAuthenticated("the token is not known")


@cache
def _warn_of_one_process() -> None:
    """Warn once per process: if several processes share a port, each knows only its own parties."""
    reason = "a token is not known, and MemoryStore is for one process only: use SqlStore if several serve"
    logs.warning("store.one_process", reason=reason)


async def _owner(tx: Transaction, token: str, read: list[tuple[Key, Record | None]]) -> Party | None:
    key = credential_key(token_hash(token))
    credential = await tx.get(key)
    read.append((key, credential))
    if credential is None:
        return None
    owner = _owner_key(credential.document)
    record = await tx.get(owner)
    read.append((owner, record))
    return read_party(record.document) if record else None


@lru_cache(maxsize=1024)
def _owner_key(document: bytes) -> Key:
    return party_key(*msgspec.json.decode(document, type=tuple[str, str]))


def _after_use(context: Context, issued: tuple[IssuedToken, ...], sha256: str) -> tuple[IssuedToken, ...]:
    """Return the tokens that work after this one was used. Raises NotAuthenticated if it was replaced too long ago."""
    now, grace = context.clock.now(), context.limits.credentials.token_grace
    place = [each.sha256 for each in issued].index(sha256)
    used = issued[place]
    # The party reads our versions with an offered token before it answers: that use proves nothing yet.
    is_unsettled = used.offered and now - used.issued_at <= context.limits.credentials.handshake_timeout
    settled = issued[: place + 1] if is_unsettled else (evolve(used, offered=False),)
    # An offered token that stayed unused for so long, while an earlier one was used, was never accepted.
    later = tuple(each for each in issued[place + 1 :] if not (each.offered and now - each.issued_at > grace))
    given = [each.issued_at for each in later if not each.offered]
    if given and now - (used.registered_at or given[-1]) > grace:
        raise NotAuthenticated("the token was replaced")
    return (*settled, *later)
