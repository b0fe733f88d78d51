"""Parties: what is stored of each partner, and which token belongs to which.

Rules of this module (credentials.md; docs/spec-choices.md rows 1, 10, 17, 19):
- a token that is only compared is stored as its SHA-256; the token that we present is part of the party's document,
  which a durable store must encrypt (see SqlStore);
- a replaced token works until the new one is first used, or the grace time ends;
- a party is identified by country_code and party_id, compared case-insensitively;
- a writing transaction reads the party before its tokens, so concurrent transactions lock in the same order.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import msgspec
from attrs import evolve, field, frozen

from ocpi_emsp.check import Policy
from ocpi_emsp.check.policy import can_be, without_unknown
from ocpi_emsp.codec import decode, dump, encode
from ocpi_emsp.codec.nulls import with_nulls
from ocpi_emsp.errors import NotRegistered
from ocpi_emsp.findings import Severity
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.extra_headers import ExtraHeader
from ocpi_emsp.models import BusinessDetails, Endpoint
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.ports import Key, Kind, Query, Record, Transaction
from ocpi_emsp.scalars import DateTime, OpenEnum
from ocpi_emsp.support import SupportMatrix

_CLAUSE = "credentials.md#21-credentials-object"


class PartyState(OpenEnum):
    """The state of a partner's registration."""

    INVITED = "INVITED"
    """It has token A and may only register."""
    REGISTERING = "REGISTERING"
    """We are registering with it: it may read our versions."""
    REGISTERED = "REGISTERED"
    """Both sides have exchanged credentials."""
    UNREGISTERED = "UNREGISTERED"
    """It ended its registration, and may register again; what is known of it stays."""


@frozen(kw_only=True)
class IssuedToken:
    """A token that was issued to a party, by its hash."""

    clause: ClassVar[str] = _CLAUSE

    sha256: str
    issued_at: DateTime
    offered: bool = False
    """It was sent in a PUT without a usable response yet: the party may have accepted it or not. Until that is clear,
    it ends no other token, and does not expire.
    """
    registered_at: DateTime | None = None
    """When the party registered with it; from then on token_a.py decides which requests it allows."""


@frozen(kw_only=True)
class RuleAction:
    """The severity of a rule for one party (see :class:`ocpi_emsp.check.Policy`)."""

    clause: ClassVar[str] = _CLAUSE

    rule: str
    action: str


@frozen(kw_only=True, slots=False)
class SentCredentials:
    """The credentials that were last sent to a partner, without the token."""

    clause: ClassVar[str] = _CLAUSE

    url: str
    """Our public base."""
    country_code: str
    party_id: str
    business_details: BusinessDetails
    extensions: str = ""
    """The extensions of the eMSP, as a JSON object; empty for none."""
    required_modules: tuple[str, ...] = ()
    """The eMSP's own setting."""

    @property
    def known_extensions(self) -> dict[str, Any]:
        """Return the extensions by name."""
        return dict(msgspec.json.decode(self.extensions)) if self.extensions else {}


@frozen(kw_only=True, slots=False)
class Profile:
    """How a partner is called and answered, where that differs from the eMSP's own settings."""

    clause: ClassVar[str] = _CLAUSE

    base64_token: bool = False
    """It expects the token in base64 (the 2.2 habit)."""
    refuses: str | None = None
    """The severity from which its payloads are rejected; None for the eMSP's own policy."""
    actions: tuple[RuleAction, ...] = ()
    """Rules that have another severity for it."""
    matrix: str | None = None
    """The rows that are served to it and called at it, as the CSV of a support matrix; None for the eMSP's own."""
    append_charging_periods: bool = False
    """A PATCH of charging_periods adds to the list instead of replacing it."""
    requests_per_second: Decimal | None = None
    """Requests per second that it may get; None for the eMSP's own setting."""
    concurrent_requests: int | None = None
    """Requests that it may get at once; None for the eMSP's own setting."""
    inbound_requests_per_second: int | None = None
    """Requests that it may send per second; None for ``InboundLimits``."""
    inbound_concurrent_requests: int | None = None
    """Requests of it that are served at once; None for ``InboundLimits``."""
    inbound_bytes_per_minute: int | None = None
    """Bytes of its bodies per minute; None for ``InboundLimits``."""
    trailing_slash: bool = False
    """The URLs that we call end with a slash, before the query: those of its lists, objects and commands."""
    announce_slash: bool = True
    """Our endpoints that it reads end with a slash, as in the specification's example."""
    page_limit: int | None = None
    """Most objects of a page that it is asked for; None: ``SyncLimits.page_size`` in a sync, no limit in a client."""
    allowed_parties: tuple[str, ...] = ()
    """Parties whose objects are also received over this connection, such as "NL-ABC", "NL-*" or "*": it is a hub."""
    owner_from: str | None = None
    """The member that names the owner of a pulled object, one of ``owner_evidence.CRITERIA``; None: no member."""
    headers: tuple[ExtraHeader, ...] = ()
    """Additional headers of every call to it."""
    time_zone: str | None = None
    """The IANA name of the zone of its timestamps without a zone; None for UTC."""
    patches_sessions: bool = True
    """It sends changes of a session as PATCH. For people only: nothing waits for a PATCH, a PUT serves as well."""
    cdr_id_is_session_id: bool = False
    """A CDR has the id of its session: equal ids match, whatever else differs."""
    required_modules: tuple[str, ...] | None = None
    """The modules that it must offer beside credentials; None for the eMSP's own setting."""
    push_tokens: bool = True
    """Our tokens are pushed to it."""
    authorization_ids: bool = False
    """Each of our authorizations, START_SESSION and RESERVE_NOW has an authorization_id: one is created if the backend
    gives none.
    """
    absent_as_null: bool = False
    """It requires every member: an absent optional member is sent as null."""
    credentials_extensions: str | None = None
    """Members of our credentials for it that are unknown to the specification, as a JSON object."""
    endpoints: tuple[Endpoint, ...] = ()
    """Endpoints that were set by hand, for modules that it announces wrongly or not at all; they take precedence."""
    max_objects: int | None = None
    """Objects that it may store here; None for ``QuotaLimits.objects``."""
    max_bytes: int | None = None
    """Bytes of the documents that it may store here; None for ``QuotaLimits.bytes``."""
    hosts: tuple[str, ...] = ()
    """Hosts of its URLs beside that of its versions URL; if set, it cannot move to any other."""
    without_locations: bool = False
    """It sends no locations, or none right after the handshake: commands and authorizations accept unknown
    locations.
    """
    readings: str | None = None
    """The readings of its prices that differ from the default, as a JSON object: see profile_readings.py."""
    plausibility: str | None = None
    """The plausibility settings of its CDRs that differ from the default, as a JSON object."""

    @property
    def is_hub(self) -> bool:
        """True if other parties' objects may be received over the connection."""
        return bool(self.allowed_parties)

    def extra_headers(self) -> dict[str, str]:
        """Return the headers by name."""
        return {each.name: each.value for each in self.headers}


