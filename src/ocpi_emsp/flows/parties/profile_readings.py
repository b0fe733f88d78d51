"""The readings of prices in a party's profile: validated when given, stored as the differences from the default.

Rules of this module:
- only differences from the default are stored: if a later version has a better default, it applies;
- a stored reading that this version does not know is ignored and logged: an audit names the readings it used.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from ocpi_emsp import logs
from ocpi_emsp.flows.parties.json_settings import given_settings, settings_text
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.pricing import Readings

_EXPECTED = 'expected a mapping of readings to values, or a JSON object, for example {"step": "per_period"}'
_DEFAULT = Readings()


def stored_readings(value: Any) -> str | None:
    """Read them from Readings, a mapping, or a JSON object. Raises ValueError that names the reading."""
    if isinstance(value, Readings):
        value = value.differing()
    return settings_text(Readings.of(given_settings(value, _EXPECTED)).differing())


def readings_of(profile: Profile) -> Readings:
    """Return the readings of a party: the defaults, overridden by its profile."""
    return _DEFAULT if profile.readings is None else _read(profile.readings)


def readings_of_party(party: Party | None) -> Readings:
    """Return the readings of a party, which may be unknown: its objects stay when it is deleted."""
    return _DEFAULT if party is None else readings_of(party.profile)


@lru_cache(maxsize=1024)
def _read(text: str) -> Readings:
    readings = _DEFAULT
    for name, value in json.loads(text).items():
        try:
            readings = readings.changed(**{name: value})
        except ValueError as error:
            logs.warning("profile.reading_unknown", reading=name, error=error)
    return readings
