"""Partners: what is known of each, and which token is whose.

Rules of this module (credentials.md; docs/spec-choices.md rows 1, 10, 17, 19):
- a token that we only compare is stored as its SHA-256; the one that we present stands in the party's
  document, which a store that lasts has to seal (see SqlStore);
- a replaced token works until the new one is first used, or the grace time ends;
- a party is identified by country_code and party_id, compared without case;
- a transaction that writes reads the party before its tokens: two of them then lock in one order.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar

import msgspec
from attrs import evolve, field, frozen

from ocpi_emsp.check import RULES, Policy
from ocpi_emsp.codec import decode, dump, encode
from ocpi_emsp.errors import NotAuthenticated
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.context import Context
from ocpi_emsp.models import BusinessDetails, Endpoint
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction
from ocpi_emsp.scalars import DateTime, OpenEnum
from ocpi_emsp.support import SupportMatrix
from ocpi_emsp.wire import from_base64, presented_token

_CLAUSE = "credentials.md#21-credentials-object"


class PartyState(OpenEnum):
    """Where a partner is in its life."""

    INVITED = "INVITED"
    """It has token A and may only register."""
    REGISTERING = "REGISTERING"
    """We are registering with it: it may read our versions."""
    REGISTERED = "REGISTERED"
    """Both sides have exchanged credentials."""


@frozen(kw_only=True)
class IssuedToken:
    """A token that we gave to a party, by its hash."""

    clause: ClassVar[str] = _CLAUSE

    sha256: str
    issued_at: DateTime


@frozen(kw_only=True)
class RuleAction:
    """What a rule counts as for one party (see :class:`ocpi_emsp.check.Policy`)."""

    clause: ClassVar[str] = _CLAUSE

    rule: str
    action: str


@frozen(kw_only=True, slots=False)
class Profile:
    """How a partner wants to be talked to, as data."""

    clause: ClassVar[str] = _CLAUSE

    base64_token: bool = False
    """It expects the token in base64 (the 2.2 habit)."""
    refuses: str | None = None
    """The severity from which on its payloads are refused; None for the eMSP's own policy."""
    actions: tuple[RuleAction, ...] = ()
    """Rules that count for it as something else."""
    matrix: str | None = None
    """What is served to it and called at it, as the CSV of a support matrix; None for the eMSP's own."""
    append_charging_periods: bool = False
    """A PATCH of charging_periods adds to the list instead of replacing it."""
    requests_per_second: Decimal | None = None
    """How often it may be called; None for the eMSP's own setting."""
    concurrent_requests: int | None = None
    """How many calls it may get at once; None for the eMSP's own setting."""


@lru_cache(maxsize=1024)
def policy_of(profile: Profile, default: Policy) -> Policy:
    """The policy of a party: its own, or the eMSP's."""
    if profile.refuses is None:
        return default
    return Policy(Severity(profile.refuses), {each.rule: each.action for each in profile.actions})


def matrix_of(profile: Profile, default: SupportMatrix) -> SupportMatrix:
    """The support matrix of a party: its own, or the eMSP's."""
    return default if profile.matrix is None else _read_matrix(profile.matrix)


@lru_cache(maxsize=1024)
def _read_matrix(text: str) -> SupportMatrix:
    return SupportMatrix.from_csv(text)


def with_policy(profile: Profile, policy: Policy | None) -> Profile:
    """The profile with this policy, or without one of its own. Raises ValueError for a rule that does not exist."""
    actions = dict(policy.actions) if policy else {}
    unknown = sorted(set(actions) - set(RULES))
    if unknown:
        raise ValueError(f"there is no rule {', '.join(unknown)}")
    return evolve(
        profile,
        refuses=policy.refuses.value if policy else None,
        actions=tuple(RuleAction(rule=rule, action=action) for rule, action in actions.items()),
    )


@frozen(kw_only=True, slots=False)
class Party:
    """A partner. ``token`` is the one that we present; it never shows in a repr."""

    clause: ClassVar[str] = _CLAUSE

    country_code: str
    party_id: str
    state: PartyState
    issued: tuple[IssuedToken, ...] = ()
    token: str | None = field(default=None, repr=False)
    versions_url: str | None = None
    business_details: BusinessDetails | None = None
    endpoints: tuple[Endpoint, ...] = ()
    profile: Profile = Profile()
    sends_base64: bool = False
    """It was seen to send its token in base64."""

    @property
    def key(self) -> Key:
        """The key of its record."""
        return party_key(self.country_code, self.party_id)

    def endpoint(self, module: str) -> str | None:
        """The URL of one of its modules."""
        found = (endpoint.url for endpoint in self.endpoints if endpoint.identifier.lower() == module.lower())
        return next(found, None)

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"


