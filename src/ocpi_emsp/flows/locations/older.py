"""Reports parts of an EVSE that are not stored, because a later version of the part is, if they differ."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ocpi_emsp.codec import wire_time
from ocpi_emsp.codec.content import same_content
from ocpi_emsp.codec.moments import EARLIEST, said_at
from ocpi_emsp.codec.patch import as_items, identity, join, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.models import Connector, Evse
from ocpi_emsp.ports import Kind, Record

_NULL = msgspec.Raw(b"null")
_OLDER = "evse.older"


def name_older(incoming: Incoming, received: Record, stands: Record, pointer: str = "") -> None:
    """Report the parts of a received EVSE that are older than, and not in, the EVSE that ``stands`` now."""
    if received.document == stands.document:
        return
    before, after = members(received.document), members(stands.document)
    said, kept = before.pop("connectors", _NULL), after.pop("connectors", _NULL)
    is_older = EARLIEST < said_at(received.document) < said_at(stands.document)
    # Equal bytes have equal content: the usual case is a status that went back.
    later, is_same = ({}, True) if bytes(said) == bytes(kept) else _compare(said, kept, is_older=is_older)
    is_named = is_older and not (is_same and same_content(join(before), join(after), Kind.EVSE))
    if is_named and not counts_older(incoming):
        note_older(incoming, received.key.id, said_at(stands.document), pointer)
    for each, (stored, is_listed) in later.items():
        stood = f"connector {shown(each)} of EVSE {shown(received.key.id)} was last updated"
        older = "the received one" if is_listed else "the EVSE without it"
        message = f"{stood} {wire_time(said_at(stored))}, {older} is older; it stays as stored"
        incoming.note(f"{pointer}/connectors", "connector.older", message, Connector.clause, counts=True)


def counts_older(incoming: Incoming) -> bool:
    """Count an EVSE that is older than the stored one, if its words are not read; return False if it must be
    named.
    """
    return incoming.counts_only(_OLDER, Evse.clause)


def note_older(incoming: Incoming, uid: str, said: datetime, pointer: str) -> None:
    """Report an EVSE that is older than its stored version of the time ``said``."""
    stood = f"EVSE {shown(uid)} was last updated {wire_time(said)}"
    message = f"{stood}, the received one is older; only what is newer in it is stored"
    incoming.note(f"{pointer}/last_updated", _OLDER, message, Evse.clause, counts=True)


def _compare(
    received: msgspec.Raw, stored: msgspec.Raw, *, is_older: bool
) -> tuple[dict[str, tuple[msgspec.Raw, bool]], bool]:
    """Return the stored connectors that stay because of their own time, each with whether it was received; and whether
    the others equal the received ones.
    """
    said, kept = _connectors(received), _connectors(stored)
    later = {
        name: (kept[name], name in said) for name in kept if _is_kept(said.get(name), kept[name], is_older=is_older)
    }
    others = [name for name in kept if name in said and name not in later]
    return later, said.keys() == kept.keys() and all(_says_the_same(said[name], kept[name]) for name in others)


def _connectors(listed: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the connectors of an EVSE by id; of several with one id, the last."""
    return {identity(each, "id"): each for each in as_items(listed)}


def _is_kept(received: msgspec.Raw | None, stored: msgspec.Raw, *, is_older: bool) -> bool:
    """Return True if a stored connector stays because of its own time, and not because its EVSE is older."""
    if received is None:
        return not is_older
    return EARLIEST < said_at(received) < said_at(stored) and not _says_the_same(received, stored)


def _says_the_same(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    first, second = (b'{"connectors":[%b]}' % bytes(each) for each in (one, other))
    return same_content(first, second, Kind.EVSE)
