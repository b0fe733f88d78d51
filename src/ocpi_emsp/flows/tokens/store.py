"""Our drivers' tokens: stored, changed, read, and which of them failed at a party (mod_tokens.md 1.1, 3.2).

Rules of this module:
- uid and type together identify a token and never change; no token is deleted, since OCPI has no DELETE of a token;
- a stored token is valid by the specification; any other token is rejected with every finding;
- a change has a later ``last_updated`` than the previous version, or a partner that pulls by date would never see it;
- equal content is not a change; if only ``last_updated`` is later, the token is stored, and not pushed;
- every change requests a push to each party that our tokens are pushed to, in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final, TypeAlias

from attrs import evolve, fields_dict, frozen

from ocpi_emsp.codec import decode, diagnose, dump, encode_valid, parse
from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.encode import document
from ocpi_emsp.codec.extensions import extended, extensions_in, require_extensions, with_members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson, UnknownObject
from ocpi_emsp.findings import Report, Severity
from ocpi_emsp.flows.core.context import Context, new_id, whole_second
from ocpi_emsp.flows.events.backlog import log_backlog
from ocpi_emsp.flows.inbound.stored import find, reader
from ocpi_emsp.flows.parties.party import PartyState, load_party
from ocpi_emsp.flows.parties.pending_push import request_pushes
from ocpi_emsp.flows.tokens.push.client import PATCHED
from ocpi_emsp.flows.tokens.push.state import look_from, read_pushed_token
from ocpi_emsp.models import Token, TokenType
from ocpi_emsp.ports import Key, Kind, Record, Transaction
from ocpi_emsp.scalars import given

_BATCH: Final = 500
"""Tokens of one transaction: others wait for it, and this many take a moment."""
_SECOND: Final = timedelta(seconds=1)
"""Smallest difference of two timestamps on the wire."""


@frozen(kw_only=True)
class FailedToken:
    """A token of which a party is not known to have our version, and why."""

    uid: str
    type: str
    error: str
    """The party's response; empty if the push was cut off, and its effect is unknown."""
    failures: int
    """Number of consecutive failures."""
    at: datetime
    """When it was last tried."""
    sequence: int
    """Its place in a list, which continues ``after`` it."""


async def put_token_here(context: Context, token: Token, extensions: Mapping[str, Any] | None = None) -> Token:
    """Store a token with extensions; return it as stored. Raises InvalidObject if it breaks the specification."""
    body = _encoded((token, {} if extensions is None else extensions))
    async with context.store.transaction() as tx:
        stored, is_changed = await _put(context, tx, body)
        if is_changed:
            await request_pushes(tx, context.clock.now())
    await log_backlog(context)
    return stored


TokenWithExtensions: TypeAlias = tuple[Token, Mapping[str, Any]]
"""A token, and its members that are unknown to the specification."""


async def put_tokens_here(context: Context, tokens: Iterable[Token | TokenWithExtensions]) -> int:
    """Store many tokens; return how many are new or changed. Raises InvalidObject if one breaks the specification.

    They are read and stored some hundred at a time: nothing of a batch with an invalid token is stored.
    """
    changed, left = 0, iter(tokens)
    while batch := [_encoded(token) for token in islice(left, _BATCH)]:
        async with context.store.transaction() as tx:
            before = changed
            for body in sorted(batch, key=lambda each: _key_of(context, each)):  # all writers lock in one order
                changed += (await _put(context, tx, body))[1]
            if changed > before:
                await request_pushes(tx, context.clock.now())
    await log_backlog(context)
    return changed


def _encoded(token: Token | TokenWithExtensions) -> bytes:
    plain, extensions = token if isinstance(token, tuple) else (token, None)
    if not isinstance(plain, Token | dict):
        raise TypeError(f"invalid token '{given(plain)}': expected a Token")
    return extended(encode_valid(plain), require_extensions(Token, extensions))


async def patch_token_here(context: Context, uid: str, token_type: TokenType, changes: dict[str, Any]) -> Token:
    """Change members of a token; return it as stored then. ``last_updated`` becomes now, unless it is among the
    changes.

    Raises UnknownObject; InvalidObject for a member that does not exist or cannot change, and for a value that breaks
    the specification.
    """
    patch = _readable(changes)
    async with context.store.transaction() as tx:
        record = await tx.get(_key(context, uid, token_type))
        if record is None:
            raise UnknownObject(f"there is no token {shown(uid)} of type {token_type}")
        now = context.clock.now()
        whole = {**document(decode(Token, record.document)), "last_updated": document(now), **patch}
        patched = valid_token({name: value for name, value in whole.items() if value is not None})
        body = with_members(encode_valid(patched), extensions_in(Token, record.document))
        stored, is_changed = await _put(context, tx, body, stamps="last_updated" not in changes)
        if is_changed:
            await request_pushes(tx, now)
    await log_backlog(context)
    return stored


