"""A received location, taken apart: its document without EVSEs, and each EVSE.

Rules of this module:
- what the strict lane accepts is taken apart as bytes; any other location is read as a whole, with every finding;
- an EVSE whose bytes are already stored is not read again;
- an EVSE that differs from the stored one only in its status and an older time is checked, and the stored one stays: a
  record of the received one is only created if it must be examined again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from attrs import evolve, frozen

from ocpi_emsp.codec.cutting import cut
from ocpi_emsp.codec.moments import EARLIEST, Around, timed
from ocpi_emsp.codec.patch import as_items, has_each_once, join, members
from ocpi_emsp.codec.restated import Restated, restated
from ocpi_emsp.codec.strict import decode_part, decode_struct
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.inbound.request import Incoming
from ocpi_emsp.flows.inbound.twins import has_twins
from ocpi_emsp.flows.locations.dated import dated_evse
from ocpi_emsp.models import Evse, Location
from ocpi_emsp.ports import Key, Kind, Record

_EVSES = tuple[Evse, ...]
_AT_ONCE = 200
_NULL = msgspec.Raw(b"null")


class OlderEvse(msgspec.Struct, frozen=True, gc=False):
    """A received EVSE that is older than the stored one, and differs from it in its status and its time at most."""

    document: bytes
    last_updated: datetime
    stored: Restated


@frozen
class Pushed:
    """A received location, taken apart: its document without EVSEs, and a record for each EVSE."""

    id: str
    last_updated: datetime
    view: Any
    """A Location, or a struct in its place; None if its document is already stored."""
    shell: bytes
    evses: list[Record]
    """The EVSEs as received; at the indices of ``older`` the stored ones, which stay."""
    repeats: bool = False
    """True if a member of the location itself is repeated, so that these parts are incomplete."""
    restated: Mapping[int, Restated] = {}
    """By index: the EVSEs that differ from the stored ones in their status and their time at most."""
    older: Mapping[int, OlderEvse] = {}
    """By index: those of them that are older than the stored ones. Empty if the location itself is older."""

    def as_received(self, incoming: Incoming) -> Pushed:
        """Return the same with every EVSE as received, for comparing them with each other."""
        evses = list(self.evses)
        for place, each in self.older.items():
            evses[place] = _record(incoming, evses[place].key, each.document, each.last_updated)
        return evolve(self, evses=evses, restated={}, older={})


def read(incoming: Incoming, document: bytes, *, is_whole: bool = False) -> Pushed:
    """Take a location apart; parts without a time take that of the surrounding part if ``is_whole``.

    Raises NotJson, InvalidObject with every finding.
    """
    location = incoming.accept(Location, document)
    parts = members(document)
    repeats = not has_each_once(document, parts)
    evses = parts.pop("evses", _NULL)
    documents = [bytes(each) for each in as_items(evses)] if location.evses else []
    if is_whole:
        around = Around.of(document)
        documents = [timed(each, around) for each in documents]
        documents = [dated_evse(*each) for each in zip(location.evses, documents, strict=True)]
    pairs = zip(location.evses, documents, strict=True)
    key = incoming.location_key
    records = [evse_record(incoming, key, evse, evse_document) for evse, evse_document in pairs]
    return Pushed(location.id, location.last_updated, location, join(parts), records, repeats)


def read_strictly(incoming: Incoming, old: Record | None, stored: Sequence[Record]) -> Pushed | None:
    """Take apart a location that the strict lane accepts, or return None. ``old``, ``stored``: the stored location and
    EVSEs.
    """
    body = incoming.request.body
    if incoming.policy.needs_rules:
        return None
    try:
        found = cut(body, "evses", [each.document for each in stored])
    except InvalidObject:
        return None
    shell = join(found.parts)
    is_stored = old is not None and old.document == shell
    location = decode_struct(Location, shell) if is_stored else decode_part(Location, shell)
    written = [each for each in found.items if isinstance(each, bytes)]
    # The EVSEs of an older location are compared in full.
    may_stay = old is not None and location is not None and location.last_updated >= old.last_updated
    new = _decoded(written, into_structs=may_stay and bool(stored))
    if location is None or new is None:
        return None
    evses, seen, older = _received(incoming, found.items, new, stored, may_stay=may_stay)
    view = None if is_stored else location
    return Pushed(location.id, location.last_updated, view, shell, evses, not found.is_plain, seen, older)


def _decoded(documents: Sequence[bytes], *, into_structs: bool) -> list[Any] | None:
    """Decode EVSEs in the strict lane, some at a time: one step of thousands would hold the interpreter meanwhile."""
    found = list[Any]()
    for start in range(0, len(documents), _AT_ONCE):
        some = _decode(b"[%b]" % b",".join(documents[start : start + _AT_ONCE]), into_structs)
        if some is None:
            return None
        found += some
    return found


def _decode(documents: bytes, into_structs: bool) -> Sequence[Any] | None:
    return decode_struct(_EVSES, documents) if into_structs else decode_part(_EVSES, documents)


def _received(
    incoming: Incoming, items: Sequence[int | bytes], new: Sequence[Any], stored: Sequence[Record], *, may_stay: bool
) -> tuple[list[Record], dict[int, Restated], dict[int, OlderEvse]]:
    """Return the records of EVSEs, and by index those that differ little from the stored ones.

    An item is an index among the ``stored`` EVSEs, or bytes; ``new`` are the Evses, or structs, read from the bytes.
    """
    evses, seen, older = list[Record](), dict[int, Restated](), dict[int, OlderEvse]()
    unread, location = iter(new), incoming.location_key
    known = {each.key.id: each for each in stored} if new else {}
    for place, document in enumerate(items):
        if not isinstance(document, bytes):
            evses.append(stored[document])
            continue
        evse = next(unread)
        old = known.get(evse.uid)
        differing = None if old is None else restated(old.document, document, evse)
        if old is not None and differing is not None:
            is_older = (
                may_stay and evse.last_updated < old.last_updated and EARLIEST < evse.last_updated < differing.said
            )
            if is_older and old.missing_since is None and not has_twins(evse):
                older[place] = OlderEvse(document, evse.last_updated, differing)
                evses.append(old)
                continue
            seen[place] = differing
        key = _evse_key(location, evse.uid) if old is None else old.key
        view = evse if isinstance(evse, Evse) else None
        evses.append(_record(incoming, key, document, evse.last_updated, view))
    return evses, seen, older


def evse_record(
    incoming: Incoming, location: Key, evse: Evse, document: bytes, moment: datetime | None = None
) -> Record:
    """Return the record of a received EVSE, changed at ``moment``, or at its own ``last_updated``."""
    return _record(incoming, _evse_key(location, evse.uid), document, moment or evse.last_updated, evse)


def _record(incoming: Incoming, key: Key, document: bytes, moment: datetime, view: Evse | None = None) -> Record:
    return Record(key, document, moment, incoming.now, view, correlation_id=incoming.correlation_id)


def _evse_key(location: Key, uid: str) -> Key:
    return Key(Kind.EVSE, location.country_code, location.party_id, uid, location.id)


def is_unchanged(pushed: Pushed, old: Record | None, stored: Sequence[Record]) -> bool:
    """Return True if the received location equals the stored one, byte for byte."""
    if old is None or pushed.shell != old.document or pushed.repeats or len(pushed.evses) != len(stored):
        return False
    if pushed.older or pushed.last_updated > old.last_updated:
        return False
    pairs = zip(pushed.evses, stored, strict=True)
    return all(new is known and known.missing_since is None for new, known in pairs)
