"""Our drivers' tokens: kept here for the partners that list them, and pushed (mod_tokens.md 2.1).

Rules of this module:
- what is pushed is valid, or not sent; a failed push is not repeated by itself;
- uid and type identify a token here; the specification's URL has the uid alone.
"""

from __future__ import annotations

from typing import Any

from ocpi_emsp.codec import decode, dump, encode_valid
from ocpi_emsp.codec.encode import document
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.call import call
from ocpi_emsp.flows.context import Context
from ocpi_emsp.flows.fetch import fetch_object
from ocpi_emsp.flows.parties import Party
from ocpi_emsp.flows.receive.tokens import token_key
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.ports import Key, Kind, Query, Record
from ocpi_emsp.routes import outgoing


async def put_token(context: Context, party: Party, token: Token) -> None:
    """PUT a token at the party."""
    await call(context, party, outgoing("tokens.put"), params=_params(context, token.uid), body=encode_valid(token))


async def patch_token(context: Context, party: Party, uid: str, changes: dict[str, Any]) -> None:
    """PATCH members of a token at the party; ``changes`` holds models or plain JSON values."""
    unknown = set(changes) - {"valid", "whitelist", "visual_number", "issuer", "language", "auth_id", "last_updated"}
    if unknown or not changes:
        raise InvalidObject(f"a token cannot be patched by {', '.join(sorted(unknown)) or 'nothing'}")
    body = dump({name: document(value) for name, value in changes.items()})
    await call(context, party, outgoing("tokens.patch"), params=_params(context, uid), body=body)


async def fetch_token(context: Context, party: Party, uid: str) -> Token:
    """A token as the party has it."""
    return await fetch_object(context, party, outgoing("tokens.get"), Token, **_params(context, uid))


def _params(context: Context, uid: str) -> dict[str, str]:
    return {
        "country_code": context.identity.country_code,
        "party_id": context.identity.party_id,
        "token_uid": uid,
    }


async def store_token(context: Context, token: Token) -> None:
    """Keep one of our tokens; partners list it from now on."""
    now = context.clock.now()
    record = Record(_key(context, token.uid, token.type), encode_valid(token), token.last_updated, now, token)
    async with context.store.transaction() as tx:
        await tx.put(record)


async def stored_token(context: Context, uid: str, token_type: TokenType) -> Token | None:
    """One of our tokens, or None."""
    async with context.store.transaction(read_only=True) as tx:
        record = await tx.get(_key(context, uid, token_type))
    return decode(Token, record.document) if record else None


async def stored_tokens(context: Context, offset: int, limit: int) -> list[Token]:
    """A page of our tokens, oldest first."""
    identity = context.identity
    query = Query(
        kind=Kind.TOKEN,
        country_code=identity.country_code,
        party_id=identity.party_id,
        offset=offset,
        limit=limit,
        count=False,
    )
    async with context.store.transaction(read_only=True) as tx:
        page = await tx.page(query)
    return [decode(Token, record.document) for record in page.records]


def _key(context: Context, uid: str, token_type: TokenType) -> Key:
    return token_key(context.identity.country_code, context.identity.party_id, uid, token_type)