def policy_of(profile: Profile, default: Policy) -> Policy:
    """Return the policy of a party: its own, or the eMSP's."""
    return default if profile.refuses is None else _own_policy(profile.refuses, profile.actions)


@lru_cache(maxsize=1024)
def _own_policy(refuses: str, actions: tuple[RuleAction, ...]) -> Policy:
    # An earlier version stored actions that are impossible, and ignored them.
    possible = {each.rule: each.action for each in actions if can_be(each.rule, each.action)}
    return Policy(Severity(refuses), without_unknown(possible))


def matrix_of(profile: Profile, default: SupportMatrix) -> SupportMatrix:
    """Return the support matrix of a party: its own, or the eMSP's."""
    return default if profile.matrix is None else _read_matrix(profile.matrix)


@lru_cache(maxsize=1024)
def _read_matrix(text: str) -> SupportMatrix:
    return SupportMatrix.from_csv(text)


def as_wanted(profile: Profile, kind: type[Any], body: bytes) -> bytes:
    """Return one of our objects in the form for this partner: absent members as null, if it requires every member."""
    return with_nulls(kind, body) if profile.absent_as_null else body


def with_policy(profile: Profile, policy: Policy | None) -> Profile:
    """Return the profile with this policy, or without its own for None."""
    actions = dict(policy.actions) if policy else {}
    return evolve(
        profile,
        refuses=policy.refuses.value if policy else None,
        actions=tuple(RuleAction(rule=rule, action=action) for rule, action in actions.items()),
    )


@frozen(kw_only=True, slots=False)
class Party:
    """A partner. ``token`` is the one that we present to it; it never appears in a repr."""

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
    sent: SentCredentials | None = None
    """The credentials that it was last sent; None if an earlier version registered it."""
    sends_base64: bool = False
    """It sent its token in base64 before."""
    token_a: str | None = field(default=None, repr=False)
    """The hash of the token with which it registered: a partner that ends its registration may register again with
    it.
    """
    expires_at: DateTime | None = None
    """When the token A of its invitation stops working; None once it is registered."""
    unregistered_at: DateTime | None = None
    """When it ended its registration."""
    seen_owners: tuple[str, ...] = ()
    """For a hub: the owners of objects received over its connection so far, such as "NL-ABC"; itself if it pushed its
    own.
    """
    sequence: int = field(default=0, eq=False)
    """Its position among the listed parties; it is not stored."""

    @property
    def key(self) -> Key:
        """The key of its record."""
        return party_key(self.country_code, self.party_id)

    @property
    def id(self) -> PartyId:
        """Its id, such as ``NL-TNM``."""
        return PartyId.received(self.country_code, self.party_id)

    @cached_property
    def owner(self) -> tuple[str, str]:
        """Its country_code and party_id, in the form that keys use."""
        return self.country_code.upper(), self.party_id.upper()

    @property
    def all_endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints that were set by hand, and those that it announces."""
        return (*self.profile.endpoints, *self.endpoints)

    def endpoint(self, module: str) -> str | None:
        """Return the URL of one of its modules."""
        found = (endpoint.url for endpoint in self.all_endpoints if endpoint.identifier.lower() == module.lower())
        return next(found, None)

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"


def party_key(country_code: str, party_id: str) -> Key:
    """Return the key of a party's record."""
    return Key(Kind.PARTY, country_code.upper(), party_id.upper(), "")


