"""What a party is known to have of our tokens, and when all of them were last tried.

Rules of this module:
- an unreadable record counts as missing, and its token as never sent; without a checkpoint all tokens are examined;
- unknown is a state of its own: a request without a response may have succeeded.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from attrs import frozen

from ocpi_emsp.codec import dump
from ocpi_emsp.codec.content import content_hash
from ocpi_emsp.codec.encode import document
from ocpi_emsp.codec.extensions import extensions_in
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.inbound.stored import find
from ocpi_emsp.flows.parties.party import Party, checkpoint_key
from ocpi_emsp.models import Token
from ocpi_emsp.ports import Key, Kind, Record
from ocpi_emsp.scalars import DateTime

MODULE: Final = "tokens"
"""The name of a push of tokens among the modules of a sync, and the id of its checkpoint."""
OVERLAP: Final = timedelta(minutes=15)
"""Tokens stored this long before the last push are examined again: the clocks of our machines differ, and a transaction
takes time. An unchanged token costs no request.
"""


@frozen(kw_only=True)
class PushedToken:
    """What a party has of a token: the document of a PUSHED record."""

    content: str | None
    """The hash of the token without ``valid`` and ``last_updated``; None if it is unknown what the party has."""
    valid: bool | None
    at: DateTime
    """When it was last sent."""
    push: str
    """The push that sent it: a push does not try a failed token twice."""
    failures: int = 0
    """Number of consecutive failures."""
    error: str = ""

    @property
    def is_pending(self) -> bool:
        """True if the last attempt failed, or its result is unknown."""
        return self.content is None

    def equals(self, token: Token, stored: bytes) -> bool:
        """Return True if the party has the current token, with the extensions of its document."""
        return self.content == content_of(token, stored) and self.valid == token.valid

    def document(self) -> bytes:
        """Return the JSON of its record."""
        return msgspec.json.encode(self)


def content_of(token: Token, stored: bytes) -> str:
    """Return the hash of a token, with the extensions of its document, without ``valid`` and ``last_updated``."""
    plain = document(token)
    del plain["valid"]
    return content_hash(dump({**plain, **extensions_in(Token, stored)}))


def pushed_key(party: Party, token: Key) -> Key:
    """Return the key of what a party has of the token with this key."""
    return Key(Kind.PUSHED, party.country_code, party.party_id, token.id, token.parent)


def read_pushed_token(record: Record | None) -> PushedToken | None:
    """Return the state in a record; None if it is missing or unreadable."""
    try:
        return msgspec.json.decode(record.document, type=PushedToken) if record else None
    except msgspec.MsgspecError:
        return None


@frozen
class _Checkpoint:
    at: DateTime
    """When the last complete push began."""


def _checkpoint_key(party: Party) -> Key:
    return checkpoint_key(party.country_code, party.party_id, MODULE)


async def look_from(context: Context, party: Party) -> datetime | None:
    """Return the time since which stored tokens must be examined; None: all of them."""
    record = await find(context, _checkpoint_key(party))
    try:
        last = msgspec.json.decode(record.document, type=_Checkpoint).at if record else None
    except msgspec.MsgspecError:
        last = None
    return min(last, context.clock.now()) - OVERLAP if last else None


async def save_checkpoint(context: Context, party: Party, began: datetime) -> None:
    """Store when a complete push began."""
    body = msgspec.json.encode(_Checkpoint(began))
    async with context.store.transaction() as tx:
        key, now = _checkpoint_key(party), context.clock.now()
        await tx.put(Record(key, body, began, now, correlation_id=context.correlation_id))
