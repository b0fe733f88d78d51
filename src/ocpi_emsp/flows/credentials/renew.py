"""The life of a registration: listing parties, new endpoints, fresh tokens, the end (credentials.md 1.2 to 1.4).

Rules of this module (docs/spec-choices.md row 19, docs/how-to/credentials.md):
- every change of a party goes through the table of states.py;
- our fresh token is stored before it is sent, since the partner calls back with it before it answers;
- a renewal that the partner rejects leaves the previous state; one whose response is lost or unreadable leaves both of
  our tokens valid: the partner may have accepted the new one, and its next request shows whether it did;
- if two renewals cross, ours and the partner's or two of ours, the newer of the partner's two tokens counts.
"""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve

from ocpi_emsp import logs
from ocpi_emsp.errors import (
    AnswerUnusable,
    NotRegistered,
    NotSupported,
    OcpiError,
    PartnerRefused,
    RegistrationFailed,
    TransportFailed,
)
from ocpi_emsp.events import PartyUnregistered, PartyUpdated
from ocpi_emsp.flows.calls.call import outgoing_request, require
from ocpi_emsp.flows.calls.fetch_one import read
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.credentials.bounds import ask, outbound
from ocpi_emsp.flows.credentials.discovery import Offer, usable_offer
from ocpi_emsp.flows.credentials.ours import our_credentials, sent_credentials
from ocpi_emsp.flows.credentials.places import Places
from ocpi_emsp.flows.credentials.states import UNKNOWN, PartyChange, Standing, after, require as may
from ocpi_emsp.flows.events.delivery import deliver
from ocpi_emsp.flows.events.journal import emit
from ocpi_emsp.flows.inbound.stored import reader
from ocpi_emsp.flows.parties.issued_tokens import confirm, reissue, token_to_issue, withdraw
from ocpi_emsp.flows.parties.party import (
    Party,
    PartyState,
    delete_party,
    find_party,
    load_party,
    matrix_of,
    put_party,
    read_party,
)
from ocpi_emsp.flows.parties.pending_push import request_push
from ocpi_emsp.flows.parties.token_a import with_expiry
from ocpi_emsp.models import Credentials, Envelope
from ocpi_emsp.ports import Entry, Kind, Query, Transaction
from ocpi_emsp.routes import outgoing
from ocpi_emsp.wire import authorization

_CROSSINGS = 3
"""How often the token of a response is compared with the stored one: renewals of both sides cross, rarely more."""
_PAUSES = (0.05, 0.2, 0.5, 0.0)
"""Seconds after each check whether two crossed tokens both work: a partner's own renewal ends within a few requests;
for a partner that accepts old tokens for a time, waiting longer shows nothing.
"""

# --- listing parties ------------------------------------------------------------------------------------------------


async def list_parties(context: Context, limit: int, after: int) -> list[Party]:
    """Return parties, oldest first, ``after`` a party's ``sequence``; without the placeholders of handshakes in
    progress.
    """
    found, read_on = list[Party](), reader(context, Kind.PARTY, (None, None))
    while len(found) < limit and (records := await read_on(limit - len(found), after)):
        after = records[-1].sequence
        read = (evolve(read_party(each.document), sequence=each.sequence) for each in records)
        parties = (with_expiry(context, party) for party in read)
        found += [party for party in parties if party.state is not PartyState.REGISTERING]
    return found


async def get(context: Context, country_code: str, party_id: str) -> Party | None:
    """Return the party, or None."""
    async with context.store.transaction(read_only=True) as tx:
        party = await find_party(tx, country_code, party_id)
    return None if party is None else with_expiry(context, party)


def standing(party: Party | None) -> Standing:
    """Return the state of a partner, or UNKNOWN."""
    return UNKNOWN if party is None else party.state


# --- renewals -------------------------------------------------------------------------------------------------------


