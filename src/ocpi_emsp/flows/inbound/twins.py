"""Duplicates within one document: only one of them can be stored.

Rules of this module (docs/spec-choices.md row 22):
- the last updated one counts, of several with the same time the last; the response, or the notes of a sync, report it;
- a duplicate that does not count is stored among the rejections, as a push of its own: once, however often it is
  received;
- repeated members are searched for in a PATCH, in an object that is pushed for the first time, and in one with another
  number of members than the stored one; searching costs as much as reading. Elsewhere ``check`` and the partner report
  find them in the document, which is stored as received.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from attrs import evolve

from ocpi_emsp.codec import rules
from ocpi_emsp.codec.patch import Members, as_items, identity, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.flows.events.newest import append_newest
from ocpi_emsp.flows.inbound.request import Incoming, deviating
from ocpi_emsp.models import Connector, Evse
from ocpi_emsp.ports import Transaction
from ocpi_emsp.routes import VERSION, Route, incoming as incoming_route, match

MAX_BESIDE: Final = 100
"""Parts of one request that are stored among the rejections separately."""
REPEATED = "list.repeated"
"""The rule for an object that a page lists twice."""
EVSES, CONNECTORS = "evse.uid.unique", "connector.id.unique"
"""The rules for EVSEs of a location, and connectors of an EVSE, with the same id."""
_KEYED = {"evses": ("uid", EVSES, Evse.clause), "connectors": ("id", CONNECTORS, Connector.clause)}
_ITEMS = {"evses": "evse_uid", "connectors": "connector_id"}
_NULL = msgspec.Raw(b"null")


async def store_beside(
    incoming: Incoming, tx: Transaction, route: Route, document: bytes, *, rule: str, message: str, clause: str
) -> None:
    """Store a document that does not count among the rejections, as a request of ``route``.

    After :data:`MAX_BESIDE` parts of one request, the whole request is stored in place of further parts.
    """
    request = incoming.request
    if len(incoming.beside) >= MAX_BESIDE:
        if len(incoming.beside) > MAX_BESIDE:
            return
        matched = match(request.url)
        route, document = route if matched is None else matched.routes[request.method], request.body
        incoming = evolve(incoming, params=incoming.params if matched is None else matched.params)
    url = route.url(f"/{VERSION}/{route.module}", trailing_slash=False, **incoming.params)
    digest = hashlib.sha256(b"\0".join((url.encode(), document))).hexdigest()
    error = deviating("said twice", "", rule, message, clause)
    request = evolve(request, method=route.method, url=url, body=document)
    incoming.beside.append(digest)
    rejection = evolve(incoming, request=request).rejection(route, error, f"twin-{digest[:40]}")
    await append_newest(incoming.context, tx, rejection)


def repeated_places(ids: Iterable[str]) -> dict[str, list[int]]:
    """Return the indices of each id that occurs several times."""
    places = dict[str, list[int]]()
    for at, each in enumerate(ids):
        places.setdefault(each, []).append(at)
    return {each: found for each, found in places.items() if len(found) > 1}


def has_twins(evse: Evse) -> bool:
    """Return True if two connectors have the same id."""
    connectors = evse.connectors
    if len(connectors) == 2:  # takes a fifth of the time of a set
        return connectors[0].id == connectors[1].id
    return len(connectors) > 2 and len({each.id for each in connectors}) < len(connectors)


def name_connectors(incoming: Incoming, evse: Evse, pointer: str = "") -> None:
    """Report connectors with the same id: all of them are stored, the last one counts."""
    if not has_twins(evse):
        return
    for connector_id, places in repeated_places(each.id for each in evse.connectors).items():
        message = f"{len(places)} connectors have the id {shown(connector_id)}; all are stored, the last one counts"
        incoming.note(f"{pointer}/connectors/{places[-1]}/id", CONNECTORS, message, Connector.clause)


# --- patches --------------------------------------------------------------------------------------------------------


async def name_patched(incoming: Incoming, tx: Transaction, changes: Members) -> None:
    """Report EVSEs and connectors that a PATCH of a location or an EVSE changes twice, or that are not in a list."""
    for name in [each for each in _KEYED if each in changes]:
        _name_single(incoming, name, changes[name], "")
        await _name_items(incoming, tx, name, as_items(changes[name]), "")


def _name_single(incoming: Incoming, name: str, value: msgspec.Raw, pointer: str) -> None:
    """Report a single object in place of a list."""
    if bytes(value).startswith(b"{"):
        message = "expected a list, found an object"
        incoming.note(f"{pointer}/{name}", rules.ARRAY_SINGLE.id, message, _KEYED[name][2])


async def _name_items(
    incoming: Incoming, tx: Transaction, name: str, found: Sequence[msgspec.Raw], pointer: str
) -> None:
    key, rule, clause = _KEYED[name]
    named = [_identity(each, key, f"{pointer}/{name}/{at}", clause) for at, each in enumerate(found)]
    for item_id, places in repeated_places(named).items():
        lost = _contradicted(found, places)
        message = f"{len(places)} of the {name} have the {key} {shown(item_id)}; they are merged in their order"
        incoming.note(f"{pointer}/{name}/{places[-1]}/{key}", rule, message, clause)
        of_item = evolve(incoming, params={**incoming.params, _ITEMS[name]: item_id})
        route = incoming_route(f"locations.patch_{'evse' if name == 'evses' else 'connector'}")
        for at in lost:
            await store_beside(of_item, tx, route, bytes(found[at]), rule=rule, message=message, clause=clause)
    if name == "evses":
        for at, each in enumerate(found):
            connectors = members(each).get("connectors", _NULL)
            _name_single(incoming, "connectors", connectors, f"{pointer}/{name}/{at}")
            below = as_items(connectors)
            of_evse = evolve(incoming, params={**incoming.params, "evse_uid": identity(each, key)})
            await _name_items(of_evse, tx, "connectors", below, f"{pointer}/{name}/{at}")


def _identity(item: msgspec.Raw, key: str, pointer: str, clause: str) -> str:
    """Return the id of an item of a PATCH. Raises InvalidObject that names its place."""
    try:
        return identity(item, key)
    except InvalidObject as error:
        raise deviating("the PATCH cannot be merged", pointer, rules.TYPE.id, error.message, clause) from None


def _contradicted(found: Sequence[msgspec.Raw], places: Sequence[int]) -> list[int]:
    """Of items with the same id, return the indices of those with a member that a later item changes."""
    lost, later = list[int](), dict[str, set[bytes]]()
    for at in reversed(places):
        said = {name: bytes(value) for name, value in members(found[at]).items()}
        if any(len(later.get(name, {value}) | {value}) > 1 for name, value in said.items()):
            lost.append(at)
        for name, value in said.items():
            values = later.setdefault(name, {value})
            if len(values) < 2:  # a third one adds nothing
                values.add(value)
    return lost[::-1]


# --- members --------------------------------------------------------------------------------------------------------


_SEPARATOR = re.compile(rb'"\s*:')


def may_repeat(document: bytes, found: Members) -> bool:
    """Return False if neither a small document nor an object within it repeats a member."""
    return len(_SEPARATOR.findall(document)) != len(found)


def name_members(incoming: Incoming, document: bytes, kind: type[Any] | None = None) -> list[str]:
    """Report the repeated members of a document, which was accepted as ``kind``; return their pointers."""
    found = incoming.repetitions(document, kind)
    for place in found:
        incoming.note(place, rules.REPEATED.id, _LAST_COUNTS, rules.FORMAT, counts=True)
    return found


def name_other_members(incoming: Incoming, document: bytes, before: Sequence[bytes], kind: type[Any]) -> None:
    """Report the repeated members of a document, unless it has as many members as what was stored ``before``."""
    if not before and incoming.pulled:
        return
    if not before or document.count(_NAMED) != sum([each.count(_NAMED) for each in before]):
        name_members(incoming, document, kind)


def has_as_many(document: bytes, before: bytes) -> bool:
    """Return True if a document has as many members as another one."""
    return document.count(_NAMED) == before.count(_NAMED)


_NAMED = b'":'
"""End of a member's name. A name with a blank before its colon is not counted: ``check`` finds a repetition hidden
so.
"""


async def store_repeated(incoming: Incoming, tx: Transaction, route: Route, document: bytes) -> None:
    """Report the repeated members of a document, and store it among the rejections: the stored object has each member
    once.
    """
    if name_members(incoming, document):
        rule = rules.REPEATED
        await store_beside(incoming, tx, route, document, rule=rule.id, message=_LAST_COUNTS, clause=rules.FORMAT)


_LAST_COUNTS = "a member is repeated; the last one counts"
