"""The connectors of an EVSE, each as its partner said it last."""

from __future__ import annotations

import msgspec

from ocpi_emsp.codec.moments import said_at
from ocpi_emsp.codec.patch import identity, items, join, member, members

_NULL = msgspec.Raw(b"null")


def newest_connectors(evse: bytes, other: bytes) -> bytes:
    """The document ``evse`` with what ``other``, an older or newer one of the same EVSE, says later of a connector.

    A connector that ``evse`` does not list is of it where it was said later than everything in ``evse``.
    """
    if member(evse, "connectors") == member(other, "connectors"):
        return evse
    parts = members(evse)
    listed = items(parts.get("connectors", _NULL))
    connectors = {identity(item, "id"): item for item in listed}
    moment = max([said_at(evse), *map(said_at, listed)])
    newer = False
    for item in items(members(other).get("connectors", _NULL)):
        connector_id = identity(item, "id")
        stands = connectors.get(connector_id)
        if said_at(item) > (moment if stands is None else said_at(stands)):
            connectors[connector_id], newer = item, True
    if not newer:
        return evse
    parts["connectors"] = msgspec.Raw(msgspec.json.encode(list(connectors.values())))
    return join(parts)