async def rotate(context: Context, country_code: str, party_id: str) -> Party:
    """Exchange fresh tokens with a party. Raises NotSupported, NotRegistered, PartnerError."""
    party = await load_party(context, country_code, party_id)
    return await update_credentials(context, party, renewal_method(context, party))


async def update(context: Context, country_code: str, party_id: str, versions_url: str | None) -> Party:
    """Read a party's endpoints again, at its new URL if it has one, and renew the credentials there.

    Raises the errors of :func:`update_credentials`, and RegistrationFailed before anything is sent.
    """
    context = outbound(context.correlated())
    party = await load_party(context, country_code, party_id)
    method = renewal_method(context, party)
    may(party.state, PartyChange.OUR_PUT, party)
    url = versions_url or party.versions_url or ""
    offer = await usable_offer(context, Places.of(url, party.profile, party), party.token or "", party.profile)
    return await update_credentials(context, party, method, offer)


def renewal_method(context: Context, party: Party) -> str:
    """Return PUT, or PATCH if the party's matrix only has that. Raises NotSupported."""
    matrix = matrix_of(party.profile, context.matrix)
    for method in ("PUT", "PATCH"):
        if outgoing(f"credentials.{method.lower()}").on(matrix):
            return method
    raise NotSupported("the support matrix switches PUT and PATCH /credentials (MSP -> CPO) off")


async def update_credentials(context: Context, party: Party, method: str, offer: Offer | None = None) -> Party:
    """PUT or PATCH our credentials with a fresh token, and store the partner's response and endpoints.

    ``offer`` are the endpoints that were just read, if they may have changed. Our old token works until the new one is
    first used. Raises NotSupported, NotRegistered, PartnerError, and, without an ``offer``, the fault of the partner's
    endpoints: then the credentials are renewed, and the previous endpoints stay.
    """
    context = outbound(context.correlated())
    known = party if offer is None else evolve(party, endpoints=offer.endpoints)
    require(context, known, outgoing(f"credentials.{method.lower()}"))
    token = token_to_issue(context)
    before, begun = await _begin(context, party, token)
    try:
        called = begun if offer is None else evolve(begun, endpoints=offer.endpoints)
        theirs = await _exchanged(context, called, method, token)
    except BaseException as error:  # also if cancelled
        await _undo(context, before, begun, token, was_refused=_was_refused(error))
        raise
    return await _finish(context, begun, token, theirs, offer)


async def _begin(context: Context, party: Party, token: str) -> tuple[Party, Party]:
    """Make our fresh token valid beside the one in use; return the party as stored before and after that."""
    now = context.clock.now()
    async with context.store.transaction() as tx:
        current = await _current(tx, party, PartyChange.OUR_PUT)
        begun = evolve(current, issued=reissue(current, token, now, offered=True))
        await put_party(tx, begun, now, context.correlation_id)
    return current, begun


class _OfAnotherParty(AnswerUnusable):
    """Credentials of another party: our fresh token was sent to the wrong party."""


async def _exchanged(context: Context, party: Party, method: str, token: str) -> Credentials:
    """Return the partner's response. Raises PartnerError."""
    body = our_credentials(context, party.profile, token)
    theirs = read(Credentials, (await _call(context, party, method, body)).data)
    if (theirs.country_code.upper(), theirs.party_id.upper()) != party.owner:
        raise _OfAnotherParty(f"{party} answered with the credentials of {theirs.country_code}-{theirs.party_id}")
    authorization(theirs.token, as_base64=party.profile.base64_token)  # rejects a token that cannot be sent
    return theirs


async def _call(context: Context, party: Party, method: str, body: bytes = b"") -> Envelope:
    """Call the party's credentials endpoint, at exactly the URL that it gave us. Raises the errors of ``call.call``."""
    url = require(context, party, outgoing(f"credentials.{method.lower()}"))
    request = outgoing_request(method, url, party.token or "", party.profile, body)
    return await ask(context, request, party)


