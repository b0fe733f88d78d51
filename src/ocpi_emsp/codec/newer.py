"""OCPI 2.2 in a 2.1.1 object: its names are read as those of 2.1.1.

Rules of this module (docs/spec-choices.md row 21):
- if an object has both names, that of 2.1.1 counts;
- members that 2.2 structures differently are read where they have one value: the cost without VAT, a token's
  contract_id;
- a 2.2 session has ids in place of a location: its location copy is built from them. A 2.2 CDR has a flat copy, which
  is also read under its 2.1.1 name;
- a finding's place refers to the document as received.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ocpi_emsp.codec.documents import JsonObject
from ocpi_emsp.codec.patch import Members, as_items, join, members
from ocpi_emsp.codec.readings import UNSAID
from ocpi_emsp.models import Cdr, Connector, Evse, Location, Session

_RENAMED: Mapping[type[Any], Mapping[str, str]] = {
    Session: {"start_date_time": "start_datetime", "end_date_time": "end_datetime"},
    Cdr: {"end_date_time": "stop_date_time"},
    Location: {"parking_type": "type"},
    Connector: {"max_voltage": "voltage", "max_amperage": "amperage"},
}


class Read(JsonObject):
    """A JSON object with the names of 2.1.1, and the place of each renamed member in the received document."""

    __slots__ = ("places",)

    places: dict[str, tuple[str, ...]]


class Made(JsonObject):
    """An object that was built from ids."""


def place_of(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the place of a member below its object, as received."""
    return document.places.get(name, (name,)) if isinstance(document, Read) else (name,)


def read(kind: type[Any], document: Any) -> tuple[Any, list[str]]:
    """Return the document with the names of 2.1.1, and the 2.2 names that it had."""
    reader = _READERS.get(kind)
    if reader is None or not isinstance(document, dict) or (kind in _PLACES and not has_names(kind, document)):
        return document, []  # copying thousands of objects that nothing is read from takes as long as reading them
    names = dict[str, None]()
    return reader(document, names), list(names)


_NAMES: Mapping[type[Any], frozenset[str]] = {
    Session: frozenset({*_RENAMED[Session], "cdr_location", "location_id"}),
    Cdr: frozenset({*_RENAMED[Cdr], "cdr_location"}),
    Location: frozenset({*_RENAMED[Location], "evse_uid"}),
    Connector: frozenset({*_RENAMED[Connector], "tariff_ids"}),
}
"""The 2.2 names that :func:`same` reads."""
_PLACES = frozenset({Location, Evse, Connector})


def has_names(kind: type[Any], document: Any) -> bool:
    """Return True if :func:`same` may change the document. Runs for each compared object, so in plain loops."""
    if not isinstance(document, dict):
        return False
    if kind in _NAMES and not _NAMES[kind].isdisjoint(document):
        return True
    if kind in (Session, Cdr):
        return has_names(Location, document.get("location"))
    names = _NAMES[Connector]
    for evse in _items(document.get("evses")) if kind is Location else (document,):
        for connector in _items(evse.get("connectors")) if isinstance(evse, dict) else ():
            if isinstance(connector, dict) and not names.isdisjoint(connector):
                return True
    return False


def _items(value: Any) -> Any:
    return value if isinstance(value, list) else (value,)


def same(kind: type[Any], document: Any) -> Any:
    """Return the document with 2.1.1 names, where the 2.2 names carry the same information."""
    reader = _SAME.get(kind)
    return document if reader is None or not isinstance(document, dict) else reader(document, {})


_Names: TypeAlias = dict[str, None]
"""2.2 names, each once, in document order."""


def _named(document: Any) -> Read:
    found = Read(document)
    found.repeated = getattr(document, "repeated", ())
    found.places = {}
    return found


def _move(found: Read, names: _Names, old: str, new: str, value: Any, *below: str) -> None:
    """Set the value of a 2.2 member under its 2.1.1 name, unless that name has a value."""
    if found.get(new) is not None and old != new:
        return
    found.pop(old, None)
    found[new] = value
    found.places[new] = (old, *below)
    names[".".join((old, *below))] = None


def _renamed(kind: type[Any], document: Any, names: _Names) -> Read:
    found = _named(document)
    for old, new in _RENAMED.get(kind, {}).items():
        if found.get(old) is not None:
            _move(found, names, old, new, found[old])
    return found


def _charged(found: Read, names: _Names) -> Read:
    """Read the driver and the cost of a session or CDR; 2.2 carries more than 2.1.1 for both."""
    token, cost = found.get("cdr_token"), found.get("total_cost")
    if isinstance(token, dict) and token.get("contract_id") is not None:
        _move(found, names, "cdr_token", "auth_id", token["contract_id"], "contract_id")
    if isinstance(cost, dict) and cost.get("excl_vat") is not None:
        _move(found, names, "total_cost", "total_cost", cost["excl_vat"], "excl_vat")
    return found


def _placed(kind: type[Any], document: Any, names: _Names) -> Read:
    """Read the times and the location copy of a session or CDR."""
    found = _renamed(kind, document, names)
    place = found.get("cdr_location")
    if isinstance(place, dict):
        _move(found, names, "cdr_location", "location", _of_a_cdr(place, found.get("last_updated")))
    elif _is_flat(found.get("location")):
        found["location"] = _of_a_cdr(found["location"], found.get("last_updated"))
        names["location.evse_uid"] = None
    if has_names(Location, found.get("location")):
        found["location"] = _location(found["location"], names)
    return found