def party_key(country_code: str, party_id: str) -> Key:
    """The key of a party's record."""
    return Key(Kind.PARTY, country_code.upper(), party_id.upper(), "")


def checkpoint_key(country_code: str, party_id: str, module: str) -> Key:
    """The key of the checkpoint of one of its modules."""
    return Key(Kind.CHECKPOINT, country_code, party_id, module)


@lru_cache(maxsize=1024)
def _read(document: bytes) -> Party:
    return decode(Party, document)


async def get_party(tx: Transaction, country_code: str, party_id: str) -> Party | None:
    """The party, or None."""
    record = await tx.get(party_key(country_code, party_id))
    return _read(record.document) if record else None


async def put_party(tx: Transaction, party: Party, now: datetime) -> None:
    """Store a party, and make exactly its issued tokens work."""
    old = await get_party(tx, party.country_code, party.party_id)
    wanted = {issued.sha256 for issued in party.issued}
    for issued in old.issued if old else ():
        if issued.sha256 not in wanted:
            await tx.delete(_credential_key(issued.sha256))
    owner = dump([party.country_code, party.party_id])
    for sha256 in wanted:
        await tx.put(Record(_credential_key(sha256), owner, now, now))
    await tx.put(Record(party.key, encode(party), now, now))


async def delete_party(tx: Transaction, party: Party) -> None:
    """Forget a party and its tokens, also those that it got since ``party`` was read, and which of ours it has.

    What it sent us stays, and up to where it was pulled.
    """
    current = await get_party(tx, party.country_code, party.party_id)
    for issued in {*party.issued, *(current.issued if current else ())}:
        await tx.delete(_credential_key(issued.sha256))
    await tx.delete(party.key)
    await tx.delete(checkpoint_key(party.country_code, party.party_id, "tokens"))
    query = Query(kind=Kind.PUSHED, country_code=party.country_code, party_id=party.party_id, limit=500, count=False)
    while pushed := (await tx.page(query)).records:
        for record in pushed:
            await tx.delete(record.key)


@lru_cache(maxsize=1024)
def _credential_key(sha256: str) -> Key:
    return Key(Kind.CREDENTIAL, "", "", sha256)


def issue(token: str, now: datetime) -> IssuedToken:
    """The record of a token that is given out at ``now``."""
    return IssuedToken(sha256=_sha256(token), issued_at=now)


@lru_cache(maxsize=1024)
def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@frozen
class Caller:
    """Who sent a request, and with which token."""

    party: Party
    token: str = field(repr=False)


async def authenticate(context: Context, header: str | None) -> Caller:
    """The party behind an Authorization header. Raises NotAuthenticated."""
    presented = presented_token(header)
    async with context.store.transaction(read_only=True) as tx:
        party, token = await _find(tx, presented)
    if len(party.issued) > 1 or party.sends_base64 != (token != presented):
        async with context.store.transaction() as tx:
            await get_party(tx, party.country_code, party.party_id)
            party, token = await _find(tx, presented)
            party = await _settle(context, tx, party, token, token != presented)
    return Caller(party, token)


async def _find(tx: Transaction, presented: str) -> tuple[Party, str]:
    """The party that the token belongs to, as it is or read as base64, and the token. Raises NotAuthenticated."""
    for token in (presented, from_base64(presented)):
        party = await _owner(tx, token) if token is not None else None
        if party is not None and token is not None:
            return party, token
    raise NotAuthenticated("the token is not known")


async def _owner(tx: Transaction, token: str) -> Party | None:
    credential = await tx.get(_credential_key(_sha256(token)))
    record = await tx.get(_owner_key(credential.document)) if credential else None
    return _read(record.document) if record else None


@lru_cache(maxsize=1024)
def _owner_key(document: bytes) -> Key:
    return party_key(*msgspec.json.decode(document, type=tuple[str, str]))


async def _settle(context: Context, tx: Transaction, party: Party, token: str, as_base64: bool) -> Party:
    """Remember what the use of this token tells, and retire what it ends: older tokens, or those past their grace."""
    newest = party.issued[-1]
    over = context.clock.now() - newest.issued_at > context.limits.token_grace
    if newest.sha256 != _sha256(token) and over:
        raise NotAuthenticated("the token was replaced")
    issued = (newest,) if newest.sha256 == _sha256(token) else party.issued
    settled = evolve(party, issued=issued, sends_base64=as_base64)
    if settled != party:
        await put_party(tx, settled, context.clock.now())
    return settled


def reissue(party: Party, token: str, now: datetime) -> tuple[IssuedToken, ...]:
    """The tokens that work once ``token`` is given out: until it is used, the one in use and the last one stay.

    The first is the one in use: the use of a later one ends those before it.
    """
    return (*party.issued[:1], *party.issued[1:][-1:], issue(token, now))
