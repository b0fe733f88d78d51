"""How large a location may become, part by part.

Rules of this module:
- parts that are PUT one by one, or patched, never make an object larger than a PUT may be: a GET would have no bound;
- a location is measured as a whole when it gets a new EVSE, and when one of its EVSEs has doubled since: a status
  change reads no other EVSEs;
- EVSEs that a PUT leaves out stay, as REMOVED, up to the same number again; beyond that, those left out for the longest
  are deleted.
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
"""Bytes of an EVSE up to which its growth is not checked."""
_SMALLEST_CONNECTOR: Final = 64
"""Smallest connector, in bytes."""


async def require_room_for_evse(
    incoming: Incoming, tx: Transaction, location: Record, old: Record | None, new: Record
) -> None:
    """Count an EVSE that is about to be stored. Raises InvalidObject if it or its location is too large, and
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
    """Raise InvalidObject for a location that gets more EVSEs one by one than allowed."""
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
    """Count ``count`` more records, ``after`` in place of ``before``, and the ``others`` that stay beside them. Return
    the keys to delete, of EVSEs left out for long.

    Raises InvalidObject if too much stays beside the listed EVSEs; QuotaExceeded. Nothing is written before.
    """
    size = _size(after) - sum([len(each.document) for each in before if each is not None])
    if not others:  # the usual case
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
    """Count ``count`` more records, of ``size`` bytes more in total. Raises QuotaExceeded."""
    if not fits(incoming.context, incoming.party, incoming.grown, count, size):
        await require_room(incoming.context, incoming.party, tx, incoming.grown, count, size)


def _left_out_for_long(incoming: Incoming, others: Sequence[Record]) -> list[Record]:
    """Return the EVSEs beyond what may stay beside the listed ones: those left out for the longest."""
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
