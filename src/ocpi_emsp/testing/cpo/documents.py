"""Documents as some partners write them: copies that deviate from the tables of OCPI 2.1.1 in a known way.

Rules of this module: nothing is changed in place; the position in the list determines which documents deviate.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.wire import Document, Json

OTHER_PARTY: Final = ("BE", "XYZ")
"""The owner of the foreign objects that `foreign_owners` lists."""

HUB_OWNERS: Final = (("ES", "AAA"), ("FR", "BBB"), ("PT", "CCC"))
"""The owners of the objects that a hub lists."""

_ALPHA_2: Final = {"NLD": "NL", "BEL": "BE", "DEU": "DE", "FRA": "FR"}
_ZULU: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_REQUIRED: Final = {"locations": "coordinates", "sessions": "kwh", "cdrs": "charging_periods", "tariffs": "elements"}
"""A required field of each module's object (mod_*.md 3.1)."""


def listed(document: Document, module: str, position: int, settings: Settings) -> Document:
    """Return `document` as listed on a page; `position` is its place among all objects of the module, from 0."""
    if settings.foreign_owners:
        document = owned(document, position, settings.country_code, settings.party_id)
    return bad(document, module, position) if settings.bad_objects else document


def deviates(settings: Settings) -> bool:
    """Return True if `listed` changes anything."""
    return settings.foreign_owners or settings.bad_objects


def rewritten(document: Document, module: str, settings: Settings) -> Document:
    """Return `document` as this CPO writes it."""
    for name, rewrite in _REWRITES.items():
        if getattr(settings, name):
            document = rewrite(document, module)
    return document if settings.hub_owners is None else named_by_hub(document, settings.hub_owners)


def are_rewritten(settings: Settings) -> bool:
    """Return True if `rewritten` changes anything."""
    return settings.hub_owners is not None or any(getattr(settings, name) for name in _REWRITES)


def named_by_hub(document: Document, by: str) -> Document:
    """Return the document as a hub lists it: a location, also as a copy, names its owner in `operator.name`, or in the
    EVSE-IDs.

    The locations belong to the `HUB_OWNERS` in turn.
    """
    if "location" in document:
        return {**document, "location": named_by_hub(document["location"], by)}
    if "evses" not in document:
        return document
    number = int(re.sub(r"\D", "", document["id"]) or "0")
    owner = "*".join(HUB_OWNERS[number % len(HUB_OWNERS)])
    if by == "operator.name":
        return {**document, "operator": {"name": owner}}
    evses = [{**evse, "evse_id": f"{owner}*E{number}*{place}"} for place, evse in enumerate(document["evses"], start=1)]
    return {**document, "evses": evses}


def faultily_copied(document: Document, _: str) -> Document:
    """Return a session or CDR whose location copy has no city, and EVSEs without `status` and `last_updated`."""
    place = document.get("location")
    if place is None:
        return document
    evses = [_without(evse, "status", "last_updated") for evse in place["evses"]]
    return {**document, "location": {**_without(place, "city"), "evses": evses}}


def newer(document: Document, module: str) -> Document:
    """Return the document with names of OCPI 2.2: a session has ids in place of its location, a cost has VAT beside
    it.
    """
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
    """Return it without `last_updated`, with an optional object of nulls or an empty text, and one item in place of a
    list.
    """
    empty: dict[str, Document] = {
        "locations": {"operator": {"name": None, "website": None}, "facilities": "HOTEL"},
        "sessions": {"total_cost": ""},
        "cdrs": {"total_parking_time": ""},
        "tariffs": {"energy_mix": {"is_green_energy": None}},
    }
    return {**_without(document, "last_updated"), **empty[module]}


def with_twins(document: Document, module: str) -> Document:
    """Return a location that lists its first EVSE twice, first with another status."""
    if module != "locations":
        return document
    first, *others = document["evses"]
    return {**document, "evses": [{**first, "status": "UNKNOWN"}, first, *others]}


def with_null_lists(document: Document, module: str) -> Document:
    """Return it with null for lists that may be empty: missing ones of a location, and all of any other object."""
    if module != "locations":
        return document | dict.fromkeys(_LISTS[module])
    evses = [dict.fromkeys(_LISTS["evses"]) | evse for evse in document["evses"]]
    return dict.fromkeys(_LISTS["locations"]) | document | {"evses": evses}


_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "locations": ("related_locations", "facilities", "images"),
    "evses": ("status_schedule", "directions", "parking_restrictions", "images"),
    "sessions": ("charging_periods",),
    "cdrs": ("tariffs",),
    "tariffs": ("tariff_alt_text",),
}
"""Lists of cardinality `*` (terminology.md, Cardinality)."""


def with_null_members(document: Document, module: str) -> Document:
    """Return a CDR with null for each missing optional member."""
    absent = {"remark": None, "meter_id": None, "total_parking_time": None}
    return absent | document if module == "cdrs" else document


def without_last_evse(document: Document, module: str) -> Document:
    """Return a location of several EVSEs without the last one."""
    evses = document["evses"] if module == "locations" else []
    return {**document, "evses": evses[:-1]} if len(evses) > 1 else document


def with_upper_case_languages(value: Json, module: str) -> Json:
    """Return the value with every `language` in upper case."""
    if isinstance(value, list):
        return [with_upper_case_languages(each, module) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {name: with_upper_case_languages(each, module) for name, each in value.items()}
    return changed | {"language": value["language"].upper()} if "language" in value else changed


def with_untimed_periods(document: Document, module: str) -> Document:
    """Return a CDR whose charging periods omit TIME if they have another dimension."""
    if module != "cdrs":
        return document
    periods = []
    for period in document["charging_periods"]:
        dimensions = [each for each in period["dimensions"] if each["type"] != "TIME"]
        periods.append({**period, "dimensions": dimensions or period["dimensions"]})
    return {**document, "charging_periods": periods}


def _without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def owned(document: Document, position: int, country_code: str, party_id: str) -> Document:
    """Return it with an owner as in 2.2: of three documents, one of another party, one of this, one without."""
    match position % 3:
        case 1:
            country_code, party_id = OTHER_PARTY
        case 2:
            return document
    return {"country_code": country_code, "party_id": party_id, **document}


def bad(document: Document, module: str, position: int) -> Document:
    """Return it broken: of ten documents, the third has no id, the sixth lacks a required field, the ninth has a list
    for a time.
    """
    match position % 10:
        case 2:
            return {name: value for name, value in document.items() if name != "id"}
        case 5:
            return {name: value for name, value in document.items() if name != _REQUIRED[module]}
        case 8:
            return {**document, "last_updated": [document.get("last_updated")]}
    return document


def quirky(value: Json, name: str = "") -> Json:
    """Return a copy of a document as some partners write it, following the specification's own examples.

    `country` is alpha-2 (mod_cdrs.md 3.1), `floor_level` and `physical_reference` are integers (mod_locations.md
    2.2.3), `price` is a string (mod_cdrs.md 3.1), timestamps have no zone (types.md 1.2).
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


_REWRITES: Final[dict[str, Callable[[Document, str], Document]]] = {
    "quirky_documents": lambda document, _: quirky(document),
    "faulty_copies": faultily_copied,
    "newer_names": newer,
    "half_empty": half_empty,
    "twins": with_twins,
    "null_lists": with_null_lists,
    "null_members": with_null_members,
    "missing_evses": without_last_evse,
    "upper_case_languages": with_upper_case_languages,
    "untimed_periods": with_untimed_periods,
}
"""The functions by the deviation that they implement."""