async def stored_token(context: Context, uid: str, token_type: TokenType) -> Token | None:
    """Return one of our tokens, or None."""
    record = await find(context, _key(context, uid, token_type))
    return decode(Token, record.document) if record else None


async def failed_tokens(
    context: Context, country_code: str, party_id: str, limit: int, after: int
) -> list[FailedToken]:
    """Return the tokens whose last push to a party failed, or was cut off; oldest first. Raises NotRegistered."""
    party = await load_party(context, country_code, party_id, state=PartyState.REGISTERED)
    since = await look_from(context, party)  # every token that must still be tried was written since then
    read = reader(context, Kind.PUSHED, (party.country_code, party.party_id), received_from=since)
    found = list[FailedToken]()
    while len(found) < limit and (records := await read(_BATCH, after)):
        found += (failed for record in records if (failed := _failed(record)) is not None)
        after = records[-1].sequence
    return found[:limit]


def _failed(record: Record) -> FailedToken | None:
    pushed = read_pushed_token(record)
    if pushed is None or not pushed.is_pending:
        return None
    return FailedToken(
        uid=record.key.id,
        type=record.key.parent,
        error=pushed.error,
        failures=pushed.failures,
        at=pushed.at,
        sequence=record.sequence,
    )


# --- one token ------------------------------------------------------------------------------------------------------


async def _put(context: Context, tx: Transaction, body: bytes, *, stamps: bool = False) -> tuple[Token, bool]:
    """Store a valid token; return it as stored, and whether its content is new.

    With ``stamps`` its ``last_updated`` is set here, and alone is no reason to store it.
    """
    token, now = decode(Token, body), context.clock.now()
    key = _key(context, token.uid, token.type)
    old = await tx.get(key)
    is_changed = old is None or not same_content(old.document, body, Kind.TOKEN)
    if old is not None and not is_changed and (stamps or token.last_updated <= whole_second(old.last_updated)):
        return decode(Token, old.document), False
    if old is not None and token.last_updated <= whole_second(old.last_updated):
        token = evolve(token, last_updated=_later(old.last_updated, now))
    correlation_id = context.correlation_id or new_id()
    whole = with_members(encode_valid(token), extensions_in(Token, body))
    await tx.put(Record(key, whole, token.last_updated, now, token, correlation_id=correlation_id))
    return token, is_changed


def _later(stored: datetime, now: datetime) -> datetime:
    """Return now, or a second after the stored time if that is later; the last possible time has none after it."""
    try:
        return max(whole_second(now), whole_second(stored) + _SECOND)
    except OverflowError:
        return stored


def _readable(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes as plain JSON values. Raises InvalidObject."""
    unknown = sorted(set(changes) - PATCHED)
    if unknown or not changes:
        raise InvalidObject(f"a token cannot be patched by {', '.join(unknown) or 'nothing'}")
    try:
        patch: dict[str, Any] = parse(dump(document(changes)))
    except (NotJson, TypeError, ValueError) as error:
        raise InvalidObject(f"invalid change of a token: {error}") from error
    return patch


def valid_token(plain: Any) -> Token:
    """Return the token of a parsed JSON document. Raises InvalidObject if it deviates in any way, or has a NUL."""
    values = plain.items() if isinstance(plain, dict) else ()
    nul = [name for name, value in values if isinstance(value, str) and "\0" in value]
    if nul:  # PostgreSQL would reject it later, with everything stored together with it
        raise InvalidObject(f"{', '.join(nul)} of this Token has a NUL character: remove it")
    diagnosis = diagnose(Token, plain)
    wrong = Report.of(diagnosis.findings).at_least(Severity.WARNING)
    if diagnosis.value is None or wrong:
        raise InvalidObject("this Token breaks the specification", findings=tuple(wrong))
    return diagnosis.value


def valid_token_with_extensions(plain: Any) -> TokenWithExtensions:
    """Return a token like :func:`valid_token`, and its further members. Raises InvalidObject also for invalid
    extensions.
    """
    token = valid_token(plain)
    known = fields_dict(Token)
    return token, require_extensions(Token, {name: value for name, value in plain.items() if name not in known})


def _key(context: Context, uid: str, token_type: TokenType) -> Key:
    return context.identity.token_key(uid, str(token_type))  # a type may be given as text


def _key_of(context: Context, body: bytes) -> Key:
    token = decode(Token, body)
    return _key(context, token.uid, token.type)