def _was_refused(error: BaseException) -> bool:
    """Return True if the partner rejected it, is another party, or received nothing; False if it may have our new
    token.
    """
    if isinstance(error, PartnerRefused):
        return error.answered_code is not None or 400 <= error.answered_http < 500
    if isinstance(error, _OfAnotherParty):
        return True
    return isinstance(error, OcpiError) and not isinstance(error, TransportFailed | AnswerUnusable)


async def _undo(context: Context, before: Party, begun: Party, token: str, *, was_refused: bool) -> None:
    """Restore the previous state; our fresh token stays as well if the partner may have accepted it."""
    if not was_refused:
        logs.warning("party.renewal_unknown", party=before, correlation_id=context.correlation_id)
        return
    async with context.store.transaction() as tx:
        current = await find_party(tx, before.country_code, before.party_id)
        if current is None:
            return
        untouched = current.issued == begun.issued
        issued = before.issued if untouched else withdraw(current, token)
        await put_party(tx, evolve(current, issued=issued), context.clock.now(), context.correlation_id)


async def _finish(context: Context, begun: Party, token: str, theirs: Credentials, offer: Offer | None) -> Party:
    """Store the fresh tokens of both sides, whatever becomes of the endpoints. Raises RegistrationFailed."""
    offered = begun.endpoints if offer is None else offer.endpoints
    async with context.store.transaction() as tx:
        current = await _current(tx, begun, PartyChange.OUR_PUT_ANSWERED)
        crossed = current.token != begun.token
        if not crossed:
            current = evolve(with_credentials(current, theirs), endpoints=offered)
        confirmed = evolve(current, issued=confirm(current, token), sent=sent_credentials(context))
        await put_party(tx, confirmed, context.clock.now(), context.correlation_id)
        said = {} if offer is None else offer.said
        event = None if crossed else await emit(context, tx, PartyUpdated, current.key, context.correlation_id, **said)
    if crossed:
        return await _settle_crossing(context, current, theirs)
    try:
        return await _with_offer(context, current, theirs, offer)
    finally:
        await deliver(context, [event])


async def _with_offer(context: Context, party: Party, theirs: Credentials, before: Offer | None) -> Party:
    """Return the party with its current endpoints: at the URL of its credentials, or as read ``before``.

    Raises RegistrationFailed.
    """
    try:
        places = Places.of(theirs.url, party.profile, party, by_partner=True)
        offer = await usable_offer(context, places, theirs.token, party.profile)
    except RegistrationFailed as error:
        if before is None:
            raise
        logs.warning("party.url_unusable", party=party, says=theirs.url, stays=before.versions_url, error=error)
        offer = before
    async with context.store.transaction() as tx:
        current = await _current(tx, party, PartyChange.OUR_PUT_ANSWERED)
        if current.token != party.token:  # it was renewed again meanwhile: that renewal is newer
            return current
        updated = evolve(current, endpoints=offer.endpoints, versions_url=offer.versions_url)
        await put_party(tx, updated, context.clock.now(), context.correlation_id)
        await request_push(tx, updated, context.clock.now())
    return updated


async def _settle_crossing(context: Context, party: Party, theirs: Credentials) -> Party:
    """Resolve two crossed renewals, in which the partner gave us two tokens: the newer one counts."""
    logs.warning("party.renewals_crossed", party=party, correlation_id=context.correlation_id)
    for _ in range(_CROSSINGS):
        offer = await _offer_if_newer(context, party, theirs)
        async with context.store.transaction() as tx:
            current = await _current(tx, party, PartyChange.OUR_PUT_ANSWERED)
            if offer is None:
                return current
            if current.token != party.token:  # another renewal: is our response's token newer than its token, too?
                party = current
                continue
            updated = evolve(with_credentials(current, theirs), endpoints=offer.endpoints)
            await put_party(tx, updated, context.clock.now(), context.correlation_id)
            event = await emit(context, tx, PartyUpdated, updated.key, context.correlation_id, **offer.said)
        await deliver(context, [event])
        return updated
    return party


