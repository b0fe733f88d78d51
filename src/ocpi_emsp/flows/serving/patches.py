"""What a PATCH must contain, whatever its object.

Rules of this module (transport_and_format.md, PATCH; docs/spec-choices.md rows 5 and 6):
- a PATCH without a member of its object has no effect that its sender intended: it is rejected (2001), not a success. A
  member unknown to the specification counts if the stored object has it, or if it is read: the authorization_id of a
  session;
- ``"evses": null`` removes no EVSE: a removed EVSE has status REMOVED, and no PATCH deletes EVSEs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from attrs import evolve, fields_dict

from ocpi_emsp.codec.extensions import NAMES_OF_AUTHORIZATION
from ocpi_emsp.codec.newer import names_of_patch
from ocpi_emsp.codec.patch import Members, identity, items, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.codec.rules import BOUNDS
from ocpi_emsp.flows.inbound.evses import find_evse
from ocpi_emsp.flows.inbound.request import Incoming, deviating, note
from ocpi_emsp.flows.inbound.twins import may_repeat, name_members, store_repeated
from ocpi_emsp.models import Connector, Credentials, Evse, Location, Session, Tariff
from ocpi_emsp.ports import Kind
from ocpi_emsp.routes import Route

OBJECTS: Final[Mapping[str, Any]] = {
    "credentials.patch": Credentials,
    "locations.patch_location": Location,
    "locations.patch_evse": Evse,
    "locations.patch_connector": Connector,
    "sessions.patch": Session,
    "tariffs.patch": Tariff,
}
"""The object of each PATCH."""
_READ_BESIDE: Final[Mapping[Any, frozenset[str]]] = {Session: frozenset(NAMES_OF_AUTHORIZATION)}
"""Extensions that are read (docs/how-to/extensions.md)."""
_MEMBERS: Final = {
    kind: frozenset(fields_dict(kind)) | names_of_patch(kind) | _READ_BESIDE.get(kind, frozenset())
    for kind in OBJECTS.values()
}
_PLACES: Final[Mapping[str, tuple[str, str, str]]] = {
    "locations.patch_location": (Kind.LOCATION, "location_id", ""),
    "locations.patch_evse": (Kind.EVSE, "evse_uid", "location_id"),
    "locations.patch_connector": (Kind.EVSE, "evse_uid", "location_id"),
    "sessions.patch": (Kind.SESSION, "session_id", ""),
    "tariffs.patch": (Kind.TARIFF, "tariff_id", ""),
}
"""The record with the object of each PATCH: its kind, and the parameters of the URL that identify it."""
_CLAUSE: Final = "transport_and_format.md#patch"
_NULL: Final = msgspec.Raw(b"null")


async def usable_patch(incoming: Incoming, route: Route) -> Incoming:
    """Return the request without members that no PATCH can have. Raises NotJson; InvalidObject if no member remains."""
    kind = OBJECTS.get(route.name)
    if kind is None:
        return incoming
    if kind in (Location, Evse):
        _require_mergeable(incoming)
    changes = incoming.parts
    if may_repeat(incoming.request.body, changes):
        await _name_repeated(incoming, route)
    if changes.keys().isdisjoint(_MEMBERS[kind]) and not await _are_stored(incoming, route, changes):
        found = f"found {', '.join(map(shown, list(changes)[:3]))}" if changes else "found none"
        message = f"a PATCH needs at least one member of {kind.__name__}, {found}"
        raise deviating("nothing to change", "", "patch.members", message, _CLAUSE)
    if kind is not Location or bytes(changes.get("evses", b"")) != b"null":
        return incoming
    others = {name: value for name, value in changes.items() if name != "evses"}
    incoming.deviations.append(
        note("/evses", "patch.evses", "null removes no EVSE: one that is gone has the status REMOVED", Location.clause)
    )
    return evolve(incoming, request=evolve(incoming.request, body=join(others)))


def _require_mergeable(incoming: Incoming) -> None:
    """Raise InvalidObject for more objects than can be merged."""
    found, most = incoming.request.body.count(b"{"), incoming.context.limits.bodies.patched
    if found > most:
        message = f"{found} objects in a PATCH, at most {most} are merged: send them by PUT"
        raise deviating("too much to merge", "", BOUNDS.id, message, _CLAUSE)


async def _name_repeated(incoming: Incoming, route: Route) -> None:
    """Report repeated members; the body is stored as well, since the object has each once. Credentials hold a token."""
    if not incoming.repetitions(incoming.request.body):
        return
    if route.module == "credentials":
        name_members(incoming, incoming.request.body)
        return
    async with incoming.context.store.transaction() as tx:
        await store_repeated(incoming, tx, route, incoming.request.body)


async def _are_stored(incoming: Incoming, route: Route, changes: Members) -> bool:
    """Return True if the stored object has one of these members, or if there is no object: that is answered with
    404.
    """
    place = _PLACES.get(route.name)
    if place is None:
        return False
    kind, member, parent = place
    key = incoming.key(kind, incoming.params[member], incoming.params.get(parent, ""))
    async with incoming.context.store.transaction(read_only=True) as tx:
        record = await (find_evse(tx, key) if kind == Kind.EVSE else tx.get(key))
    if record is None:
        return True
    document = members(record.document)
    if route.name == "locations.patch_connector":
        listed = items(document.get("connectors", _NULL))
        wanted = incoming.params["connector_id"]
        found = next((members(each) for each in listed if identity(each, "id") == wanted), None)
        if found is None:
            return True
        document = found
    return bool(changes.keys() & document.keys())
