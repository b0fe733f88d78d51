"""The owner that an object names, read as a party's profile says: ``owner_from``.

Rules of this module (docs/reference/profiles.md, Hubs; OCPI 2.1.1 objects carry no owner):
- ``operator.name``: it holds the operator's code, such as ``ES*AAA``, ``ES-AAA`` or ``ESAAA``;
- ``evse_id``: the EVSE-IDs begin with the code, such as ``ES*AAA*E123`` or ``ESAAAE123``, and all name one operator;
- ``country_code/party_id``: the members of OCPI 2.2, of the object or of its location copy;
- for a session and a CDR, their location copy is read; a tariff only has the members;
- codes are read in any case, and begin with a country; a blank is not a separator: a brand such as "EV Box" is not a
  code;
- a name without a separator, such as ``ESAAA``, is only a code if that party is already known: named in the allowed
  parties, or seen over the connection. "SHELL" could be a code as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import msgspec
from attrs import frozen

from ocpi_emsp.codec.iso3166 import ALPHA3
from ocpi_emsp.codec.patch import as_items, identity, members
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject, NotJson
from ocpi_emsp.ports import Kind, Owner

OPERATOR_NAME: Final = "operator.name"
EVSE_ID: Final = "evse_id"
MEMBERS: Final = "country_code/party_id"
CRITERIA: Final = (OPERATOR_NAME, EVSE_ID, MEMBERS)
"""The members that may name an owner."""

_SEPARATED = re.compile(r"([A-Z]{2})\s*[*_-]\s*([A-Z0-9]{3})", re.IGNORECASE)
_BARE = re.compile(r"([A-Z]{2})([A-Z0-9]{3})|([a-z]{2})([a-z0-9]{3})")
_EVSE_SEPARATED = re.compile(r"([A-Z]{2})[*-]([A-Z0-9]{3})(?:[*-].+|E[A-Z0-9*-]+)", re.IGNORECASE)
_EVSE_BARE = re.compile(r"([A-Z]{2})([A-Z0-9]{3})(?:[*-].+|E[A-Z0-9*-]+)", re.IGNORECASE)
_CODES = re.compile(r"([A-Z]{2})-([A-Z0-9]{3})", re.IGNORECASE)
_COPIES = ("location", "cdr_location")


@frozen
class Reading:
    """The result of reading an owner."""

    owner: Owner | None
    """The owner; None if it is unreadable."""
    why: str = ""
    """Why it is unreadable."""


def read_owner(criterion: str, kind: str, document: bytes, known: Collection[Owner] = ()) -> Reading | None:
    """Return the owner that an object names by a criterion; None if objects of this kind cannot name one so.

    ``known`` are the parties that a name without a separator may stand for.
    """
    if not is_said_of(criterion, kind):
        return None
    try:
        return _READERS[criterion](kind, document, known)
    except (InvalidObject, NotJson):  # it will be rejected; its owner does not matter
        return Reading(None, "the object cannot be read")


def is_said_of(criterion: str, kind: str) -> bool:
    """Return False if a criterion does not apply to a kind: a tariff has no operator and no EVSE."""
    return kind != Kind.TARIFF or criterion == MEMBERS


def named_owners(criterion: str | None, kind: str, document: bytes, known: Collection[Owner] = ()) -> set[Owner]:
    """Return the owners that an object names: by the criterion, or by any if it is None."""
    readings = (read_owner(each, kind, document, known) for each in ([criterion] if criterion else CRITERIA))
    return {reading.owner for reading in readings if reading is not None and reading.owner is not None}


def _by_operator(kind: str, document: bytes, known: Collection[Owner]) -> Reading:
    name = text_at(_place(kind, document), "operator", "name").strip()
    if not name:
        return Reading(None, "there is no operator.name")
    owner, bare = _in_a_country(_code(_SEPARATED, name)), _in_a_country(_code(_BARE, name))
    if owner or bare in known:
        return Reading(owner or bare)
    why = f"operator.name is {shown(name)}, expected a code such as ES*AAA"
    return Reading(None, f"{why}, or a party that the allowed_parties name" if bare else why)


def _by_evse_ids(kind: str, document: bytes, _: Collection[Owner]) -> Reading:
    found = {each: _of_evse_id(each) for each in _evse_ids(_place(kind, document))}
    owners = {owner for owner in found.values() if owner is not None}
    if len(owners) == 1:
        return Reading(owners.pop())
    if owners:
        return Reading(None, f"the EVSE-IDs name {', '.join(sorted(map('-'.join, owners)))}, expected one operator")
    if not found:
        return Reading(None, "there is no evse_id")
    return Reading(None, f"evse_id is {shown(next(iter(found)))}, expected an EVSE-ID such as ES*AAA*E123")


def _of_evse_id(evse_id: str) -> Owner | None:
    return _in_a_country(_code(_EVSE_SEPARATED, evse_id) or _code(_EVSE_BARE, evse_id))


def _by_members(kind: str, document: bytes, _: Collection[Owner]) -> Reading:
    places = [document] if kind in (Kind.TARIFF, Kind.LOCATION) else [document, _place(kind, document)]
    said = [(text_at(each, "country_code"), text_at(each, "party_id")) for each in places]
    found = next((codes for codes in said if any(codes)), None)
    if found is None:
        return Reading(None, "there is no country_code and party_id")
    owner = _code(_CODES, "-".join(part.strip() for part in found))
    return Reading(owner, "" if owner else f"country_code and party_id are {shown('-'.join(found))}, expected ES-AAA")


_READERS: Mapping[str, Callable[[str, bytes, Collection[Owner]], Reading]] = {
    OPERATOR_NAME: _by_operator,
    EVSE_ID: _by_evse_ids,
    MEMBERS: _by_members,
}


def _code(pattern: re.Pattern[str], text: str) -> Owner | None:
    match = pattern.fullmatch(text.strip())
    parts = [part.upper() for part in match.groups() if part is not None] if match else []
    return (parts[0], parts[1]) if parts else None


def _in_a_country(owner: Owner | None) -> Owner | None:
    return owner if owner is not None and owner[0] in ALPHA3 else None


def _place(kind: str, document: bytes) -> bytes:
    """Return the location, or the location copy of an object; an empty object if there is none."""
    if kind in (Kind.LOCATION, Kind.TARIFF):
        return document
    parts = members(document)
    copies = (bytes(parts[name]) for name in _COPIES if name in parts)
    return next((copy for copy in copies if copy.startswith(b"{")), b"{}")


def _evse_ids(place: bytes) -> Iterator[str]:
    """Yield the EVSE-IDs of a location, or that of the one EVSE of a 2.2 copy."""
    evses = [bytes(each) for each in as_items(members(place).get("evses", msgspec.Raw(b"null")))]
    yield from filter(None, (text_at(each, EVSE_ID).strip() for each in (place, *evses)))


def text_at(document: bytes, *path: str) -> str:
    """Return the text of a member; empty if there is none."""
    *above, last = path
    try:
        for name in above:
            document = bytes(members(document).get(name, msgspec.Raw(b"null")))
        return identity(document, last)
    except (InvalidObject, NotJson):
        return ""