async def _offer_if_newer(context: Context, party: Party, theirs: Credentials) -> Offer | None:
    """Return the partner's endpoints if the token of its response is newer than the stored one, or if that is unknown.

    The stored one is tried first: if it is the newer one, its use ends the other. As long as both open the API, the
    partner may still be in the middle of its own renewal.
    """
    offer: Offer | None = None
    for seconds in _PAUSES:
        stored = await _offer_with(context, party.versions_url or "", party.token or "", party)
        offer = await _offer_with(context, theirs.url, theirs.token, party)
        if offer is None or stored is None:
            break
        await context.sleep(seconds)
    return offer


async def _offer_with(context: Context, versions_url: str, token: str, party: Party) -> Offer | None:
    """Return the endpoints that this token opens, or None."""
    with suppress(RegistrationFailed):
        places = Places.of(versions_url, party.profile, party, by_partner=True)
        return await usable_offer(context, places, token, party.profile)
    return None


def with_credentials(party: Party, theirs: Credentials) -> Party:
    """Return the party, registered, with the credentials that it gave us."""
    return evolve(
        party,
        country_code=theirs.country_code.upper(),
        party_id=theirs.party_id.upper(),
        state=PartyState.REGISTERED,
        token=theirs.token,
        versions_url=theirs.url,
        business_details=theirs.business_details,
    )


async def _current(tx: Transaction, party: Party, change: PartyChange) -> Party:
    """Return the party as it is stored now. Raises NotRegistered if it was unregistered meanwhile."""
    current = await find_party(tx, party.country_code, party.party_id)
    after(standing(current), change, party)
    if current is None:
        raise NotRegistered(f"there is no registration with {party}")
    return current


# --- the end --------------------------------------------------------------------------------------------------------


async def unregister(context: Context, party: Party) -> None:
    """DELETE our credentials at the partner and delete the party. Raises NotSupported, NotRegistered, PartnerError."""
    may(party.state, PartyChange.OUR_DELETE, party)
    context = outbound(context.correlated())
    await _call(context, party, "DELETE")
    await deliver(context, [await _forget(context, party)])


async def unregister_party(context: Context, country_code: str, party_id: str, *, tell: bool) -> None:
    """End a registration, or withdraw an invitation. Raises NotSupported, NotRegistered, PartnerError."""
    party = await load_party(context, country_code, party_id)
    if not tell:
        may(party.state, PartyChange.FORGOTTEN, party)
        await deliver(context, [await _forget(context, party)])
        return
    try:
        await unregister(context, party)
    except NotSupported as error:
        raise NotSupported(f"{error.message}; to forget {party} here only, use tell=False (--no-tell)") from error


async def _forget(context: Context, party: Party) -> Entry | None:
    """Return the event for ``deliver``; None for a withdrawn invitation, and if the end was reported before."""
    async with context.store.transaction() as tx:
        current = await find_party(tx, party.country_code, party.party_id)
        await delete_party(tx, party)
        if current is None or current.state is not PartyState.REGISTERED:
            return None
        return await emit(context, tx, PartyUnregistered, party.key, context.correlated().correlation_id)


async def sweep(context: Context) -> None:
    """Delete placeholders that are older than any handshake lasts: their process died."""
    until = context.clock.now() - context.limits.credentials.handshake_timeout
    query = Query(kind=Kind.PARTY, country_code="", received_to=until, limit=100, count=False)
    async with context.store.transaction(read_only=True) as tx:
        left = [read_party(each.document) for each in (await tx.page(query)).records]
    for party in left:
        if party.state is not PartyState.REGISTERING:
            continue
        async with context.store.transaction() as tx:
            await delete_party(tx, party)
        logs.warning("party.handshake_swept", versions_url=party.versions_url)
