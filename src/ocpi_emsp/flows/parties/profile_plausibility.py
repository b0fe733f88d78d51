"""The plausibility settings in a party's profile: validated when given, stored as a JSON object.

Rules of this module: those of profile_readings.py.
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
    """Return the settings of a party: the defaults, overridden by its profile."""
    return _DEFAULT if profile.plausibility is None else _read(profile.plausibility)


def plausibility_of_party(party: Party | None) -> Plausibility:
    """Return the settings of a party, which may be unknown: its objects stay when it is deleted."""
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
