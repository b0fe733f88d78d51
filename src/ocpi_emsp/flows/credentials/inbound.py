"""The eMSP interface of the credentials module (credentials.md 1).

Rules of this module (docs/spec-choices.md row 19):
- what may happen when is in the table of states.py: POST when registered and PUT, PATCH, DELETE when not are 405;
- PATCH merges onto the credentials that are stored and then behaves as PUT;
- a party keeps its country_code and party_id: they are the owner of everything that it sent;
- what is over the bounds of bounds.py is refused before we call the partner: it may send the same again;
- GET answers with the token that the request carried: it is the one that works; with the token A of a registration that
  is done, it answers with another one, since the party lost the answer;
- where a partner's API cannot be used, it hears one sentence and the correlation id, whatever lies behind its URLs: we
  are no scanner of networks for it. The reason is in our log and in an event.
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
    """Our credentials for this party."""
    token, context = incoming.caller.token, incoming.context
    if is_spent(incoming.caller):
        token = await replaced(context, incoming.caller, incoming.correlation_id)
    return incoming.answer(our_credentials(context, incoming.party.profile, token))


async def post(incoming: Incoming) -> Response:
    """Register: the party brings its credentials and gets ours."""
    require(incoming.party.state, PartyChange.THEIR_POST, incoming.party, allow=_allowed(incoming))
    return await _accept(incoming, incoming.accept(Credentials), PartyChange.THEIR_POST, status=201)


async def put(incoming: Incoming) -> Response:
    """Renew credentials and endpoints; the answer has a fresh token."""
    require(incoming.party.state, PartyChange.THEIR_PUT, incoming.party, allow=_allowed(incoming))
    return await _accept(incoming, incoming.accept(Credentials), PartyChange.THEIR_PUT)


async def patch(incoming: Incoming) -> Response:
    """Like PUT, with the missing members filled in from the stored credentials."""
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
    """Unregister: the party may register anew with the token that it has; its objects and its profile stay."""
    party = incoming.party
    require(party.state, PartyChange.THEIR_DELETE, party, allow=_allowed(incoming))
    async with incoming.context.store.transaction() as tx:
        if await end_registration(tx, party, incoming.now, incoming.correlation_id):  # else it was ended a moment ago
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
    """Log why the partner's API cannot be used, and journal it for a listener."""
    context, party, correlation_id = incoming.context, incoming.party, incoming.correlation_id
    logs.warning("party.unusable", party=party, error=error, correlation_id=correlation_id)
    async with context.store.transaction() as tx:
        event = await emit(context, tx, HandshakeFailed, party.key, correlation_id, reason=error_text(error))
    await deliver(context, [event])


def _allowed(incoming: Incoming) -> list[str]:
    """The methods that this party may use instead, of those that the matrix switches on."""
    methods = ("GET",) if is_spent(incoming.caller) else _METHODS.get(incoming.party.state, ("GET", "POST"))
    return [method for method in methods if route(f"credentials.{method.lower()}").on(incoming.matrix)]
