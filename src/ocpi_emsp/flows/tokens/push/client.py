"""One of our drivers' tokens at a partner: put, patched, read (mod_tokens.md 2.1).

Rules of this module:
- what is pushed is valid, or not sent; a failed push is not repeated by itself;
- uid and type identify a token here; the specification's URL has the uid alone.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import fields_dict

from ocpi_emsp.codec import dump, encode_valid
from ocpi_emsp.codec.encode import document
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.calls.call import call
from ocpi_emsp.flows.calls.fetch_one import fetch_object
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party
from ocpi_emsp.models import Token
from ocpi_emsp.routes import outgoing

PATCHED: Final = frozenset({"valid", "whitelist", "visual_number", "issuer", "language", "auth_id", "last_updated"})
"""The members of a token that a PATCH changes: all but what identifies it."""


async def put_token(context: Context, party: Party, token: Token) -> None:
    """PUT a token at the party."""
    await call(context, party, outgoing("tokens.put"), params=_params(context, token.uid), body=encode_valid(token))


async def patch_token(context: Context, party: Party, uid: str, changes: dict[str, Any]) -> None:
    """PATCH members of a token at the party; ``changes`` holds models or plain JSON values."""
    unknown = set(changes) - PATCHED
    if unknown or not changes:
        raise InvalidObject(f"a token cannot be patched by {', '.join(sorted(unknown)) or 'nothing'}")
    body = dump(document(changes))
    await call(context, party, outgoing("tokens.patch"), params=_params(context, uid), body=body)


async def fetch_token(context: Context, party: Party, uid: str) -> Token:
    """A token as the party has it."""
    return await fetch_object(context, party, outgoing("tokens.get"), Token, **_params(context, uid))


def differences(ours: Token, theirs: Token) -> str:
    """What differs, but for ``last_updated``, in words; empty where nothing does."""
    pairs = ((name, getattr(theirs, name), getattr(ours, name)) for name in fields_dict(Token))
    return "; ".join(
        f"{name} is {_said(their)} there and {_said(our)} here"
        for name, their, our in pairs
        if name != "last_updated" and their != our
    )


def _said(value: object) -> str:
    return repr(str(value)) if isinstance(value, str) else "missing" if value is None else str(value).lower()


def _params(context: Context, uid: str) -> dict[str, str]:
    return {
        "country_code": context.identity.country_code,
        "party_id": context.identity.party_id,
        "token_uid": uid,
    }
