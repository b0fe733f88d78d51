"""The first credentials handshake, in both directions, and the effects of a partner's renewal (credentials.md 1 and 3).

Rules of this module (docs/spec-choices.md row 19, docs/how-to/credentials.md):
- every change of a party goes through the table of states.py;
- our token is stored before our POST, since the partner calls back with it before it answers;
- a failed handshake leaves the previous state; one whose process dies leaves a placeholder, which is deleted later;
- a handshake never replaces a registration, nor makes us our own partner.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import evolve

from ocpi_emsp.errors import (
    AnswerUnusable,
    CannotUseApi,
    InvalidObject,
    MethodNotAllowed,
    NotSupported,
)
from ocpi_emsp.events import PartyRegistered, PartyUpdated
from ocpi_emsp.flows.calls.call import outgoing_request, url_of
from ocpi_emsp.flows.calls.fetch_one import read
from ocpi_emsp.flows.core.context import Context, new_id
from ocpi_emsp.flows.credentials.bounds import ask, inbound, outbound
from ocpi_emsp.flows.credentials.discovery import Offer, usable_offer
from ocpi_emsp.flows.credentials.ours import our_credentials, sent_credentials
from ocpi_emsp.flows.credentials.places import Places
from ocpi_emsp.flows.credentials.renew import standing, sweep, with_credentials
from ocpi_emsp.flows.credentials.states import UNKNOWN, PartyChange, after, require
from ocpi_emsp.flows.events.delivery import deliver
from ocpi_emsp.flows.events.journal import emit
from ocpi_emsp.flows.parties.issued_tokens import reissue, token_to_issue
from ocpi_emsp.flows.parties.party import (
    Party,
    PartyState,
    Profile,
    delete_party,
    find_party,
    issue,
    party_key,
    put_party,
    token_hash,
)
from ocpi_emsp.flows.parties.pending_push import AFTER_REGISTERING, request_push
from ocpi_emsp.flows.parties.token_a import expiry
from ocpi_emsp.models import Credentials, ModuleID
from ocpi_emsp.ports import Entry
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import authorization

_CROSSINGS = 3
"""How often a partner's new token is tried if another one was received meanwhile: at most two renewals cross."""


async def invite(
    context: Context, country_code: str, party_id: str, profile: Profile, expires: timedelta | None = None
) -> tuple[str, datetime]:
    """Return a token A for a CPO that will register with us, and when it expires; an earlier one of the same CPO stops
    working.

    Raises AlreadyRegistered; InvalidObject for our own identity; TypeError or ValueError for ``expires``.
    """
    context, expires_at = context.correlated(), expiry(context, expires)
    await sweep(context)
    key, token, now = party_key(country_code, party_id), token_to_issue(context), context.clock.now()
    if _is_us(context, key.country_code, key.party_id):
        raise InvalidObject(f"{key.country_code}-{key.party_id} is our own party: invite a partner")
    async with context.store.transaction() as tx:
        party = await find_party(tx, country_code, party_id)
        state = after(standing(party), PartyChange.INVITED, f"{key.country_code}-{key.party_id}")
        seen = party.seen_owners if party is not None else ()
        if party is not None:
            profile = evolve(_kept(party, profile), base64_token=profile.base64_token or party.profile.base64_token)
        invited = Party(
            country_code=key.country_code,
            party_id=key.party_id,
            state=state,
            profile=profile,
            issued=(issue(token, now),),
            expires_at=expires_at,
            seen_owners=seen,
        )
        await put_party(tx, invited, now, context.correlation_id)
    return token, expires_at


async def register(context: Context, versions_url: str, token_a: str, profile: Profile) -> Party:
    """Run the handshake towards a partner with the token that it gave us.

    Raises CannotUseApi, UnsupportedVersion, MissingEndpoints, PartnerError, NotSupported, AlreadyRegistered, ValueError
    for an empty token; nothing is stored then.
    """
    if not token_a.strip():
        raise ValueError("invalid token_a: expected the token that the CPO gave, found an empty one")
    context = context.correlated()
    if not outgoing("credentials.post").on(context.matrix):
        raise NotSupported("the support matrix switches POST /credentials (MSP -> CPO) off")
    await sweep(context)
    context = outbound(context)
    offer = await usable_offer(context, Places.of(versions_url, profile), token_a, profile)
    pending, token_b = await _begin(context, versions_url, profile)
    try:
        theirs = await _posted(context, offer, token_a, token_b, profile)
        pending = evolve(pending, sent=sent_credentials(context))
        party, event = await _complete(context, pending, theirs, offer)
    except BaseException:  # also if cancelled
        require(pending.state, PartyChange.OUR_POST_FAILED, pending)
        async with context.store.transaction() as tx:
            await delete_party(tx, pending)
        raise
    await deliver(context, [event])
    return party


async def _begin(context: Context, versions_url: str, profile: Profile) -> tuple[Party, str]:
    """Store a placeholder party with our token, so that the partner can read our versions before we know its name."""
    now, token = context.clock.now(), token_to_issue(context)
    pending = Party(
        country_code="",
        party_id=f"*{new_id()}",
        state=after(UNKNOWN, PartyChange.OUR_POST, versions_url),
        issued=(issue(token, now),),
        versions_url=versions_url,
        profile=profile,
    )
    async with context.store.transaction() as tx:
        await put_party(tx, pending, now, context.correlation_id)
    return pending, token


