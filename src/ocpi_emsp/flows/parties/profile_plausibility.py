"""What is looked at beside the price, in a party's profile: checked when it is given, stored as a JSON object.

Rules of this module: as those of profile_readings.py.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from ocpi_emsp import logs
from ocpi_emsp.flows.parties.json_settings import given_settings, settings_text
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.pricing import Plausibility

_EXPECTED = 'expected a mapping of codes to settings, or a JSON object, for example {"session.long": 48}'
_DEFAULT = Plausibility()


def stored_plausibility(value: Any) -> str | None:
    """Read it from Plausibility, a mapping, or a JSON object. Raises ValueError that names the code."""
    if isinstance(value, Plausibility):
        value = value.changes
    return settings_text(Plausibility(given_settings(value, _EXPECTED)).changes)


def plausibility_of(profile: Profile) -> Plausibility:
    """The settings of a party: the default ones, and what its profile has instead."""
    return _DEFAULT if profile.plausibility is None else _read(profile.plausibility)


def plausibility_of_party(party: Party | None) -> Plausibility:
    """Those of a party that may not be known: its objects stay when it goes."""
    return _DEFAULT if party is None else plausibility_of(party.profile)


@lru_cache(maxsize=1024)
def _read(text: str) -> Plausibility:
    settings = _DEFAULT
    for code, value in json.loads(text).items():
        try:
            settings = settings.changed({code: value})
        except ValueError as error:
            logs.warning("profile.plausibility_unknown", code=code, error=error)
    return settings
