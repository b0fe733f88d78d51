"""Documents as some partners write them: copies that deviate from the tables of OCPI 2.1.1 in a known way.

Rules of this module: nothing is changed in place; which documents deviate follows from their position in the list.
"""

import re
from decimal import Decimal
from typing import Final

from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Document, Json

OTHER_PARTY: Final = ("BE", "XYZ")
"""Who owns the objects of others that `foreign_owners` lists."""

_ALPHA_2: Final = {"NLD": "NL", "BEL": "BE", "DEU": "DE", "FRA": "FR"}
_ZULU: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_REQUIRED: Final = {"locations": "coordinates", "sessions": "kwh", "cdrs": "charging_periods", "tariffs": "elements"}
"""A required field of each module's object (mod_*.md 3.1)."""


def listed(document: Document, module: str, position: int, settings: Settings) -> Document:
    """`document` as it stands on a page; `position` is its place among all objects of the module, from 0."""
    if settings.foreign_owners:
        document = owned(document, position, settings.country_code, settings.party_id)
    return bad(document, module, position) if settings.bad_objects else document


def deviates(settings: Settings) -> bool:
    """Whether `listed` changes anything."""
    return settings.foreign_owners or settings.bad_objects


def rewritten(document: Document, module: str, settings: Settings) -> Document:
    """`document` as this CPO has it."""
    if settings.quirky_documents:
        document = quirky(document)
    if settings.faulty_copies:
        document = faultily_copied(document)
    if settings.newer_names:
        document = newer(document, module)
    return half_empty(document, module) if settings.half_empty else document


def faultily_copied(document: Document) -> Document:
    """A session or CDR whose copy of the location has no city, and EVSEs without `status` and `last_updated`."""
    place = document.get("location")
    if place is None:
        return document
    evses = [_without(evse, "status", "last_updated") for evse in place["evses"]]
    return {**document, "location": {**_without(place, "city"), "evses": evses}}


def newer(document: Document, module: str) -> Document:
    """With the names of OCPI 2.2: a session has ids in place of its location, a cost has VAT beside it."""
    if module not in ("sessions", "cdrs"):
        return document
    place = document["location"]
    evse = place["evses"][0]
    used = {"evse_uid": evse["uid"], "connector_id": evse["connectors"][0]["id"]}
    token = {"uid": document["auth_id"], "type": "RFID", "contract_id": document["auth_id"]}
    changed = {**_without(document, "auth_id", "location"), "cdr_token": token}
    if module == "sessions":
        changed |= {"location_id": place["id"], **used, "start_date_time": changed.pop("start_datetime")}
    else:
        socket = {f"connector_{name}": evse["connectors"][0][name] for name in ("standard", "format", "power_type")}
        changed["cdr_location"] = {**_without(place, "evses", "type", "last_updated"), **used, **socket}
    end = changed.pop("end_datetime", None) or changed.pop("stop_date_time", None)
    if end is not None:
        changed["end_date_time"] = end
    if "total_cost" in changed:
        changed["total_cost"] = {"excl_vat": changed["total_cost"], "incl_vat": changed["total_cost"]}
    return changed


def half_empty(document: Document, module: str) -> Document:
    """Without `last_updated`, with an optional object of nulls or an empty text, and one item in place of a list."""
    empty: dict[str, Document] = {
        "locations": {"operator": {"name": None, "website": None}, "facilities": "HOTEL"},
        "sessions": {"total_cost": ""},
        "cdrs": {"total_parking_time": ""},
        "tariffs": {"energy_mix": {"is_green_energy": None}},
    }
    return {**_without(document, "last_updated"), **empty[module]}


def _without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def owned(document: Document, position: int, country_code: str, party_id: str) -> Document:
    """With the owner that 2.2 writes into objects: of three, one of another party, one of this, one without."""
    match position % 3:
        case 1:
            country_code, party_id = OTHER_PARTY
        case 2:
            return document
    return {"country_code": country_code, "party_id": party_id, **document}


def bad(document: Document, module: str, position: int) -> Document:
    """Of ten documents, the third has no id, the sixth lacks a required field, the ninth has a list for a time."""
    match position % 10:
        case 2:
            return {name: value for name, value in document.items() if name != "id"}
        case 5:
            return {name: value for name, value in document.items() if name != _REQUIRED[module]}
        case 8:
            return {**document, "last_updated": [document.get("last_updated")]}
    return document


def quirky(value: Json, name: str = "") -> Json:
    """A copy of a document as some partners write it, all read from the specification's own examples.

    `country` is alpha-2 (mod_cdrs.md 3.1), `floor_level` and `physical_reference` are integers
    (mod_locations.md 2.2.3), `price` is a string (mod_cdrs.md 3.1), timestamps have no zone (types.md 1.2).
    """
    if isinstance(value, dict):
        return {key: quirky(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [quirky(inner) for inner in value]
    if name == "country":
        return _ALPHA_2.get(value, value)
    if name in ("floor_level", "physical_reference"):
        return int(value)
    if name == "price" and isinstance(value, Decimal):
        return str(value)
    return value.removesuffix("Z") if isinstance(value, str) and _ZULU.fullmatch(value) else value