async def _posted(context: Context, offer: Offer, token_a: str, token_b: str, profile: Profile) -> Credentials:
    """Return the partner's response to our POST. Raises PartnerError."""
    body = our_credentials(context, profile, token_b)
    url = offer.url(ModuleID.CREDENTIALS)
    request = outgoing_request("POST", url, token_a, profile, body)
    theirs = read(Credentials, (await ask(context, request)).data)
    authorization(theirs.token, as_base64=profile.base64_token)  # rejects a token that cannot be sent
    if _is_us(context, theirs.country_code, theirs.party_id):
        raise AnswerUnusable(f"{url} answered with our own country_code and party_id", method="POST", url=url)
    return theirs


async def _complete(context: Context, pending: Party, theirs: Credentials, offer: Offer) -> tuple[Party, Entry | None]:
    """Return the registered party, which replaces the placeholder, and the event. Raises AlreadyRegistered."""
    party = evolve(with_credentials(pending, theirs), endpoints=offer.endpoints)
    async with context.store.transaction() as tx:
        known = await find_party(tx, party.country_code, party.party_id)
        party = evolve(party, state=after(standing(known), PartyChange.OUR_POST_ANSWERED, party))
        if known is not None:
            profile = _kept(known, party.profile)
            if known.state is PartyState.UNREGISTERED:  # set before it ended its registration
                profile = evolve(profile, base64_token=profile.base64_token or known.profile.base64_token)
            party = evolve(party, profile=profile, seen_owners=known.seen_owners)
        await delete_party(tx, pending)
        await put_party(tx, party, context.clock.now(), context.correlation_id)
        await request_push(tx, party, context.clock.now(), wait=AFTER_REGISTERING)
        event = await emit(context, tx, PartyRegistered, party.key, context.correlation_id, **offer.said)
    return party, event


def _kept(known: Party, asked: Profile) -> Profile:
    """Return the profile of a party that was invited before, with the settings that are given now."""
    required = known.profile.required_modules if asked.required_modules is None else asked.required_modules
    return evolve(
        known.profile,
        base64_token=asked.base64_token,
        required_modules=required,
        absent_as_null=known.profile.absent_as_null or asked.absent_as_null,
        credentials_extensions=asked.credentials_extensions or known.profile.credentials_extensions,
        headers=asked.headers or known.profile.headers,
        hosts=asked.hosts or known.profile.hosts,
    )


def _is_us(context: Context, country_code: str, party_id: str) -> bool:
    return (country_code.upper(), party_id.upper()) == context.identity.owner


async def accept_credentials(
    context: Context,
    party: Party,
    theirs: Credentials,
    change: PartyChange,
    *,
    allow: Sequence[str],
    correlation_id: str,
    presented: str,
) -> bytes:
    """Handle a partner's POST, PUT or PATCH: read its endpoints, and return our credentials with a fresh token.

    ``presented`` is the token of its request: the one with which it registers is stored.

    Raises RegistrationFailed: the previous state stays; MethodNotAllowed if the table no longer allows the change.
    """
    _require_sendable(theirs.token, party)
    token, seen, context = token_to_issue(context), party.token, inbound(context)
    for _ in range(_CROSSINGS):
        places = Places.of(theirs.url, party.profile, party, by_partner=True)
        offer = await usable_offer(context, places, theirs.token, party.profile)
        async with context.store.transaction() as tx:
            current = await find_party(tx, party.country_code, party.party_id)
            if current is None or current.state is not party.state:
                raise MethodNotAllowed(
                    f"another request registered {party} meanwhile, or ended its registration", allow=allow
                )
            if current.token != seen:  # a renewal of ours crossed this one: is this one's token still valid?
                seen = current.token
                continue
            state, now = after(current.state, change, party, allow=allow), context.clock.now()
            if change is PartyChange.THEIR_POST:
                current = _registering_with(current, presented, now)
            updated = evolve(
                with_credentials(current, theirs),
                state=state,
                endpoints=offer.endpoints,
                issued=reissue(current, token, now),
                sent=sent_credentials(context),
            )
            await put_party(tx, updated, now, correlation_id)
            await request_push(tx, updated, now, wait=AFTER_REGISTERING)
            kind = PartyRegistered if change is PartyChange.THEIR_POST else PartyUpdated
            event = await emit(context, tx, kind, updated.key, correlation_id, **offer.said)
        await deliver(context, [event])
        return our_credentials(context, updated.profile, token)
    raise CannotUseApi(f"the credentials of {party} change faster than they can be verified")


def _require_sendable(token: str, party: Party) -> None:
    """Raise CannotUseApi for a token that a header cannot hold; this reveals nothing about a URL."""
    try:
        authorization(token, as_base64=party.profile.base64_token)
    except AnswerUnusable as error:
        raise CannotUseApi(error.message, said=error.message) from error


def _registering_with(party: Party, token: str, now: datetime) -> Party:
    """Return the party with only the token of its POST in use. The token is stored, unless the party began with another
    one.
    """
    used = token_hash(token)
    issued = tuple(evolve(each, registered_at=now) for each in party.issued if each.sha256 == used)
    first = party.token_a if party.state is PartyState.UNREGISTERED else None
    return evolve(party, issued=issued, token_a=first or used, expires_at=None, unregistered_at=None)


async def fetch_credentials(context: Context, party: Party) -> Credentials:
    """GET the credentials object from the partner."""
    url = url_of(context, party, outgoing("credentials.get"))
    request = outgoing_request("GET", url, party.token or "", party.profile)
    return read(Credentials, (await ask(context, request, party)).data)
