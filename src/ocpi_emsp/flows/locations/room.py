"""How large a location may become, part by part.

Rules of this module:
- nothing that was put part by part, or patched, becomes larger than a PUT may be: it would be a GET without an end;
- a location is measured as a whole where it gets a new EVSE, and where one of its EVSEs has doubled since: a change of
  a status reads no other EVSEs;
- EVSEs that a PUT leaves out stay, as REMOVED, up to as much again; then those go that are left out for the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import msgspec

from ocpi_emsp.codec.patch import as_items, members
from ocpi_emsp.flows.inbound.request import Incoming, deviating
from ocpi_emsp.flows.inbound.upsert import require_size
from ocpi_emsp.flows.parties.quota import fits, require_room
from ocpi_emsp.models import Evse, Location
from ocpi_emsp.ports import Key, Record, Transaction

EVSES, CONNECTORS = "location.evses", "evse.connectors"
_NULL: Final = msgspec.Raw(b"null")
_SMALL: Final = 1024
"""Bytes of an EVSE up to which its growth is not looked at."""
_SMALLEST_CONNECTOR: Final = 64
"""Bytes that a connector has at least."""


async def require_room_for_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, new: Record
) -> None:
    """Count an EVSE that is about to be stored. Raises InvalidObject where it, or its location, is too large; and
    QuotaExceeded.
    """
    before = 0 if old is None else len(old.document)
    after = len(new.document)
    if after > before:
        require_size(incoming, before, after)
        _require_connectors(incoming, old, new)
    if old is None or after.bit_length() > max(before, _SMALL).bit_length():
        evses = await tx.children(location.key)
        if old is None:
            require_evses(incoming, len(evses), len(evses) + 1)
        whole = len(location.document) + _size(evses)
        require_size(incoming, whole, whole + after - before)
    await incoming.require_room(tx, old, new.document)


def _require_connectors(incoming: Incoming, old: Record | None, new: Record) -> None:
    most = incoming.context.limits.quotas.connectors
    if len(new.document) < most * _SMALLEST_CONNECTOR:
        return
    before, after = (0 if each is None else _connectors(each.document) for each in (old, new))
    if after > max(most, before):
        message = f"it would have {after} connectors, {most} are stored (QuotaLimits.connectors)"
        raise deviating("the EVSE is too large", "/connectors", CONNECTORS, message, Evse.clause)


def _connectors(document: bytes) -> int:
    return len(as_items(members(document).get("connectors", _NULL)))


def require_evses(incoming: Incoming, before: int, after: int) -> None:
    """Raises InvalidObject for a location that gets more EVSEs one by one than it may have."""
    most = incoming.context.limits.quotas.evses
    if after > max(most, before):
        message = f"it would have {after} EVSEs, {most} are stored (QuotaLimits.evses)"
        raise deviating("the location is too large", "/evses", EVSES, message, Location.clause)


async def room_for_location(
    incoming: Incoming,
    tx: Transaction,
    count: int,
    before: Sequence[Record | None],
    after: Sequence[Record],
    others: Sequence[Record],
) -> list[Key]:
    """Count ``count`` more records, ``after`` in the place of ``before``, and the ``others`` that stay beside them;
    those that are to be deleted, left out for long.

    Raises InvalidObject where too much stays beside what a location lists; QuotaExceeded. Nothing is written before.
    """
    size = _size(after) - sum([len(each.document) for each in before if each is not None])
    if not others:  # the usual one
        await require_room_for_new(incoming, tx, count, size)
        return []
    gone = _left_out_for_long(incoming, others)
    stay = _size(others) - _size(gone)
    if size + stay > 0:
        require_evses(incoming, 0, len(others) - len(gone))
        require_size(incoming, 0, stay)
    await require_room_for_new(incoming, tx, count - len(gone), size + stay)
    return [each.key for each in gone]


async def require_room_for_new(incoming: Incoming, tx: Transaction, count: int, size: int) -> None:
    """Count ``count`` more records, of ``size`` bytes more in all. Raises QuotaExceeded."""
    if not fits(incoming.context, incoming.party, incoming.grown, count, size):
        await require_room(incoming.context, incoming.party, tx, incoming.grown, count, size)


def _left_out_for_long(incoming: Incoming, others: Sequence[Record]) -> list[Record]:
    """The EVSEs beyond what may stay beside those that are listed: those that are left out for the longest."""
    limits, left, size = incoming.context.limits, len(others), _size(others)
    found = list[Record]()
    missing = ((each.missing_since, each) for each in others if each.missing_since is not None)
    for _, record in sorted(missing, key=itemgetter(0)):
        if left <= limits.quotas.evses and size <= limits.http.request_body:
            break
        found.append(record)
        left, size = left - 1, size - len(record.document)
    return found


def _size(records: Sequence[Record]) -> int:
    return sum([len(each.document) for each in records])
