"""One of our drivers' tokens at a partner: put, patched, read (mod_tokens.md 2.1).

Rules of this module:
- a token is only sent if it is valid; a failed push is not repeated by itself;
- uid and type identify a token here; the specification's URL only has the uid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import fields_dict

from ocpi_emsp.codec import diagnose, dump, encode_valid, parse
from ocpi_emsp.codec.encode import document, is_usable_id, unusable_texts
from ocpi_emsp.codec.extensions import extended, require_extensions
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.findings import Report, Severity
from ocpi_emsp.flows.calls.call import call
from ocpi_emsp.flows.calls.fetch_one import fetch_object
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party, as_wanted
from ocpi_emsp.models import Token
from ocpi_emsp.routes import outgoing

PATCHED: Final = frozenset({"valid", "whitelist", "visual_number", "issuer", "language", "auth_id", "last_updated"})
"""The members of a token that a PATCH changes: all except those that identify it."""


async def put_token(context: Context, party: Party, token: Token, extensions: Mapping[str, Any] | None = None) -> None:
    """PUT a token at the party, with members unknown to the specification."""
    body = extended(encode_valid(token), require_extensions(Token, extensions))
    await put_document(context, party, token.uid, body)


async def put_document(context: Context, party: Party, uid: str, body: bytes) -> None:
    """PUT the document of a valid token at the party."""
    body = as_wanted(party.profile, Token, body)
    await call(context, party, outgoing("tokens.put"), params=_params(context, uid), body=body)


async def patch_token(context: Context, party: Party, uid: str, changes: dict[str, Any]) -> None:
    """PATCH members of a token at the party; ``changes`` holds models or plain JSON values."""
    unknown = set(changes) - PATCHED
    if unknown or not changes:
        raise InvalidObject(f"a token cannot be patched by {', '.join(sorted(unknown)) or 'nothing'}")
    body = dump(document(changes))
    _require_valid(parse(body))
    await call(context, party, outgoing("tokens.patch"), params=_params(context, uid), body=body)


def _require_valid(changes: dict[str, Any]) -> None:
    """Raise InvalidObject for changes that no valid token can have."""
    findings = diagnose(Token, {**_VALID, **changes}).findings
    auth_id = changes.get("auth_id")
    if isinstance(auth_id, str) and not is_usable_id(auth_id):
        raise InvalidObject(
            f"invalid auth_id {shown(auth_id)}: expected text that identifies a driver, for example 'IT-BEC-1'"
        )
    unusable = tuple(unusable_texts(changes))
    if unusable:
        raise InvalidObject(f"{unusable[0].message}; the changes are not sent", findings=unusable)
    wrong = Report.of(findings).at_least(Severity.WARNING)
    if wrong:
        raise InvalidObject("these changes of a token break the specification; they are not sent", findings=wrong)


_VALID: Final[dict[str, Any]] = {
    "uid": "1",
    "type": "RFID",
    "auth_id": "1",
    "issuer": "1",
    "valid": True,
    "whitelist": "NEVER",
    "last_updated": "2024-01-01T00:00:00Z",
}
"""A token with which changes are validated."""


async def fetch_token(context: Context, party: Party, uid: str) -> Token:
    """Return a token as the party has it."""
    return await fetch_object(context, party, outgoing("tokens.get"), Token, **_params(context, uid))


def differences(ours: Token, theirs: Token) -> str:
    """Return the differences, except ``last_updated``, in words; empty if there are none."""
    pairs = ((name, getattr(theirs, name), getattr(ours, name)) for name in fields_dict(Token))
    return "; ".join(
        f"{name} is {_said(their)} there and {_said(our)} here"
        for name, their, our in pairs
        if name != "last_updated" and their != our
    )


def _said(value: object) -> str:
    return shown(value) if isinstance(value, str) else "missing" if value is None else str(value).lower()


def _params(context: Context, uid: str) -> dict[str, str]:
    if not is_usable_id(uid) or not uid.isprintable():
        raise InvalidObject(f"invalid uid {shown(uid)}: expected the uid of a token, for example '04E2A3F4'")
    return {
        "country_code": context.identity.country_code,
        "party_id": context.identity.party_id,
        "token_uid": uid,
    }
