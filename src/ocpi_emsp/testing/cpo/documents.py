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
