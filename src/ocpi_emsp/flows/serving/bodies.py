"""The body of a request, before its flow: weighed, unwrapped, and read off the event loop.

Rules of this module (docs/explanation/security.md):
- a large body is weighed before anything else reads it; one that is too large is rejected and stored as received;
- it is read before its flow, where the context runs slow work: inside a transaction, flows only wait for the
  transaction;
- timestamps without a zone get that of the party's profile before anything else reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from attrs import evolve

from ocpi_emsp.codec.weight import weigh
from ocpi_emsp.codec.wrapping import may_be_wrapped, unwrap
from ocpi_emsp.codec.zones import in_zone, query_in_zone, zone_finding
from ocpi_emsp.errors import BodyTooLarge
from ocpi_emsp.flows.commands.send import as_object
from ocpi_emsp.flows.inbound.request import Incoming, ReadAhead, note
from ocpi_emsp.flows.locations import inbound as locations
from ocpi_emsp.models import Cdr, CommandResponse, Connector, Credentials, Evse, Session, Tariff
from ocpi_emsp.routes import Route

_BODY: Final = "transport_and_format.md#json--http-implementation-guide"


def read_in_place(incoming: Incoming, route: Route) -> Incoming:
    """Return the request as its flow reads it; its body has up to ``BodyLimits.aside`` bytes. Raises BodyTooLarge."""
    _require_size(incoming, route)
    return _read_in_zone(_read_unwrapped(incoming, route))


async def read_aside(incoming: Incoming, route: Route) -> Incoming:
    """Return the same for a larger body, with everything that its flow will read.

    Raises NotJson, InvalidObject for a body beyond the bounds, BodyTooLarge.
    """
    _require_size(incoming, route)
    return await incoming.context.aside(_read_ahead, incoming, route)


def _require_size(incoming: Incoming, route: Route) -> None:
    """Raise BodyTooLarge for credentials larger than any partner's."""
    most = incoming.context.limits.credentials.request_body
    if route.module == "credentials" and len(incoming.request.body) > most:
        raise BodyTooLarge(f"the credentials are over the limit of {most} bytes (CredentialLimits.request_body)")


def _read_ahead(incoming: Incoming, route: Route) -> Incoming:
    weigh(incoming.request.body, incoming.context.limits.bodies)
    incoming = evolve(read_in_place(incoming, route), ahead=ReadAhead())
    reader = _READERS.get(route.name)
    if reader is not None:
        reader(incoming)
    return incoming


def _reader(kind: type[Any]) -> Callable[[Incoming], None]:
    return partial(Incoming.read_ahead, kind=kind)


_READERS: Final[Mapping[str, Callable[[Incoming], None]]] = {
    "locations.put_location": locations.read_ahead,
    "locations.put_evse": _reader(Evse),
    "locations.put_connector": _reader(Connector),
    "sessions.put": _reader(Session),
    "tariffs.put": _reader(Tariff),
    "cdrs.post": _reader(Cdr),
    "credentials.post": _reader(Credentials),
    "credentials.put": _reader(Credentials),
    "commands.result": lambda incoming: incoming.read_ahead(CommandResponse, as_object(incoming.request.body)),
}
"""What the flow of each route reads of a body; a PATCH is merged first."""


def _read_unwrapped(incoming: Incoming, route: Route) -> Incoming:
    """Return the request with the one object of the body, unwrapped from a list of one or an envelope, and a finding.

    A PATCH in an envelope stays unchanged: it would store unknown members of the envelope beside the object.
    """
    request = incoming.request
    envelopes = route.method != "PATCH"
    if not may_be_wrapped(request.body, envelopes=envelopes):
        return incoming
    unwrapped = unwrap(request.body, envelopes=envelopes)
    if not unwrapped.around:
        return incoming
    incoming.deviations.append(note("", "body.wrapped", unwrapped.note, _BODY))
    return evolve(incoming, request=evolve(request, body=unwrapped.document))


def _read_in_zone(incoming: Incoming) -> Incoming:
    """Return the request with the zone added to timestamps without one, if the party's profile has a zone, and a
    finding.
    """
    zone = incoming.party.profile.time_zone
    if zone is None:
        return incoming
    request, zoned = incoming.request, in_zone(incoming.request.body, zone)
    if zoned.added:
        incoming.deviations.append(zone_finding(zoned.added, zone))
    query = query_in_zone(request.query, zone) if request.query else request.query
    return evolve(incoming, request=evolve(request, body=zoned.document, query=query))
