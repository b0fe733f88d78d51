"""Named ways in which partners deviate, as arguments of `SimulatedCpo`.

cpo = SimulatedCpo(locations=5, page_limit=2, **PRESETS["loop"])
"""

import re
from decimal import Decimal
from typing import Any, Final

from ocpi_emsp.testing.cpo.wire import Json

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "base64": {"accept_base64_token": True, "send_base64_token": True},
    "bare-command-result": {"bare_command_result": True},
    "no-totals": {"totals": False},
    "relative-link": {"next_link": "relative"},
    "loop": {"next_link": "loop"},
    "http-link": {"next_link": "http"},
    "foreign-link": {"next_link": "foreign"},
    "lost-filters": {"next_link": "lost-filters"},
    "empty-without-data": {"empty_without_data": True},
    "html-errors": {"html_lists": True},
    "quirky": {"quirky_documents": True},
}

_ALPHA_2: Final = {"NLD": "NL", "BEL": "BE", "DEU": "DE", "FRA": "FR"}
_ZULU: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


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