def _session(document: Any, names: _Names) -> Read:
    found = _placed(Session, document, names)
    if found.get("location") is None and found.get("location_id") is not None:
        ids = {name: found.pop(name, None) for name in ("evse_uid", "connector_id")}
        _move(found, names, "location_id", "location", _of_ids(found["location_id"], **ids))
    return found


def _of_ids(location_id: Any, evse_uid: Any, connector_id: Any) -> Made:
    """Build the location copy from the ids alone."""
    connectors = [Made(id=connector_id)] if connector_id is not None else []
    evses = [Made(uid=evse_uid, connectors=connectors)] if evse_uid is not None else []
    return Made(id=location_id, evses=evses)


def _is_flat(place: Any) -> bool:
    """Return True for a 2.2 CdrLocation: it has an EVSE uid beside it and no `type`, which every 2.1.1 location has."""
    return isinstance(place, dict) and place.get("evse_uid") is not None and not place.keys() & {"evses", "type"}


def _of_a_cdr(place: Any, updated: Any) -> Any:
    """Build the location copy from a 2.2 CDR, where EVSE and connector are members of the location."""
    if "evses" in place:
        return place
    dated = {} if updated is None else {"last_updated": updated}
    connector = {"id": "connector_id", "standard": "connector_standard", "format": "connector_format"}
    connector |= {"power_type": "connector_power_type"}
    names = {"evse_uid", "evse_id", *connector.values()}
    location: dict[str, Any] = {"type": "UNKNOWN", **dated}
    location |= {name: value for name, value in place.items() if name not in names}
    socket = {name: place[old] for name, old in connector.items() if place.get(old) is not None}
    evse = {name: place[old] for name, old in (("uid", "evse_uid"), ("evse_id", "evse_id")) if place.get(old)}
    if evse or socket:
        evse |= {"status": "UNKNOWN", **dated}
        evse["connectors"] = [{"voltage": UNSAID, "amperage": UNSAID, **socket, **dated}] if socket else []
        location["evses"] = [evse]
    return JsonObject(location)


def _location(document: Any, names: _Names) -> Any:
    return _each(_renamed(Location, document, names), "evses", _evse, names)


def _evse(document: Any, names: _Names) -> Any:
    return _each(_named(document), "connectors", _connector, names)


def _connector(document: Any, names: _Names) -> Any:
    found = _renamed(Connector, document, names)
    tariffs = found.get("tariff_ids")
    if isinstance(tariffs, list) and len(tariffs) == 1:
        _move(found, names, "tariff_ids", "tariff_id", tariffs[0], "0")
    return found


def _each(found: Read, name: str, reader: Callable[[Any, _Names], Any], names: _Names) -> Any:
    items = found.get(name)
    if isinstance(items, list):
        found[name] = [reader(item, names) if isinstance(item, dict) else item for item in items]
    elif isinstance(items, dict):
        found[name] = reader(items, names)
    return found


_SAME: Mapping[type[Any], Callable[[Any, _Names], Any]] = {
    Session: _session,
    Cdr: lambda document, names: _placed(Cdr, document, names),
    Location: _location,
    Evse: _evse,
    Connector: _connector,
}
"""Per model, a function that reads the names which mean the same in both versions."""
_READERS: Mapping[type[Any], Callable[[Any, _Names], Any]] = {
    **_SAME,
    Session: lambda document, names: _charged(_session(document, names), names),
    Cdr: lambda document, names: _charged(_placed(Cdr, document, names), names),
}

_MEANT: Mapping[type[Any], Mapping[str, str]] = {
    Session: {**_RENAMED[Session], "cdr_token": "auth_id", "location_id": "location", "cdr_location": "location"},
    Location: _RENAMED[Location],
    Connector: _RENAMED[Connector],
}


def as_patch(kind: type[Any], changes: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return the members of a PATCH under the 2.1.1 names of the stored object."""
    meant = _MEANT.get(kind)
    if meant is None:
        return changes
    gone = {new: msgspec.Raw(b"null") for old, new in meant.items() if old in changes and new not in changes}
    return {**gone, **changes} if gone else changes


def names_of_patch(kind: type[Any]) -> frozenset[str]:
    """Return the 2.2 names that a PATCH of an object may use in place of those of 2.1.1."""
    return frozenset(_MEANT.get(kind, ()))


def as_location_patch(kind: type[Any], changes: Members) -> Members:
    """Apply :func:`as_patch` to a location, an EVSE or a connector, and to the objects in it."""
    if _BELOW.keys().isdisjoint(changes) or not any(
        name in bytes(value) for value in changes.values() for name in _BELOW_NAMES
    ):
        return as_patch(kind, changes)
    below = {
        name: msgspec.Raw(
            msgspec.json.encode([msgspec.Raw(join(as_location_patch(each, members(item)))) for item in as_items(value)])
        )
        for name, each in _BELOW.items()
        if (value := changes.get(name, _NULL)) != _NULL
    }
    return as_patch(kind, {**changes, **below})


_NULL = msgspec.Raw(b"null")
_BELOW: Mapping[str, type[Any]] = {"evses": Evse, "connectors": Connector}
_BELOW_NAMES = tuple(f'"{name}"'.encode() for name in _MEANT[Connector])