def checkpoint_key(country_code: str, party_id: str, module: str) -> Key:
    """Return the key of the checkpoint of one of its modules."""
    return Key(Kind.CHECKPOINT, country_code, party_id, module)


def sync_entry_id(country_code: str, party_id: str) -> str:
    """Return the id of the entry with the time of its next sync."""
    return f"sync-{country_code.upper()}-{party_id.upper()}"


@lru_cache(maxsize=1024)
def read_party(document: bytes) -> Party:
    """Return the party of a record's document."""
    return decode(Party, document)


async def find_party(tx: Transaction, country_code: str, party_id: str) -> Party | None:
    """Return the party, or None."""
    record = await tx.get(party_key(country_code, party_id))
    return read_party(record.document) if record else None


async def get_party(tx: Transaction, country_code: str, party_id: str, *, state: PartyState | None = None) -> Party:
    """Return the party; if ``state`` is given, only in this state. Raises NotRegistered."""
    party = await find_party(tx, country_code, party_id)
    if party is None or (state is not None and party.state is not state):
        raise NotRegistered(f"there is no registration with {country_code.upper()}-{party_id.upper()}")
    return party


async def load_party(context: Context, country_code: str, party_id: str, *, state: PartyState | None = None) -> Party:
    """Return the party like :func:`get_party`, in a transaction of its own."""
    async with context.store.transaction(read_only=True) as tx:
        return await get_party(tx, country_code, party_id, state=state)


async def put_party(tx: Transaction, party: Party, now: datetime, correlation_id: str = "") -> None:
    """Store a party, and make exactly its issued tokens work."""
    old = await find_party(tx, party.country_code, party.party_id)
    wanted = {issued.sha256 for issued in party.issued}
    for issued in old.issued if old else ():
        if issued.sha256 not in wanted:
            await tx.delete(credential_key(issued.sha256))
    owner = dump([party.country_code, party.party_id])
    for sha256 in wanted:
        await tx.put(Record(credential_key(sha256), owner, now, now, correlation_id=correlation_id))
    document = encode(evolve(party, sequence=0))
    await tx.put(Record(party.key, document, now, now, correlation_id=correlation_id))


async def end_registration(tx: Transaction, party: Party, now: datetime, correlation_id: str) -> bool:
    """Store that a partner ended its registration. Return False if it was ended before, by either side.

    Its objects, its profile and its pending entries stay. Its tokens, and the one that it registered with, only open a
    new registration from now on; which of our tokens it has is no longer known.
    """
    current = await find_party(tx, party.country_code, party.party_id)
    if current is None or current.state is not PartyState.REGISTERED:
        return False
    first = (IssuedToken(sha256=current.token_a, issued_at=now),) if current.token_a is not None else ()
    issued = {each.sha256: each for each in (*first, *current.issued)}
    ended = evolve(
        current,
        state=PartyState.UNREGISTERED,
        token=None,
        issued=tuple(issued.values()),
        unregistered_at=now,
    )
    await put_party(tx, ended, now, correlation_id)
    await _forget_pushes(tx, current)
    return True


async def delete_party(tx: Transaction, party: Party) -> bool:
    """Delete a party and its tokens, including those issued since ``party`` was read, and the state of pushes to it.

    Its objects and checkpoints stay. Return False if it was deleted before.
    """
    current = await find_party(tx, party.country_code, party.party_id)
    for issued in {*party.issued, *(current.issued if current else ())}:
        await tx.delete(credential_key(issued.sha256))
    await tx.delete(party.key)
    await _forget_pushes(tx, party)
    return current is not None


async def _forget_pushes(tx: Transaction, party: Party) -> None:
    """Delete the state of pushes to a party, and the time of its next sync."""
    await tx.delete(checkpoint_key(party.country_code, party.party_id, "tokens"))
    await tx.settle(sync_entry_id(party.country_code, party.party_id))
    query = Query(kind=Kind.PUSHED, country_code=party.country_code, party_id=party.party_id, limit=500, count=False)
    while pushed := (await tx.page(query)).records:
        for record in pushed:
            await tx.delete(record.key)


@lru_cache(maxsize=1024)
def credential_key(sha256: str) -> Key:
    """Return the key of one of our tokens, by its hash."""
    return Key(Kind.CREDENTIAL, "", "", sha256)


def issue(token: str, now: datetime) -> IssuedToken:
    """Return the record of a token that is issued at ``now``."""
    return IssuedToken(sha256=token_hash(token), issued_at=now)


@lru_cache(maxsize=1024)
def token_hash(token: str) -> str:
    """Return what is stored of a token that is only compared."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@frozen
class Caller:
    """The sender of a request, and the token that it presented."""

    party: Party
    token: str = field(repr=False)

    @property
    def presented(self) -> tuple[str, ...]:
        """The spellings of the token that a request may repeat: none of them is stored or logged."""
        return (self.token, b64encode(self.token.encode()).decode()) if self.token else ()
