"""``settings.OCPI_EMSP``: its values, and its faults.

Rules of this module:
- its keys are the arguments of :class:`Emsp` in upper case, and a few of our own;
- an unknown key is an error, since it is most likely misspelt;
- all faults are found at once, for Django's system checks; the first of them is raised where the eMSP is created.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from attrs import frozen
from django.conf import settings
from django.db import connections

from ocpi_emsp import Emsp
from ocpi_emsp.settings import Retention

EXAMPLE: Final = (
    'OCPI_EMSP = {"COUNTRY_CODE": "IT", "PARTY_ID": "BEC", "NAME": "Be Charge", '
    '"URL": "https://ocpi.example.com/ocpi/emsp"}'
)
REQUIRED: Final = ("COUNTRY_CODE", "PARTY_ID", "NAME", "URL")
_OUR_OWN: Final = {"RETENTION": Retention, "SYNC_EVERY": timedelta}
_EXPECTED: Final = {"RETENTION": "a Retention of ocpi_emsp.settings", "SYNC_EVERY": "a timedelta of at least a second"}
ARGUMENTS: Final = {
    name.upper(): name for name in inspect.signature(Emsp.__init__).parameters if name not in ("self", "store")
}
KEYS: Final = tuple(sorted({*ARGUMENTS, *_OUR_OWN, "DATABASE", "STORE"}))


@frozen
class Problem:
    """A fault of the settings: the number of its check, a sentence, and what to do."""

    number: int
    text: str
    hint: str = ""

    @property
    def id(self) -> str:
        """The id of the system check."""
        return f"ocpi_emsp.E{self.number:03}"


@frozen
class Given:
    """Settings that are valid as far as they can be checked alone."""

    arguments: Mapping[str, Any]
    """Arguments for :class:`Emsp`, all except ``store``."""
    store: Any
    database: str
    """The alias of the database; used if there is no ``store``."""
    retention: Retention | None
    sync_every: timedelta | None


def problems() -> Iterator[Problem]:
    """Yield all faults of the settings alone."""
    found: object = getattr(settings, "OCPI_EMSP", None)
    if found is None:
        yield Problem(1, "Missing setting OCPI_EMSP.", f"Describe your eMSP, for example {EXAMPLE}")
    elif not isinstance(found, dict):
        yield Problem(1, "Invalid setting OCPI_EMSP: expected a dictionary.", f"For example {EXAMPLE}")
    else:
        yield from _wrong_keys(found)
        yield from _wrong_values(found)
        if "STORE" not in found:
            yield from _wrong_database(found.get("DATABASE", "default"))


def given() -> Given:
    """Return the settings, once :func:`problems` found none."""
    found = settings.OCPI_EMSP
    return Given(
        arguments={name: found[key] for key, name in ARGUMENTS.items() if key in found},
        store=found.get("STORE"),
        database=found.get("DATABASE", "default"),
        retention=found.get("RETENTION"),
        sync_every=found.get("SYNC_EVERY"),
    )


def _wrong_keys(found: Mapping[Any, Any]) -> Iterator[Problem]:
    for key in found:
        if key not in KEYS:
            yield Problem(2, f"Unknown key '{key}' in OCPI_EMSP.", f"Use one of {', '.join(KEYS)}.")
    missing = [key for key in REQUIRED if key not in found]
    if missing:
        yield Problem(3, f"OCPI_EMSP lacks {', '.join(missing)}.", f"For example {EXAMPLE}")
    if "STORE" in found and "DATABASE" in found:
        yield Problem(4, "OCPI_EMSP has both DATABASE and STORE.", "Keep one of them.")


def _wrong_values(found: Mapping[Any, Any]) -> Iterator[Problem]:
    for key, kind in _OUR_OWN.items():
        value = found.get(key)
        is_usable = value is None or isinstance(value, kind)
        if isinstance(value, timedelta) and value < timedelta(seconds=1):
            is_usable = False
        if not is_usable:
            yield Problem(5, f"Invalid {key} in OCPI_EMSP: expected {_EXPECTED[key]}.")


def _wrong_database(alias: object) -> Iterator[Problem]:
    if alias not in connections.settings:
        known = ", ".join(sorted(connections.settings))
        yield Problem(6, f"DATABASE '{alias}' of OCPI_EMSP is not in DATABASES.", f"Use one of {known}.")
        return
    connection = connections[alias]
    stores = "Set DATABASE in OCPI_EMSP to a database of SQLite or PostgreSQL, or STORE to another store."
    if connection.vendor not in ("sqlite", "postgresql"):
        yield Problem(6, f"DATABASE '{alias}' of OCPI_EMSP is on {connection.display_name}.", stores)
    elif str(connection.settings_dict["NAME"]) == ":memory:":
        yield Problem(6, f"DATABASE '{alias}' of OCPI_EMSP is in memory, where each connection has its own.", stores)
