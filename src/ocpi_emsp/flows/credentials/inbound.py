"""The eMSP interface of the credentials module (credentials.md 1).

Rules of this module (docs/spec-choices.md row 19):
- the table in states.py says what is allowed when: POST when registered, and PUT, PATCH, DELETE when not, are 405;
- PATCH merges into the stored credentials and then behaves like PUT;
- a party's country_code and party_id never change: they are the owner of everything that it sent;
- a request beyond the bounds of bounds.py is rejected before we call the partner: it may send the same again;
- GET returns the token that the request carried, since that one works; with the token A of a completed registration it
  returns another token, since the party lost the response;
- if a partner's API is unusable, the response has one sentence and the correlation id, whatever its URLs lead to: the
  eMSP must not act as its network scanner. The reason is in our log and in an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ocpi_emsp import logs
from ocpi_emsp.codec import encode, merge_patch
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import RegistrationFailed
from ocpi_emsp.events import HandshakeFailed, PartyUnregistered
from ocpi_emsp.flows.credentials.bounds import under_way
from ocpi_emsp.flows.credentials.ours import our_credentials
from ocpi_emsp.flows.credentials.register import accept_credentials
from ocpi_emsp.flows.credentials.states import PartyChange, require
from ocpi_emsp.flows.events.delivery import deliver
from ocpi_emsp.flows.events.journal import emit, error_text
from ocpi_emsp.flows.inbound.request import Incoming, Outcome, Stored, deviating
from ocpi_emsp.flows.parties.party import PartyState, end_registration
from ocpi_emsp.flows.parties.token_a import is_spent, replaced
from ocpi_emsp.models import BusinessDetails, Credentials
from ocpi_emsp.routes import incoming as route
from ocpi_emsp.wire import Response

_METHODS: Mapping[str, Sequence[str]] = {
    PartyState.REGISTERED: ("GET", "PUT", "PATCH", "DELETE"),
    PartyState.UNREGISTERED: ("POST",),
}
_CLAUSE = "credentials.md#21-credentials-object"


async def get(incoming: Incoming) -> Response:
    """Return our credentials for this party."""
    token, context = incoming.caller.token, incoming.context
    if is_spent(incoming.caller):
        token = await replaced(context, incoming.caller, incoming.correlation_id)
    return incoming.answer(our_credentials(context, incoming.party.profile, token))


async def post(incoming: Incoming) -> Response:
    """Register: store the party's credentials and return ours."""
    require(incoming.party.state, PartyChange.THEIR_POST, incoming.party, allow=_allowed(incoming))
    return await _accept(incoming, incoming.accept(Credentials), PartyChange.THEIR_POST, status=201)


async def put(incoming: Incoming) -> Response:
    """Renew credentials and endpoints; the response has a fresh token."""
    require(incoming.party.state, PartyChange.THEIR_PUT, incoming.party, allow=_allowed(incoming))
    return await _accept(incoming, incoming.accept(Credentials), PartyChange.THEIR_PUT)


async def patch(incoming: Incoming) -> Response:
    """Renew like PUT, with missing members taken from the stored credentials."""
    party = incoming.party
    require(party.state, PartyChange.THEIR_PATCH, party, allow=_allowed(incoming))
    stored = Credentials(
        token=party.token or "",
        url=party.versions_url or "",
        business_details=party.business_details or BusinessDetails(name=str(party)),
        party_id=party.party_id,
        country_code=party.country_code,
    )
    merged = merge_patch(encode(stored), incoming.request.body)
    return await _accept(incoming, incoming.accept(Credentials, merged), PartyChange.THEIR_PATCH)


async def delete(incoming: Incoming) -> Response:
    """Unregister: the party may register again with its token; its objects and its profile stay."""
    party = incoming.party
    require(party.state, PartyChange.THEIR_DELETE, party, allow=_allowed(incoming))
    async with incoming.context.store.transaction() as tx:
        if await end_registration(tx, party, incoming.now, incoming.correlation_id):  # or it was ended a moment ago
            await incoming.emit(tx, PartyUnregistered, party.key)
    return incoming.reply(Stored(Outcome.UPDATED))


async def _accept(incoming: Incoming, theirs: Credentials, change: PartyChange, *, status: int = 200) -> Response:
    for member in ("country_code", "party_id"):
        found, wanted = getattr(theirs, member), getattr(incoming.party, member)
        if found.upper() != wanted:
            message = f"{member} is {shown(found)}, this token belongs to {incoming.party}"
            sentence = "the credentials are another party's"
            raise deviating(sentence, f"/{member}", "credentials.party", message, _CLAUSE)
    try:
        with under_way(incoming.context, incoming.party):
            ours = await accept_credentials(
                incoming.context,
                incoming.party,
                theirs,
                change,
                allow=_allowed(incoming),
                correlation_id=incoming.correlation_id,
                presented=incoming.caller.token,
            )
    except RegistrationFailed as error:
        await _record(incoming, error)
        raise type(error)(f"{error.said}; correlation id {incoming.correlation_id}") from error
    return incoming.answer(ours, status=status)


async def _record(incoming: Incoming, error: RegistrationFailed) -> None:
    """Log why the partner's API is unusable, and journal it for a listener."""
    context, party, correlation_id = incoming.context, incoming.party, incoming.correlation_id
    logs.warning("party.unusable", party=party, error=error, correlation_id=correlation_id)
    async with context.store.transaction() as tx:
        event = await emit(context, tx, HandshakeFailed, party.key, correlation_id, reason=error_text(error))
    await deliver(context, [event])


def _allowed(incoming: Incoming) -> list[str]:
    """Return the methods that this party may use instead, as far as the matrix switches them on."""
    methods = ("GET",) if is_spent(incoming.caller) else _METHODS.get(incoming.party.state, ("GET", "POST"))
    return [method for method in methods if route(f"credentials.{method.lower()}").on(incoming.matrix)]
