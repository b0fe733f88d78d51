"""Places with matching codes: country, currency, time zone, language, coordinates.

Rules of this module: the first one is the specification's own example, since shrinking ends at the first. Sources: ISO
3166-1, ISO 4217, ISO 639-1 and the tz database; the coordinates are in the middle of the town.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A town; ``latitude`` and ``longitude`` in millionths of a degree."""

    country: str
    country_code: str
    currency: str
    time_zone: str
    language: str
    city: str
    postal_code: str
    address: str
    latitude: int
    longitude: int


PLACES: tuple[Place, ...] = (
    Place("BEL", "BE", "EUR", "Europe/Brussels", "nl", "Gent", "9000", "F.Rooseveltlaan 3A", 51_047599, 3_729944),
    Place("NLD", "NL", "EUR", "Europe/Amsterdam", "nl", "Utrecht", "3511 AX", "Stationsplein 5", 52_088900, 5_110300),
    Place("DEU", "DE", "EUR", "Europe/Berlin", "de", "Köln", "50667", "Domkloster 4", 50_941300, 6_958300),
    Place("FRA", "FR", "EUR", "Europe/Paris", "fr", "Lyon", "69002", "Place Bellecour 1", 45_757800, 4_832000),
    Place("ITA", "IT", "EUR", "Europe/Rome", "it", "Milano", "20121", "Via Brera 28", 45_472100, 9_188100),
    Place("AUT", "AT", "EUR", "Europe/Vienna", "de", "Wien", "1010", "Stephansplatz 3", 48_208500, 16_372100),
    Place("CHE", "CH", "CHF", "Europe/Zurich", "de", "Zürich", "8001", "Bahnhofstrasse 1", 47_366700, 8_540000),
    Place("DNK", "DK", "DKK", "Europe/Copenhagen", "da", "Odense", "5000", "Vestergade 12", 55_396200, 10_388300),
    Place("SWE", "SE", "SEK", "Europe/Stockholm", "sv", "Uppsala", "753 10", "Kungsgatan 40", 59_858600, 17_638900),
    Place("POL", "PL", "PLN", "Europe/Warsaw", "pl", "Kraków", "31-042", "Rynek Główny 1", 50_061700, 19_937300),
    Place("GBR", "GB", "GBP", "Europe/London", "en", "Leeds", "LS1 4DY", "New Station Street 2", 53_795000, -1_547500),
    Place("ESP", "ES", "EUR", "Europe/Madrid", "es", "Sevilla", "41001", "Calle Sierpes 9", 37_389100, -5_994500),
    Place("USA", "US", "USD", "America/New_York", "en", "Albany", "12207", "Broadway 677", 42_652600, -73_756200),
)

CURRENCIES: tuple[str, ...] = tuple(dict.fromkeys(place.currency for place in PLACES))
LANGUAGES: tuple[str, ...] = ("en", *dict.fromkeys(place.language for place in PLACES if place.language != "en"))
ZONES: tuple[str, ...] = tuple(dict.fromkeys(place.time_zone for place in PLACES))
